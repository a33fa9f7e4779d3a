"""What is trained next, with results made up by a formula."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from mmdist.apis.comparison.cells import FINAL, PLAIN, SEARCH, TEACHER, TIMING, Cell
from mmdist.apis.comparison.lines import equal_time_length, time_ratios
from mmdist.apis.comparison.plan import Arm, Plan, Taught
from mmdist.apis.comparison.results import Row
from mmdist.apis.comparison.schedule import Lengths, next_batch, teacher_of
from mmdist.errors import MMDistError

LENGTHS = Lengths(schedule=800, teacher=600, timing=60)
MS = {PLAIN: 100.0, "dist": 160.0, "kd": 140.0}
Value = Callable[[Cell], float | None]


def made_plan(**changes: object) -> Plan:
    arms = (Arm(PLAIN, "s.py", taught=False), Arm("dist", "d.py"), Arm("kd", "k.py"))
    return replace(Plan("s.py", arms, Taught("t.py", "t.pth")), **changes)


def peak(rate: float = 1.0) -> Value:
    """Best at a rate, the better the longer."""
    return lambda cell: 50 - abs(math.log2(cell.rate / rate)) + cell.length / 8000


def played(plan: Plan, value: Value, lengths: Lengths = LENGTHS) -> tuple[list[str], dict[Cell, Row]]:
    """All batches to the end: what they were, and every row."""
    rows: dict[Cell, Row] = {}
    said = []
    while (batch := next_batch(plan, lengths, rows)) is not None:
        said.append(batch.what)
        assert not set(batch.cells) & set(rows), "nothing is trained twice"
        assert len(said) < 100, "it comes to an end"
        for cell in batch.cells:
            metric = value(cell)
            failed = "" if metric is not None else "out of memory"
            rows[cell] = Row(
                **vars(cell), metric=metric, iteration_ms=MS.get(cell.arm, 1.0), failed=failed, iterations=cell.length
            )
    return said, rows


def cells(rows: dict[Cell, Row], purpose: str, arm: str) -> list[Cell]:
    return sorted(cell for cell in rows if (cell.purpose, cell.arm) == (purpose, arm))


def test_every_arm_is_searched_at_the_same_rates_and_reported_at_its_best() -> None:
    _, rows = played(made_plan(), peak(2.0))
    for arm in (PLAIN, "dist", "kd"):
        assert [cell.rate for cell in cells(rows, SEARCH, arm)] == [0.25, 0.5, 1.0, 2.0, 4.0]
        assert {cell.rate for cell in cells(rows, FINAL, arm)} == {2.0}
    assert {cell.seed for cell in rows if cell.purpose == FINAL} == {0, 1, 2}
    assert {cell.seed for cell in rows if cell.purpose == SEARCH} == {100}


@pytest.mark.parametrize(("best", "rates"), [(32.0, 9), (8.0, 7), (2.0**-5, 9)])
def test_a_search_goes_on_until_the_best_lies_inside_its_range(best: float, rates: int) -> None:
    _, rows = played(made_plan(), peak(best))
    tried = [cell.rate for cell in cells(rows, SEARCH, PLAIN)]
    assert len(tried) == rates and (best in tried[1:-1] or rates == 9)


def test_the_plain_student_gets_at_least_the_time_of_each_arm() -> None:
    _, rows = played(made_plan(), peak())
    assert {cell.length for cell in cells(rows, FINAL, PLAIN)} == {800, 1200, 1400}  # 1.4 and 1.6, up to quarters
    assert {cell.length for cell in cells(rows, FINAL, "dist")} == {800}


@pytest.mark.parametrize("length", range(1, 13))
@pytest.mark.parametrize("ratio", [1.25, 1.4, 1.5, 2.75])
def test_few_epochs_are_no_less_time_either(length: int, ratio: float) -> None:
    assert length * ratio * 0.98 <= equal_time_length(length, ratio, 0.25) <= length * (ratio + 0.25) + 1


def test_among_equals_a_search_takes_the_settings_of_the_config_and_ends() -> None:
    _, rows = played(made_plan(), lambda cell: 0.0)
    for arm in (PLAIN, "dist", "kd"):
        assert {cell.rate for cell in cells(rows, FINAL, arm)} == {1.0}
        assert len(cells(rows, SEARCH, arm)) == 5


def test_a_teacher_of_each_seed_teaches_its_seed_and_one_all_searches_and_timings() -> None:
    plan = made_plan(teacher=Taught("t.py", each_seed=True, rates=(1.0,)), search_seeds=(100, 101))
    _, rows = played(plan, peak())
    for cell in rows:
        if cell.arm in ("dist", "kd"):
            teacher = teacher_of(plan, LENGTHS, rows, cell)
            assert teacher in rows and (teacher.seed == cell.seed or cell.purpose != FINAL)


def test_a_longer_arm_is_compared_at_equal_length_too_where_both_are_asked_for() -> None:
    arms = (Arm(PLAIN, "s.py", taught=False), Arm("dist", "d.py", lengths=(2.0,)))
    _, rows = played(made_plan(arms=arms), peak())
    longest = max(cell.length for cell in cells(rows, FINAL, "dist"))
    assert longest == 1600 and longest in {cell.length for cell in cells(rows, FINAL, PLAIN)}


def test_an_arm_of_longer_epochs_takes_more_time() -> None:
    rows = [
        Row(purpose, arm, 0, 10, 1.0, 1.0, 50.0, iteration_ms=100.0, iterations=count)
        for arm, count in ((PLAIN, 1000), ("dist", 1500))
        for purpose in (SEARCH, TIMING)
    ]
    assert time_ratios(rows)["dist"] == 1.5


def test_times_are_measured_in_turns_and_one_by_one() -> None:
    plan, rows = made_plan(), {}
    while (batch := next_batch(plan, LENGTHS, rows)) is not None and batch.cells[0].purpose != TIMING:
        rows.update({c: Row(**vars(c), metric=peak()(c)) for c in batch.cells})
    assert batch is not None and batch.alone
    assert [cell.arm for cell in batch.cells] == [PLAIN, "dist", "kd"] * 2


@pytest.mark.parametrize("equal", ["iterations", "time"])
def test_what_is_not_asked_for_is_not_trained(equal: str) -> None:
    _, rows = played(made_plan(equal=equal), peak())
    timed = [cell for cell in rows if cell.purpose == TIMING]
    lengths = {cell.length for cell in cells(rows, FINAL, PLAIN)}
    assert (not timed, lengths) == ((True, {800}) if equal == "iterations" else (False, {1200, 1400}))


def test_a_plain_student_of_several_lengths_is_searched_at_each_and_reported_at_the_best() -> None:
    arms = (Arm(PLAIN, "s.py", taught=False, lengths=(0.5, 2.0)), Arm("dist", "d.py"))
    _, rows = played(made_plan(arms=arms), peak())
    by_length = {length: [c.rate for c in cells(rows, SEARCH, PLAIN) if c.length == length] for length in (400, 1600)}
    assert by_length == {400: [0.5, 1.0, 2.0], 1600: [0.5, 1.0, 2.0]}
    assert 1600 in {cell.length for cell in cells(rows, FINAL, PLAIN)}


def test_loss_weights_are_searched_at_the_best_rate() -> None:
    arms = (Arm(PLAIN, "s.py", taught=False), Arm("dist", "d.py", weights=(0.5, 2.0)))
    _, rows = played(
        made_plan(arms=arms), lambda cell: 50 - abs(math.log2(cell.rate)) - abs(math.log2(cell.weight / 4))
    )
    weights = {cell.weight for cell in cells(rows, SEARCH, "dist") if cell.rate == 1}
    assert weights == {0.5, 1.0, 2.0, 4.0, 8.0}
    assert {cell.weight for cell in cells(rows, FINAL, "dist")} == {4.0}


def test_arms_may_take_the_rate_of_the_plain_student_or_of_their_config() -> None:
    arms = (Arm(PLAIN, "s.py", taught=False), Arm("dist", "d.py", rate="plain"), Arm("kd", "k.py", rate="config"))
    _, rows = played(made_plan(arms=arms), peak(4.0))
    assert not cells(rows, SEARCH, "dist") and not cells(rows, SEARCH, "kd")
    assert {cell.rate for cell in cells(rows, FINAL, "dist")} == {4.0}
    assert {cell.rate for cell in cells(rows, FINAL, "kd")} == {1.0}


def test_an_arm_that_always_fails_is_left_out_and_the_others_are_finished() -> None:
    _, rows = played(made_plan(), lambda cell: None if cell.arm == "kd" else peak()(cell))
    assert not cells(rows, FINAL, "kd") and len(cells(rows, FINAL, "dist")) == 3


def test_a_rate_at_which_training_fails_is_not_chosen() -> None:
    _, rows = played(made_plan(), lambda cell: None if cell.rate > 1 else peak(4.0)(cell))
    assert {cell.rate for cell in cells(rows, FINAL, PLAIN)} == {1.0}


@pytest.mark.parametrize("arm", [PLAIN, TEACHER])
def test_without_a_plain_student_or_a_teacher_it_ends_with_the_reason(arm: str) -> None:
    plan = made_plan(teacher=Taught("t.py"))
    with pytest.raises(MMDistError, match="failed"):
        played(plan, lambda cell: None if cell.arm == arm else peak()(cell))


def test_less_is_better_of_an_error() -> None:
    _, rows = played(made_plan(), lambda cell: -50 + abs(math.log2(cell.rate / 2)), replace(LENGTHS, higher=False))
    assert {cell.rate for cell in cells(rows, FINAL, PLAIN)} == {2.0}


def test_a_teacher_is_trained_first_and_the_best_of_its_search_teaches() -> None:
    plan = made_plan(teacher=Taught("t.py"))
    said, rows = played(plan, peak(2.0))
    assert said[0] == "the teacher"
    found = teacher_of(plan, LENGTHS, rows, cells(rows, FINAL, "dist")[0])
    assert found == Cell(SEARCH, TEACHER, 100, 600, 2.0)
    assert teacher_of(plan, LENGTHS, rows, cells(rows, FINAL, PLAIN)[0]) is None


def test_a_teacher_of_each_seed_teaches_that_seed() -> None:
    plan = made_plan(teacher=Taught("t.py", each_seed=True))
    _, rows = played(plan, peak(2.0))
    assert {c.seed for c in cells(rows, SEARCH, TEACHER) if c.rate == 2} == {100, 0, 1, 2}
    for cell in cells(rows, FINAL, "dist"):
        assert teacher_of(plan, LENGTHS, rows, cell) == Cell(SEARCH, TEACHER, cell.seed, 600, 2.0)

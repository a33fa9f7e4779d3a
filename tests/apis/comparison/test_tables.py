"""The tables of a comparison; those of the committed accuracy benchmark come out number for number."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
from helpers.accuracy_results import OLD_RESULTS as OLD
from helpers.accuracy_results import OWN, PAGE, comparing, convert, plan, tables
from helpers.comparison_rows import HOSTILE, LENGTH, final, search, setting, timing

from mmdist.apis.comparison.line_names import arm_name
from mmdist.apis.comparison.lines import lines
from mmdist.apis.comparison.results import Metric
from mmdist.apis.comparison.table_layout import Strong, Table, html_table, markdown_table, terminal_table
from mmdist.apis.comparison.tables import comparison_table, failed_table, number_format, search_tables

PLAIN = [70.0, 71.0, 72.5]
KD = [73.0, 74.0, 75.2]
TASKS = {task.name: task for task in plan.TASKS}


def cells(markdown: str) -> list[list[str]]:
    """The rows of a Markdown table."""
    return [re.split(r"(?<!\\) \| ", line[2:-2]) for line in markdown.splitlines() if not line.startswith("|--")]


def column(table: Table, name: str) -> list[str]:
    return [row[table.head.index(name)] for row in table.rows]


def committed(task: str) -> list[list[list[str]]]:
    """The tables of a task as they stand on the benchmark's page."""
    text = PAGE.read_text(encoding="utf-8")
    section = text[text.index(f"<!-- begin {task} -->") : text.index(f"<!-- end {task} -->")]
    return [cells(block.strip()) for block in section.split("\n\n") if block.startswith("|")]


def same(ours, theirs) -> bool:
    if theirs is None:
        return ours is None
    return (ours.mean, ours.low, ours.high, ours.p) == pytest.approx(
        (theirs.mean, theirs.low, theirs.high, theirs.p), rel=1e-9, abs=1e-12
    ) and (ours.verdict(), ours.significant) == (theirs.verdict(), theirs.significant)


def check(old, task) -> list[str]:
    """Compare every number of a task with the benchmark's own; the names of the lines that were compared."""
    rows, known = convert(old, task)
    found = {arm_name(line.arm, known): line for line in lines(rows, known) if line.length == known.length}
    plain = {line.length: line for line in lines(rows, known) if line.arm == "plain"}
    expected = comparing.lines(old, task, comparing.best_factor(old, task.name), known.length)
    assert set(found) == {line.name for line in expected}
    for line in expected:
        ours = found[line.name]
        assert tuple(ours.values.values()) == line.values
        assert ours.minutes == pytest.approx(line.minutes)
        assert ours.teacher == pytest.approx(line.teacher)
        assert same(ours.differences.get("equal"), line.epochs)
        assert same(ours.differences.get("time"), line.time)
        if line.long_values:
            beside = plain[ours.references["time"]]
            assert tuple(beside.values[seed] for seed in ours.values) == line.long_values
            assert beside.minutes == pytest.approx(line.long_minutes)
    for length, row in comparing.plain_by_length(old, task.name, comparing.best_factor(old, task.name)).iterrows():
        assert (plain[length].mean, plain[length].deviation) == pytest.approx((row["mean"], row["sd"]))
    return [line.name for line in expected]


@pytest.mark.parametrize("task", TASKS)
def test_every_number_of_the_accuracy_benchmark_is_its_own(task):
    assert len(check(OLD, TASKS[task])) == 1 + len(TASKS[task].methods)


def test_a_method_at_a_learning_rate_of_its_own_is_an_arm_of_its_own():
    task = TASKS["seg-digits"]
    dist = [row for row in OLD if row.task == task.name and row.method == "dist"]
    own = [replace(row, lr_factor=4.0, metric=row.metric + 2) for row in dist if row.purpose == plan.EPOCHS]
    better = [
        replace(row, metric=90.0)
        if row.method == "dist" and row.purpose == plan.SEARCH and row.lr_factor == 4.0 and row.task == task.name
        else row
        for row in OLD
    ]
    assert "DIST, own rate" in check([*better, *own], task)
    rows, known = convert([*better, *own], task)
    assert {line.arm: line.trials for line in lines(rows, known)}["dist" + OWN] == 6


@pytest.mark.parametrize("task", TASKS)
def test_the_cells_of_the_accuracy_benchmark_are_those_of_its_page(task):
    rows, known = convert(OLD, TASKS[task])
    ours = comparison_table(rows, known)
    made = [row for row in cells(markdown_table(ours))[1:] if "schedule" not in row[0]]
    assert [row[: len(committed(task)[0][0])] for row in made] == committed(task)[0][1:]
    searches = {table.head[0]: cells(markdown_table(table)) for table in search_tables(rows, known)}
    for page in committed(task)[1:]:
        name = page[0][0].replace("DIST:", "DIST, own rate:")
        assert searches[name][1:] == page[1:]
        assert searches[name][0][1:] == page[0][1:]
    assert len(searches) == len(committed(task)) - 1


def test_the_verdict_stands_out_and_follows_the_direction_of_the_metric():
    for higher, verdict in ((True, "better"), (False, "worse")):
        known = setting("kd", metric=Metric("m", "m", higher=higher))
        rows = final("plain", PLAIN) + final("kd", KD)
        table = comparison_table(rows, known)
        cell = column(table, "difference at equal length")[1]
        assert isinstance(cell, Strong)
        assert cell.endswith(verdict)
        assert any("less" in note for note in table.notes) is not higher


@pytest.mark.parametrize(
    ("metric", "values", "text"),
    [
        (Metric("m", "mIoU"), PLAIN, "71.17 ± 1.26"),
        (Metric("m", "AP", scale=100), [0.4, 0.6, 0.8], "0.60 ± 0.20"),
        (Metric("m", "dice"), [0.7, 0.71, 0.725], "0.7117 ± 0.0126"),
        (Metric("m", "mAP"), [0.7, 0.71, 0.725], "0.7117 ± 0.0126"),
        (Metric("m", "error"), [1.5, 1.7, 1.6], "1.600 ± 0.100"),
        (Metric("m", "error"), [0.0004, 0.0006], "0.0005000 ± 0.0001414"),
        (Metric("m", "mIoU"), [70.0], "70.00"),
        (Metric("m", "mIoU"), [50.0, 50.0], "50.00 ± 0.00"),
    ],
)
def test_decimals_fit_percent_and_shares(metric, values, text):
    table = comparison_table(final("plain", values), setting(metric=metric))
    assert column(table, metric.name) == [text]


def test_columns_without_anything_are_left_out():
    table = comparison_table(
        final("plain", [70.0], iteration_ms=None) + final("kd", [71.0], iteration_ms=None), setting("kd")
    )
    assert table.head == ("arm", "seeds", "mIoU")
    assert comparison_table([], setting("kd")).rows == ()
    assert markdown_table(comparison_table([], setting("kd"))).count("\n") == 1


def test_the_difference_to_the_best_plain_student_is_shown_where_there_are_lengths():
    rows = final("plain", PLAIN) + final("plain", [74.0, 75.5, 76.0], 2 * LENGTH) + final("kd", KD)
    table = comparison_table(rows, setting("kd"))
    assert column(table, "arm") == ["plain student", "plain student, 2 schedules", "kd"]
    assert column(table, "difference to the best plain student (2 schedules)")[:2] == ["-", "-"]
    assert column(table, "difference to the best plain student (2 schedules)")[2].startswith("-1.10 [")
    alone = comparison_table([row for row in rows if row.length == LENGTH], setting("kd"))
    assert not any("best" in name for name in alone.head)


def test_an_arm_with_fewer_trials_is_marked():
    rows = final("plain", PLAIN) + final("kd", KD) + final("dist", KD)
    rows += search("plain", {1: 70.0, 2: 69.0}) + search("dist", {1: 70.0, 2: 71.0})
    table = comparison_table(rows, setting("kd", "dist"))
    assert column(table, "trials of the search") == ["2", "0*", "2"]
    assert any(note.startswith("*") for note in table.notes)


def test_minutes_of_different_devices_are_said_to_be_so():
    rows = final("plain", PLAIN, device="a") + final("kd", KD, device="b")
    assert any("devices" in note for note in comparison_table(rows, setting("kd")).notes)
    assert not any("devices" in note for note in comparison_table(rows[:3], setting("kd")).notes)


def test_a_search_shows_what_was_tried_and_what_was_taken():
    rows = search("plain", {0.5: 60.0, 1.0: 65.0, 2.0: None}, seeds=(100, 101)) + final("plain", PLAIN)
    (table,) = search_tables(rows, setting(learning_rate={"plain": 0.01}))
    assert table.rows == (
        ("0.005", "60.00, 60.00", "60.00"),
        ("0.01", "65.00, 65.00", "65.00"),
        ("0.02", "failed, failed", "-"),
    )
    assert [isinstance(row[-1], Strong) for row in table.rows] == [False, True, False]


def test_what_is_taken_is_what_the_reported_trainings_use():
    rows = search("kd", {0.5: 66.0, 1.0: 65.0}) + final("kd", KD)
    (table,) = search_tables(rows, setting("kd"))
    assert [isinstance(row[-1], Strong) for row in table.rows] == [False, True]
    (unused,) = search_tables(search("teacher", {0.5: 66.0, 1.0: 65.0}), setting("kd"))
    assert [isinstance(row[-1], Strong) for row in unused.rows] == [True, False]


def test_a_search_over_weights_and_lengths_shows_them():
    rows = search("kd", {1.0: 65.0}, weight=0.5) + search("kd", {1.0: 66.0}, length=2 * LENGTH)
    (table,) = search_tables(rows, setting("kd"))
    assert [row[1:3] for row in table.rows] == [(str(LENGTH), "0.5"), (str(2 * LENGTH), "1")]


def test_trainings_that_failed_are_listed_with_their_reason():
    rows = final("plain", PLAIN) + final("kd", [73.0, None, math.nan]) + search("kd", {4.0: None}) + timing({"kd": 9.0})
    table = failed_table(rows, setting("kd"))
    assert [row[:2] + row[3:4] for row in table.rows] == [
        ("kd", "final", "1"),
        ("kd", "final", "2"),
        ("kd", "search", "100"),
    ]
    assert all(row[2] for row in table.rows)
    assert failed_table(final("plain", PLAIN), setting()).rows == ()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_stays_one_cell_of_literal_text(name):
    rows = final("plain", PLAIN) + final("kd", KD)
    table = comparison_table(rows, replace(setting("kd"), arms={"plain": "plain", "kd": name}))
    text = markdown_table(table)
    assert len(text.splitlines()) == 4
    assert len({len(row) for row in cells(text)}) == 1
    row = text.splitlines()[3]
    assert "<" not in row
    assert "://" not in row
    assert not re.search(r"(?<!\\)[`$]|(?<!\\)\]\(", row.split(" | ")[0])
    assert all(line.isprintable() for line in text.splitlines())
    page = html_table(table)
    assert "<script" not in page
    assert 'onload="' not in page
    assert all(line.isprintable() for line in (*page.splitlines(), *terminal_table(table).splitlines()))


def test_arms_with_the_same_words_are_told_apart():
    known = replace(setting(), arms={"plain": "plain", "a": "KD", "b": "KD"})
    assert [arm_name(arm, known) for arm in ("a", "b", "plain", "teacher")] == ["KD (a)", "KD (b)", "plain", "teacher"]


def test_lines_of_one_arm_are_told_apart():
    rows = final("kd", KD) + final("kd", KD, 2 * LENGTH) + final("kd", KD, rate=2.0) + final("kd", KD, weight=3.0)
    table = comparison_table(rows, setting("kd", learning_rate={"kd": 0.01}))
    assert len(set(column(table, "arm"))) == 4
    assert any("0.02" in name for name in column(table, "arm"))


def test_a_terminal_table_is_aligned_where_characters_are_wide():
    table = Table(("arm", "mIoU"), (("教師", "1.0"), ("plain student", "10.0"), ("é", "2.0")))
    assert terminal_table(table).splitlines()[2:] == [
        "教師            1.0",
        "plain student  10.0",
        "é               2.0",
    ]


def test_numbers_are_written_alike_in_all_tables():
    rows = final("plain", [0.5, 0.6]) + search("plain", {1.0: 0.7})
    assert number_format(rows, setting(metric=Metric("m", "dice"))).decimals == 4
    assert number_format([], setting(metric=Metric("m", "dice"))).decimals == 4
    assert tables.spread([1.0, 2.0]) == number_format(rows, setting(metric=Metric("m", "m", scale=100))).spread(
        [1.0, 2.0]
    )

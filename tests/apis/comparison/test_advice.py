"""What the numbers are said to mean. Sentences are found by what they have to name, not by their wording."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from helpers.comparison_rows import HOSTILE, LENGTH, final, search, setting, timing

from mmdist.apis.comparison.advice import advice
from mmdist.apis.comparison.answer import answer
from mmdist.apis.comparison.findings import Findings
from mmdist.apis.comparison.results import Metric
from mmdist.apis.comparison.statistics import detectable, seeds_for

PLAIN = [70.0, 71.0, 72.5]
LONG = [74.0, 75.5, 76.2]
KD = [71.0, 72.2, 73.3]  # beyond noise, and less than the longer schedule gives
NOISY = [69.0, 73.5, 73.0]  # within noise
RATES = {0.25: 60.0, 0.5: 65.0, 1.0: 70.0, 2.0: 68.0, 4.0: None}
TIMES = {"plain": 75.0, "kd": 75.0}


def searched(*arms: str):
    return [row for arm in ("plain", *arms) for row in search(arm, RATES)]


def about(said: list[str], *words: str) -> list[str]:
    """The sentences that have all of these words in them."""
    return [sentence for sentence in said if all(word in sentence for word in words)]


def lower(values):
    """The same course for a metric of which less is better."""
    return [None if value is None else 100 - value for value in values]


def test_a_fair_and_clear_comparison_needs_no_advice():
    rows = final("plain", PLAIN) + final("kd", KD) + final("plain", [70.2, 70.9, 72.3], 2 * LENGTH)
    rows += searched("kd") + timing(TIMES)
    assert advice(rows, setting("kd", teacher_metric=85.0)) == []


# ---------------------------------------------------------------- seeds


def test_one_seed_says_nothing():
    rows = final("plain", [70.0]) + final("kd", [79.0]) + searched("kd") + timing(TIMES)
    said = advice(rows, setting("kd", seeds=(0,)))
    assert about(said, "One seed")
    assert not about(said, "Not saturated")
    found = answer(Findings.of(rows, setting("kd", seeds=(0,))))
    assert "79.00" in found
    assert "better" not in found


def test_seeds_that_are_too_few_are_counted_for_the_difference_that_was_seen():
    rows = final("plain", PLAIN) + final("kd", NOISY) + searched("kd") + timing(TIMES)
    differences = [b - a for a, b in zip(PLAIN, NOISY, strict=True)]
    mean = sum(differences) / 3
    deviation = math.sqrt(sum((value - mean) ** 2 for value in differences) / 2)
    (sentence,) = about(advice(rows, setting("kd")), "3 seeds")
    assert f"{detectable(deviation, 3):.2f} points" in sentence
    assert f"about {seeds_for(mean, deviation)}" in sentence


def test_seeds_are_not_counted_for_an_arm_that_is_behind():
    rows = final("plain", PLAIN) + final("kd", [69.0, 73.5, 68.0]) + searched("kd") + timing(TIMES)
    (sentence,) = about(advice(rows, setting("kd")), "3 seeds")
    assert "about" not in sentence


def test_arms_without_seeds_in_common_are_named():
    rows = final("plain", {0: 70.0, 1: 71.0}) + final("kd", {1: 73.0, 2: 74.0})
    assert about(advice(rows, setting("kd")), "two seeds", "kd")


@pytest.mark.parametrize("values", [[50.0] * 3, [0.0] * 3])
def test_a_seed_that_changes_nothing_is_noticed(values):
    rows = final("plain", PLAIN) + final("kd", values)
    assert about(advice(rows, setting("kd")), "same value", "kd")
    every = final("plain", values) + final("kd", values) + final("plain", values, 2 * LENGTH)
    assert about(advice(every, setting("kd")), "same value", "plain student", "kd")


def test_an_arm_that_is_the_plain_student_is_noticed():
    rows = final("plain", PLAIN) + final("kd", PLAIN)
    assert about(advice(rows, setting("kd")), "weights 0", "kd")


def test_a_difference_without_any_spread_is_doubted():
    rows = final("plain", PLAIN) + final("kd", [value + 0.3 for value in PLAIN])
    said = advice(rows, setting("kd"))
    assert about(said, "rounding", "kd")
    assert not about(said, "3 seeds")


# ---------------------------------------------------------------- what is missing


def test_nothing_yet_is_one_sentence():
    assert len(advice([], setting("kd"))) == 1
    assert len(advice(search("plain", {1.0: 70.0}), setting("kd"))) == 1
    (sentence,) = advice(final("plain", [None, None]), setting("kd"))
    assert "loss is nan" in sentence


def test_failures_and_gaps_are_named():
    rows = final("plain", PLAIN) + final("kd", [73.0, None, 74.0]) + final("dist", {0: 73.0, 2: 74.0})
    rows += final("sdd", [None] * 3)
    said = advice(rows, setting("kd", "dist", "sdd", "rdd"))
    assert about(said, "kd", "1 of 3", "failed")
    assert about(said, "sdd", "3 of 3", "failed")
    assert about(said, "dist", "2 of 3", "missing")
    assert about(said, "rdd", "Not trained")


def test_arms_without_a_plain_student_are_not_compared():
    assert about(advice(final("kd", KD), setting("kd")), "plain student", "nothing")
    assert "nothing" in answer(Findings.of(final("kd", KD), setting("kd")))


def test_a_length_that_equal_time_asks_for_is_named():
    rows = final("plain", PLAIN) + final("kd", KD) + timing({"plain": 75.0, "kd": 112.0})
    assert about(advice(rows, setting("kd")), "1.5 schedules", "kd")
    assert not about(advice(rows + final("plain", LONG, 1200), setting("kd")), "No plain student")


# ---------------------------------------------------------------- the trainings


@pytest.mark.parametrize("higher", [True, False])
def test_a_plain_student_that_gains_from_time_is_not_saturated(higher):
    course = (lambda values: values) if higher else lower
    metric = Metric("m", "mIoU", higher=higher)
    rows = final("plain", course(PLAIN)) + final("plain", course(LONG), 2 * LENGTH) + final("kd", course(KD))
    said = advice(rows, setting("kd", metric=metric))
    assert about(said, "Not saturated", "twice the schedule", "4.07 points")
    assert about(said, "not yet learned", "4.07", "kd", "1.00")
    assert not about(said, "overfits")


def test_a_student_that_gains_less_from_time_than_from_an_arm_has_learned_its_labels():
    better = [value + 9 for value in LONG]
    rows = final("plain", PLAIN) + final("plain", LONG, 2 * LENGTH) + final("kd", better)
    said = advice(rows, setting("kd"))
    assert about(said, "Not saturated")
    assert not about(said, "not yet learned")


@pytest.mark.parametrize("longer", [[70.2, 70.9, 72.3], [66.0, 75.0, 79.0]])
def test_a_gain_within_noise_is_none(longer):
    rows = final("plain", PLAIN) + final("plain", longer, 2 * LENGTH) + final("kd", KD)
    assert not about(advice(rows, setting("kd")), "Not saturated")


@pytest.mark.parametrize("higher", [True, False])
def test_a_plain_student_that_gets_worse_with_time_overfits(higher):
    course = (lambda values: values) if higher else lower
    metric = Metric("m", "mIoU", higher=higher)
    rows = final("plain", course(LONG)) + final("plain", course(PLAIN), 2 * LENGTH) + final("kd", course(KD))
    said = advice(rows, setting("kd", metric=metric))
    assert about(said, "overfits", "twice the schedule", "4.07")
    assert not about(said, "Not saturated")


def test_a_single_length_leaves_saturation_open():
    assert about(advice(final("plain", PLAIN) + final("kd", KD), setting("kd")), "one length")
    assert not about(advice(final("plain", PLAIN), setting()), "one length")


def test_what_time_gives_as_well_is_said():
    rows = final("plain", PLAIN) + final("plain", LONG, 2 * LENGTH) + final("kd", KD)
    rows += timing({"plain": 75.0, "kd": 150.0})
    assert about(advice(rows, setting("kd")), "equal length", "not at equal time", "kd")


@pytest.mark.parametrize(("teacher", "word"), [(71.0, "no better"), (72.0, "hardly better"), (90.0, "")])
def test_a_teacher_has_to_be_better_than_the_student(teacher, word):
    rows = final("plain", PLAIN) + final("kd", KD)
    said = about(advice(rows, setting("kd", teacher_metric=teacher)), "teacher", "stronger")
    assert bool(said) is bool(word)
    assert all(word in sentence for sentence in said)
    mirrored = setting("kd", teacher_metric=100 - teacher, metric=Metric("m", "mIoU", higher=False))
    assert len(about(advice(final("plain", lower(PLAIN)), mirrored), "teacher", "stronger")) == len(said)


def test_a_teacher_is_compared_with_the_longest_trained_student_too():
    rows = final("plain", PLAIN) + final("plain", LONG, 2 * LENGTH)
    assert about(advice(rows, setting(teacher_metric=75.0)), "no better", "twice the schedule")


# ---------------------------------------------------------------- losses


@pytest.mark.parametrize(
    ("ratio", "cosine", "word"),
    [(8.0, 0.5, "lower weight"), (0.01, 0.5, "higher weight"), (1.0, -0.4, "against"), (math.nan, 0.0, "not a number")],
)
def test_a_loss_that_is_far_from_the_task_is_named(ratio, cosine, word):
    rows = final("plain", PLAIN) + final("kd", KD)
    said = advice(rows, setting("kd"), {"kd": [("loss_kd", ratio, cosine), ("loss_fine", 1.5, 0.5)]})
    assert len(about(said, "loss_kd")) == 1
    assert about(said, "loss_kd", "kd", word)
    assert not about(said, "loss_fine")


# ---------------------------------------------------------------- fairness


@pytest.mark.parametrize(("rates", "end"), [({1.0: 1.0, 2.0: 2.0}, "highest"), ({1.0: 2.0, 2.0: 1.0}, "lowest")])
def test_a_best_learning_rate_at_an_end_asks_for_one_beyond(rates, end):
    rows = final("plain", PLAIN) + search("teacher", rates)
    known = setting(learning_rate={"teacher": 0.01})
    beyond = {"highest": "0.04", "lowest": "0.005"}[end]
    assert about(advice(rows, known), "teacher", end, beyond)


def test_a_rate_beside_one_that_failed_is_no_end():
    said = advice(final("plain", PLAIN) + search("plain", {0.5: 60.0, 1.0: 70.0, 2.0: None}), setting())
    assert not about(said, "best learning rate")


def test_a_best_weight_at_an_end_asks_for_one_beyond():
    rows = final("plain", PLAIN) + final("kd", KD, weight=4.0)
    rows += search("kd", {1.0: 70.0}, weight=1.0) + search("kd", {1.0: 71.0}, weight=4.0)
    assert about(advice(rows, setting("kd")), "best weight", "highest", "8")


def test_a_plain_student_that_was_not_searched_is_said_to_be_so():
    rows = final("plain", PLAIN) + final("kd", KD)
    assert about(advice(rows, setting("kd")), "not searched")
    assert about(advice(rows + search("plain", {0.5: 1.0, 1.0: 2.0, 2.0: 1.0}), setting("kd")), "3 learning rates")


def test_trials_that_are_not_equal_are_named_either_way():
    rows = final("plain", PLAIN) + final("kd", KD) + final("dist", KD) + searched("dist") + search("dist", {8.0: None})
    said = advice(rows, setting("kd", "dist"))
    assert about(said, "Fewer", "kd (none)")
    assert about(said, "More", "dist (6)")
    assert not about(said, "Fewer", "dist")


def test_devices_that_differ_are_named():
    rows = final("plain", PLAIN) + final("kd", KD) + timing({"plain": 75.0}, "cpu") + timing({"kd": 75.0}, "H100")
    assert about(advice(rows, setting("kd")), "cpu", "H100", "equal time")
    mixed = final("plain", PLAIN, device="cpu") + final("kd", KD, device="H100")
    assert about(advice(mixed, setting("kd")), "cpu", "H100", "minutes")


# ---------------------------------------------------------------- the answer


def test_the_answer_names_who_is_better_and_by_how_much_at_equal_time_first():
    longer = [70.1, 71.2, 72.4]
    rows = final("plain", PLAIN) + final("plain", longer, 2 * LENGTH) + final("kd", KD) + final("dist", NOISY)
    rows += timing({"plain": 75.0, "kd": 150.0, "dist": 150.0})
    found = answer(Findings.of(rows, setting("kd", "dist")))
    assert found.startswith("At equal time kd (+0.93 [")
    assert "dist" not in found
    assert found.count("kd") == 2


def test_the_answer_says_that_nothing_is_beyond_noise():
    found = answer(Findings.of(final("plain", PLAIN) + final("kd", NOISY), setting("kd")))
    assert "noise" in found
    assert "better" not in found


def test_the_answer_says_that_all_are_worse():
    rows = final("plain", LONG) + final("kd", KD) + final("dist", NOISY)
    found = answer(Findings.of(rows, setting("kd", "dist")))
    assert "kd is worse" in found
    assert "no arm is better" in found


def test_the_answer_knows_when_less_is_better():
    rows = final("plain", lower(PLAIN)) + final("kd", lower(KD))
    found = answer(Findings.of(rows, setting("kd", metric=Metric("m", "error", higher=False))))
    assert "kd (-1.00 [" in found
    assert "is better" in found


def test_many_arms_are_not_all_listed_in_the_answer():
    arms = [f"arm{index}" for index in range(20)]
    rows = final("plain", PLAIN) + [row for arm in arms for row in final(arm, KD)]
    found = answer(Findings.of(rows, setting(*arms)))
    assert sum(arm in found.replace("(", " ").split() for arm in arms) == 4
    assert "16 more" in found


def test_the_example_of_the_design_is_said():
    rows = final("plain", [76.0, 77.0, 78.0]) + final("plain", [78.1, 79.1, 80.2], 2 * LENGTH) + final("kd", KD)
    assert about(advice(rows, setting("kd")), "Not saturated", "2.13 points more from twice the schedule")


@pytest.mark.parametrize("name", HOSTILE)
def test_sentences_are_printable_whatever_an_arm_is_called(name):
    rows = final("plain", PLAIN) + final("kd", [*NOISY[:2], None]) + search("kd", {1.0: 1.0, 2.0: 2.0})
    known = replace(setting("kd"), arms={"plain": name, "kd": name})
    said = [*advice(rows, known, {"kd": [(name, 9.0, -1.0)]}), answer(Findings.of(rows, known))]
    assert len(said) > 5
    assert all(sentence.isprintable() for sentence in said)

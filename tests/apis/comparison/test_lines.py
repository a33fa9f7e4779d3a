"""From trainings to the lines of the table."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from helpers.comparison_rows import LENGTH, final, search, setting, timing

from mmdist.apis.comparison.lines import best_plain, equal_time_length, iteration_times, lines, time_ratios
from mmdist.apis.comparison.results import Metric, Row
from mmdist.apis.comparison.statistics import paired

PLAIN = [70.0, 71.0, 72.5]
LONG = [74.0, 75.5, 76.0]
KD = [73.0, 74.0, 75.2]
TIMES = {"plain": 75.0, "kd": 149.0}


def by_arm(rows, known):
    return {(line.arm, line.length): line for line in lines(rows, known)}


@pytest.fixture
def rows() -> list[Row]:
    return final("plain", PLAIN) + final("plain", LONG, 2 * LENGTH) + final("kd", KD) + timing(TIMES)


def test_an_arm_is_compared_at_equal_length_at_equal_time_and_with_the_best(rows):
    line = by_arm(rows, setting("kd"))["kd", LENGTH]
    assert line.references == {"equal": LENGTH, "time": 2 * LENGTH, "best": 2 * LENGTH}
    assert replace(line.differences["equal"], significant=False) == paired(KD, PLAIN)
    assert replace(line.differences["time"], significant=False) == paired(KD, LONG)
    assert line.differences["best"] == line.differences["time"]


def test_minutes_are_the_timed_iterations_times_their_number(rows):
    found = by_arm(rows, setting("kd"))
    assert found["kd", LENGTH].minutes == pytest.approx(800 * 149 / 60_000)
    assert found["plain", 2 * LENGTH].minutes == pytest.approx(1600 * 75 / 60_000)


def test_epochs_are_counted_in_iterations_for_the_time():
    known = setting("kd", length=12, unit="epochs")
    rows = final("plain", PLAIN, 12, iterations=1200) + final("kd", KD, 12, iterations=1200) + timing(TIMES)
    rows += final("plain", LONG, 24, iterations=2400)
    found = by_arm(rows, known)
    assert found["plain", 24].minutes == pytest.approx(2400 * 75 / 60_000)
    assert found["kd", 12].references == {"equal": 12, "time": 24, "best": 24}


def test_pairs_are_those_of_seeds_that_both_have():
    rows = final("plain", {0: 70.0, 1: 71.0, 2: None}) + final("kd", {1: 74.0, 2: 75.0, 0: 72.5, 3: 99.0})
    line = by_arm(rows, setting("kd"))["kd", LENGTH]
    assert replace(line.differences["equal"], significant=False) == paired([72.5, 74.0], [70.0, 71.0])


def test_a_failed_seed_is_counted_and_left_out():
    rows = final("plain", PLAIN) + final("kd", [73.0, None, math.nan])
    line = by_arm(rows, setting("kd"))["kd", LENGTH]
    assert (dict(line.values), line.failed, line.deviation) == ({0: 73.0}, 2, None)
    assert line.differences == {}
    assert line.references == {"equal": LENGTH}


def test_the_best_plain_student_is_the_lowest_where_less_is_better():
    known = setting("kd", metric=Metric("loss", "loss", higher=False))
    rows = final("plain", PLAIN) + final("plain", LONG, 2 * LENGTH) + final("kd", KD)
    found = lines(rows, known)
    assert best_plain(found, higher=False).length == LENGTH
    assert by_arm(rows, known)["kd", LENGTH].references["best"] == LENGTH


def test_devices_that_differ_are_not_compared_in_time(rows):
    other = [replace(row, device="gpu") if row.purpose == "timing" and row.arm == "kd" else row for row in rows]
    assert iteration_times(other) == {} == time_ratios(other)
    assert "time" not in by_arm(other, setting("kd"))["kd", LENGTH].references


def test_nothing_is_said_of_time_without_a_plain_student_of_that_length(rows):
    short = [row for row in rows if row.length != 2 * LENGTH]
    assert by_arm(short, setting("kd"))["kd", LENGTH].references == {"equal": LENGTH}


def test_the_plain_student_comes_first_and_arms_in_their_order(rows):
    found = lines([*final("dist", KD), *rows], setting("kd", "dist"))
    assert [(line.arm, line.length) for line in found] == [
        *(("plain", LENGTH), ("plain", 2 * LENGTH)),
        *(("kd", LENGTH), ("dist", LENGTH)),
    ]
    assert lines([], setting("kd")) == []


def test_a_significant_difference_is_one_among_all_arms(rows):
    alone = by_arm(rows, setting("kd"))["kd", LENGTH].differences["equal"]
    others = [f"other{i}" for i in range(200)]
    noise = [row for arm in others for row in final(arm, [69.0, 73.0, 71.5])]
    among = by_arm(rows + noise, setting("kd", *others))["kd", LENGTH].differences["equal"]
    assert alone.significant
    assert not among.significant
    assert (alone.mean, alone.p) == (among.mean, among.p)


def test_trials_are_those_of_the_arms_own_search(rows):
    found = by_arm(rows + search("plain", {1: 70.0, 2: None}, seeds=(100, 101)), setting("kd"))
    assert found["plain", LENGTH].trials == found["plain", 2 * LENGTH].trials == 4
    assert found["kd", LENGTH].trials == 0


@pytest.mark.parametrize(
    ("ratio", "step", "up", "length"),
    [
        *((1.0, 0.25, True, 800), (1.01, 0.25, True, 1000), (1.004, 0.25, True, 800), (0.3, 0.5, True, 800)),
        *((1.26, 0.5, False, 1200), (1.24, 0.5, False, 800), (3.1, 0.5, True, 2800)),
    ],
)
def test_a_length_at_equal_time_is_a_multiple_of_the_step(ratio, step, up, length):
    assert equal_time_length(800, ratio, step, up) == length

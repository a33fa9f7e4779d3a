"""Figures, looked at through what matplotlib was told to draw."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest
from helpers.comparison_rows import HOSTILE, LENGTH, final, search, setting, timing
from matplotlib.container import ErrorbarContainer
from PIL import Image

from mmdist.apis.comparison.cells import Cell
from mmdist.apis.comparison.figures import (
    difference_intervals,
    metric_over_minutes,
    png_bytes,
    svg_bytes,
    training_courses,
)
from mmdist.apis.comparison.findings import Findings
from mmdist.apis.comparison.results import Metric
from mmdist.visualization import Curve

PLAIN = [70.0, 71.0, 72.5]
LONG = [74.0, 75.5, 76.2]
KD = [71.0, 72.2, 73.3]
TIMES = timing({"plain": 75.0, "kd": 150.0})


def findings(**other) -> Findings:
    rows = final("plain", PLAIN) + final("plain", LONG, 2 * LENGTH) + final("kd", KD) + TIMES
    return Findings.of(rows, setting("kd", **other))


def bars(axes) -> dict[str, ErrorbarContainer]:
    return {bar.get_label(): bar for bar in axes.containers if isinstance(bar, ErrorbarContainer)}


def ends(bar) -> np.ndarray:
    """(points, 2, 2): both ends of each error bar."""
    return np.array(bar.lines[2][0].get_segments())


def curve(steps: int = 40) -> Curve:
    return Curve(np.linspace(2, 1, steps), {steps // 2: 30.0, steps: 60.0})


def test_the_metric_stands_over_the_minutes_with_its_deviation():
    axes = metric_over_minutes(findings(teacher_metric=80.0)).axes[0]
    found = bars(axes)
    assert list(found) == ["plain student", "kd"]
    line = found["plain student"].lines[0]
    assert line.get_xdata() == pytest.approx([1.0, 2.0])
    assert line.get_ydata() == pytest.approx([np.mean(PLAIN), np.mean(LONG)])
    deviation = np.std(KD, ddof=1)
    assert ends(found["kd"])[0] == pytest.approx(
        np.array([[2.0, np.mean(KD) - deviation], [2.0, np.mean(KD) + deviation]])
    )
    assert [line.get_ydata()[0] for line in axes.lines if line.get_label() == "teacher"] == [80.0]
    assert "minutes" in axes.get_xlabel()


def test_minutes_of_different_devices_are_not_drawn():
    rows = final("plain", PLAIN, device="a") + final("kd", KD, device="b")
    axes = metric_over_minutes(Findings.of(rows, setting("kd"))).axes[0]
    assert axes.get_xlabel() == "iterations"
    assert bars(axes)["kd"].lines[0].get_xdata() == [LENGTH]


def test_intervals_are_those_of_the_table():
    found = findings()
    axes = difference_intervals(found).axes[0]
    (arm,) = found.arms
    for label, kind in (("equal length", "equal"), ("equal time", "time"), ("plain student's best length", "best")):
        bar, difference = bars(axes)[label], arm.differences[kind]
        assert bar.lines[0].get_xdata() == pytest.approx([difference.mean])
        assert ends(bar)[0][:, 0] == pytest.approx([difference.low, difference.high])
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["kd"]


def test_the_direction_of_a_metric_is_said():
    for draw in (metric_over_minutes, difference_intervals):
        axes = draw(findings(metric=Metric("m", "error", higher=False))).axes[0]
        assert any("less is better" in label for label in (axes.get_xlabel(), axes.get_ylabel()))


def test_courses_stand_over_minutes_one_line_a_training():
    curves = {Cell("final", arm, seed, LENGTH): curve() for arm in ("plain", "kd") for seed in (0, 1)}
    figure = training_courses(findings(), curves)
    left, right = figure.axes
    assert len(left.lines) == len(right.lines) == 4
    by_end = sorted(line.get_xdata()[-1] for line in right.lines)
    assert by_end == pytest.approx([40 * 75 / 60_000] * 2 + [40 * 150 / 60_000] * 2)
    assert [line.get_ydata()[-1] for line in right.lines] == [60.0] * 4
    assert len({line.get_color() for line in left.lines}) == 2
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["plain student", "kd"]


def test_courses_without_times_stand_over_iterations():
    rows = final("plain", PLAIN, iteration_ms=None)
    curves = {Cell("final", "plain", 0, LENGTH): curve(), Cell("final", "gone", 5, 9): curve(1)}
    left, right = training_courses(Findings.of(rows, setting()), curves).axes
    assert left.get_xlabel() == right.get_xlabel() == "iteration"
    assert max(line.get_xdata()[-1] for line in left.lines) == 40


def test_a_long_training_is_drawn_with_few_points_up_to_its_end():
    figure = training_courses(findings(), {Cell("final", "plain", 0, LENGTH): Curve(np.ones(10_000), {})})
    (line,) = figure.axes[0].lines
    assert len(line.get_xdata()) <= 400
    assert line.get_xdata()[-1] == pytest.approx(10_000 * 75 / 60_000)


@pytest.mark.parametrize("rows", [[], search("plain", {1.0: 70.0}), final("plain", [None] * 3)])
def test_nothing_is_drawn_of_nothing(rows):
    found = Findings.of(rows, setting("kd"))
    assert metric_over_minutes(found) is difference_intervals(found) is training_courses(found, {}) is None


@pytest.mark.parametrize("values", [[70.0], [70.0, None, None], [70.0] * 3])
def test_one_seed_and_equal_values_can_be_drawn(values):
    found = Findings.of(final("plain", [70.0] * 3) + final("kd", values), setting("kd"))
    assert png_bytes(metric_over_minutes(found)).startswith(b"\x89PNG")
    intervals = difference_intervals(found)
    assert (intervals is None) is (len([value for value in values if value]) < 2)


@pytest.mark.parametrize("write", [svg_bytes, png_bytes])
def test_the_same_results_give_the_same_bytes(write):
    first, second = (write(metric_over_minutes(findings())) for _ in range(2))
    assert first == second
    assert b"20" + b"26-" not in first  # no date


def test_files_are_whole_images():
    image = Image.open(io.BytesIO(png_bytes(metric_over_minutes(findings()), dpi=50)))
    assert image.size == (320, 210)
    assert ET.fromstring(svg_bytes(difference_intervals(findings()))).tag.endswith("svg")


@pytest.mark.parametrize("name", [*HOSTILE, "_hidden", "a$b", "x" * 500, "Lehrer Ä"])
def test_a_name_is_drawn_as_it_is(name):
    found = findings()
    found = Findings.of(found.rows, replace(found.setting, arms={"plain": "plain", "kd": name}))
    curves = {Cell("final", "kd", 0, LENGTH): curve()}
    for figure in (metric_over_minutes(found), difference_intervals(found), training_courses(found, curves)):
        data = svg_bytes(figure)
        assert ET.fromstring(data) is not None
        assert b"<script" not in data
    legend = metric_over_minutes(found).axes[0].get_legend().get_texts()[-1].get_text()
    assert legend.replace("\\$", "$").strip()[:6] == found.name(found.arms[0])[:6].strip()

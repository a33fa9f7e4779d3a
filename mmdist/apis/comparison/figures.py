"""The figures of a comparison: from its lines and from the courses of its trainings to matplotlib's figures."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmdist.apis.comparison.cells import PLAIN, TEACHER, Cell
from mmdist.apis.comparison.findings import Findings
from mmdist.apis.comparison.formatting import figure_text
from mmdist.apis.comparison.line_names import arm_name
from mmdist.apis.comparison.lines import Line, iteration_times
from mmdist.apis.comparison.statistics import LEVEL
from mmdist.apis.comparison.tables import times_comparable
from mmdist.visualization import Curve
from mmdist.visualization.curves import smooth

PLAIN_COLOR, TEACHER_COLOR = "#2f6ea5", "#4c566a"
KINDS = {  # label and colour
    "equal": ("equal length", "#d9822b"),
    "time": ("equal time", "#4c566a"),
    "best": ("plain student's best length", "#8fb8de"),
}
MARKERS = "os^Dvp*hXP"
MOST_POINTS = 400  # of a curve that is drawn
DOCTYPE = re.compile(rb"<!DOCTYPE[^>]*>\s*")  # it names a file on the web


def metric_over_minutes(found: Findings) -> Figure | None:
    """The metric over the minutes of training: the plain student's course by its length, and the arms.

    Args:
        found (Findings): What was found.

    Returns:
        Figure, optional: Over the length, where minutes are not known or of different devices; None without results.
    """
    there = [line for line in found.lines if line.values]
    if not there:
        return None
    timed = times_comparable(found.rows) and all(line.minutes is not None for line in there)
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.add_subplot()
    if found.plain:
        _points(axes, list(found.plain.values()), timed, color=PLAIN_COLOR, marker="o", label=_arm(PLAIN, found))
    for index, line in enumerate(found.arms):
        marker, color = MARKERS[index % len(MARKERS)], _color(line.arm, found)
        _points(axes, [line], timed, color=color, marker=marker, label=figure_text(found.name(line)))
    if found.setting.teacher_metric is not None:
        teacher = found.setting.teacher_metric
        axes.axhline(teacher, color=TEACHER_COLOR, linestyle="--", linewidth=1, label=_arm(TEACHER, found))
    axes.set_xlabel("minutes of training (the teacher's not counted)" if timed else found.setting.unit)
    axes.set_ylabel(f"{_metric(found)}, mean and standard deviation")
    _finish(axes)
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def difference_intervals(found: Findings) -> Figure | None:
    """The differences to the plain student with their intervals, one row an arm.

    Args:
        found (Findings): What was found.

    Returns:
        Figure, optional: None where nothing was compared.
    """
    arms = [line for line in found.arms if line.differences]
    if not arms:
        return None
    kinds = [kind for kind in KINDS if any(kind in line.differences for line in arms)]
    figure = Figure(figsize=(6.4, 1.4 + (0.24 + 0.14 * len(kinds)) * len(arms)), layout="constrained")
    axes = figure.add_subplot()
    axes.axvline(0, color="#999999", linewidth=1)
    for position, kind in enumerate(kinds):
        label, color = KINDS[kind]
        shift = 0.24 * (position - (len(kinds) - 1) / 2)
        there = [(index, line.differences[kind]) for index, line in enumerate(arms) if kind in line.differences]
        means = np.array([one.mean for _, one in there])
        ends = np.array([[one.mean - one.low, one.high - one.mean] for _, one in there]).T
        places = [index + shift for index, _ in there]
        axes.errorbar(means, places, xerr=ends, fmt="o", color=color, capsize=3, label=label)
    axes.set_yticks(range(len(arms)), [figure_text(found.name(line)) for line in arms])
    axes.invert_yaxis()
    axes.set_xlabel(f"difference in {_metric(found)} to the plain student, {100 * LEVEL:g} % interval")
    _finish(axes)
    figure.legend(fontsize="small", loc="outside upper center", ncols=len(kinds), frameon=False)
    return figure


def training_courses(found: Findings, curves: Mapping[Cell, Curve]) -> Figure | None:
    """Losses and validations over the minutes of training, in one colour an arm and one line a training.

    Args:
        found (Findings): What was found.
        curves (Mapping[Cell, Curve]): Of trainings: the task's own loss of each iteration, and the metric by
            iteration, as the report shows it.

    Returns:
        Figure, optional: Over iterations, where minutes are not known or of different devices; None without curves.
    """
    if not curves:
        return None
    steps = _minutes_of_an_iteration(found, curves)
    timed = times_comparable(found.rows) and all(step is not None for step in steps.values())
    order = [arm for arm in found.setting.arms if any(cell.arm == arm for cell in curves)]
    order += [arm for arm in dict.fromkeys(cell.arm for cell in curves) if arm not in order]
    window = max([1, *(len(curve.loss) // 50 for curve in curves.values())])
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    handles: dict[str, Any] = {}
    for cell, curve in sorted(curves.items()):
        step = steps[cell] if timed else 1.0
        style = {"color": _color(cell.arm, found), "linewidth": 1.2, "alpha": 0.8}
        at = np.arange(1, len(curve.loss) + 1)
        kept = np.unique(np.linspace(0, len(at) - 1, min(len(at), MOST_POINTS)).round().astype(int))
        left.plot((at * step)[kept], smooth(curve.loss, window)[kept], **style)
        times = [iteration * step for iteration in curve.validations]
        handles[cell.arm] = right.plot(times, list(curve.validations.values()), marker="o", markersize=3, **style)[0]
    left.set_ylabel("task loss, training")
    right.set_ylabel(_metric(found))
    for axes in (left, right):
        axes.set_xlabel("minutes" if timed else "iteration")
        axes.grid(alpha=0.3)
        _finish(axes)
    labels = [_arm(arm, found) for arm in order]
    figure.legend([handles[arm] for arm in order], labels, loc="outside lower center", ncols=4, frameon=False)
    return figure


def svg_bytes(figure: Figure) -> bytes:
    """A figure as SVG: the same figure gives the same bytes.

    Example:
        >>> svg_bytes(Figure(figsize=(1, 1))) == svg_bytes(Figure(figsize=(1, 1)))
        True
    """
    with matplotlib.rc_context({"svg.hashsalt": "mmdist", "svg.fonttype": "path"}):
        data = _saved(figure, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return DOCTYPE.sub(b"", data, count=1)


def png_bytes(figure: Figure, dpi: int = 120) -> bytes:
    """A figure as PNG: the same figure gives the same bytes.

    Args:
        figure (Figure): The figure.
        dpi (int): Pixels an inch. Defaults to 120.
    """
    return _saved(figure, format="png", dpi=dpi, metadata={"Software": None})


def _saved(figure: Figure, **options: Any) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, **options)
    return file.getvalue()


def _points(axes: Axes, there: Sequence[Line], timed: bool, **style: Any) -> None:
    there = sorted(there, key=lambda line: line.length)
    at = [line.minutes if timed else line.length for line in there]
    deviations = [line.deviation or 0.0 for line in there]
    axes.errorbar(at, [line.mean for line in there], deviations, capsize=3, **style)


def _minutes_of_an_iteration(found: Findings, curves: Mapping[Cell, Curve]) -> dict[Cell, float | None]:
    times = iteration_times(found.rows)
    own = {row.cell: row.iteration_ms for row in found.rows}
    ms = {cell: times.get(cell.arm, own.get(cell)) for cell in curves}
    return {cell: None if value is None else value / 60_000 for cell, value in ms.items()}


def _color(arm: str, found: Findings) -> str:
    """The same in every figure."""
    if arm in (PLAIN, TEACHER):
        return PLAIN_COLOR if arm == PLAIN else TEACHER_COLOR
    arms = list(found.setting.arms)
    return f"C{arms.index(arm) % 10}" if arm in arms else "#999999"


def _arm(arm: str, found: Findings) -> str:
    return figure_text(arm_name(arm, found.setting))


def _metric(found: Findings) -> str:
    metric = found.setting.metric
    name = figure_text(metric.name)
    percent = f"{name} (%)" if found.numbers.unit else name
    return percent if metric.higher else f"{percent}, less is better"


def _finish(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)

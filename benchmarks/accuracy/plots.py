"""The results as figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from benchmarks.accuracy.comparing import Line, best_factor, lines, plain_by_length
from benchmarks.accuracy.plan import Task
from benchmarks.accuracy.store import Row
from benchmarks.accuracy.tables import FIGURES, schedule

PLAIN_COLOR, EPOCHS_COLOR, TIME_COLOR = "#2f6ea5", "#d9822b", "#4c566a"


def against_minutes(task: Task, rows: Sequence[Row], found: Sequence[Line]) -> Figure:
    """The metric against the minutes of training: the plain student's course by its length, and the methods."""
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.add_subplot()
    plain = plain_by_length(rows, task.name, best_factor(rows, task.name))
    axes.errorbar(
        plain.minutes, plain["mean"], plain["sd"], color=PLAIN_COLOR, marker="o", capsize=3, label="plain student"
    )
    for index, line in enumerate(found[1:]):
        axes.errorbar(
            *(line.minutes, np.mean(line.values), np.std(line.values, ddof=1)),
            **dict(fmt="os^Dvp*hXP"[index % 10], color=f"C{index % 10}", capsize=3, label=line.name),
        )
    axes.set_xlabel("minutes of training (the teacher's not counted)")
    axes.set_ylabel(f"{task.demo.metric.name} (%), mean and standard deviation")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def forest(task: Task, found: Sequence[Line]) -> Figure:
    """The differences to the plain student with their intervals, at equal epochs and at equal time."""
    methods = found[1:]
    figure = Figure(figsize=(6.4, 1.2 + 0.5 * len(methods)), layout="constrained")
    axes = figure.add_subplot()
    axes.axvline(0, color="#999999", linewidth=1)
    kinds = (("epochs", "equal epochs", EPOCHS_COLOR, -0.14), ("time", "equal time", TIME_COLOR, 0.14))
    for kind, label, color, shift in kinds:
        there = [(i, getattr(line, kind)) for i, line in enumerate(methods) if getattr(line, kind) is not None]
        if not there:
            continue
        means = np.array([found.mean for _, found in there])
        ends = np.array([[found.mean - found.low, found.high - found.mean] for _, found in there]).T
        places = [index + shift for index, _ in there]
        axes.errorbar(means, places, xerr=ends, fmt="o", color=color, capsize=3, label=label)
    axes.set_yticks(range(len(methods)), [line.name for line in methods])
    axes.invert_yaxis()
    axes.set_xlabel(f"difference in {task.demo.metric.name} to the plain student, points, 95 % interval")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize="small")
    return figure


def write(task: Task, rows: Sequence[Row], folder: Path) -> list[Path]:
    """Draw both figures of a task; the same rows give the same files."""
    found = lines(rows, task, best_factor(rows, task.name), schedule(task))
    figures = dict(zip(FIGURES, (against_minutes(task, rows, found), forest(task, found)), strict=True))
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    with matplotlib.rc_context({"svg.hashsalt": "mmdist"}):
        for name, figure in figures.items():
            paths.append(folder / f"accuracy-{task.name}-{name}.svg")
            figure.savefig(paths[-1], metadata={"Date": None})
    return paths

"""The results as Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.accuracy.comparing import (
    Difference,
    Line,
    best_factor,
    iteration_times,
    lines,
    search_table,
    teacher_row,
)
from benchmarks.accuracy.plan import NAMES, PLAIN, ROOT, TEACHER, Task, search_seeds
from benchmarks.accuracy.store import Row
from mmdist.cli.demo.schedule import iterations_of
from mmdist.engine import atomic
from mmdist.engine.config import load_config

# What is drawn of a task, and how it is called beside the page.
FIGURES = {
    "minutes": "The metric against the minutes of training.",
    "differences": "Differences to the plain student, with their intervals.",
}
CONFIGS = ROOT / "configs" / "demo"


def schedule(task: Task) -> int:
    """How many iterations a task's configs train for."""
    config = task.config(PLAIN)
    return iterations_of(load_config(str(CONFIGS / config)), config)


def spread(values: Sequence[float]) -> str:
    """Mean and standard deviation, such as ``76.12 ± 0.42``."""
    return f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}" if len(values) > 1 else f"{values[0]:.2f}"


def difference(found: Difference | None) -> str:
    """Mean, interval and verdict of a difference."""
    if found is None:
        return "-"
    text = f"{found.mean:+.2f} [{found.low:+.2f}, {found.high:+.2f}]"
    return f"**{text} {found.verdict()}**" if found.significant else text


def comparison(task: Task, found: Sequence[Line]) -> str:
    """The table of one task."""
    metric = task.demo.metric.name
    head = (
        f"| method | seeds | {metric} | difference at equal epochs | minutes | plain student, equal time "
        "| difference at equal time |"
    )
    rows = [head, "|---|--:|--:|--:|--:|--:|--:|"]
    for line in found:
        long = f"{spread(line.long_values)} ({line.long_minutes:.2f} min)" if line.long_values else "-"
        note = "" if line.teacher is None else f" (teacher afterwards: {line.teacher:.1f})"
        rows.append(
            f"| {line.name}{note} | {len(line.values)} | {spread(line.values)} | {difference(line.epochs)} "
            f"| {line.minutes:.2f} | {long} | {difference(line.time)} |"
        )
    return "\n".join(rows)


def search(task: Task, rows: Sequence[Row], method: str = PLAIN) -> str:
    """The learning rates that were tried for the plain student, the teacher or a method."""
    config = load_config(str(CONFIGS / task.config(method)))
    rate = config.optim_wrapper.optimizer.lr
    seeds = " and ".join(map(str, search_seeds(method)))
    head = f"{NAMES.get(method, method)}: learning rate"
    lines = [f"| {head} | {task.demo.metric.name} of seed {seeds} | mean |", "|--:|--:|--:|"]
    chosen = best_factor(rows, task.name, method)
    for factor, line in search_table(rows, task.name, method).iterrows():
        values = ", ".join(f"{value:.2f}" for value in line["values"])
        mean = f"{line['mean']:.2f}"
        lines.append(f"| {rate * factor:g} | {values} | {f'**{mean}**' if factor == chosen else mean} |")
    return "\n".join(lines)


def made(task: Task, rows: Sequence[Row]) -> str:
    """How long the task's trainings took, when and with which version of PyTorch they were made."""
    own = [row for row in rows if row.task == task.name]
    days = sorted({row.finished[:10] for row in own})
    versions = ", ".join(sorted({row.torch for row in own}))
    period = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    hours = sum(row.iterations * row.iteration_ms for row in own) / 3_600_000
    return f"{len(own)} trainings, {hours:.1f} hours of one thread, {period}, torch {versions}."


def section(task: Task, rows: Sequence[Row], iterations: int | None = None) -> str:
    """All tables of one task, and one line about its teacher; '' where too little is there.

    Args:
        task (Task): The task.
        rows (Sequence[Row]): All rows.
        iterations (int, optional): Length of the schedule; that of the configs by default.
    """
    iterations = iterations or schedule(task)
    try:
        factor = best_factor(rows, task.name)
    except ValueError:
        return ""
    found = lines(rows, task, factor, iterations)
    teacher = teacher_row(rows, task.name)
    if len(found) < 2 or teacher is None:
        return ""
    student = next(row for row in rows if row.task == task.name and row.method == PLAIN)
    metric = task.demo.metric.name
    minutes = teacher.iterations * iteration_times(rows, task.name).get(TEACHER, teacher.iteration_ms) / 60_000
    facts = (
        f"Teacher: {metric} {teacher.metric:.2f}, {teacher.parameters:,} parameters, {minutes:.2f} minutes; student: "
        f"{student.parameters:,} parameters, {iterations} iterations."
    )
    figures = [f"![{caption}](accuracy-{task.name}-{name}.svg)" for name, caption in FIGURES.items()]
    tuned = [method for method in task.tuned if not search_table(rows, task.name, method).empty]
    searches = ["The search of the learning rates:", *(search(task, rows, who) for who in (PLAIN, TEACHER, *tuned))]
    parts = [f"{facts} {made(task, rows)}", comparison(task, found), *figures, *searches]
    return "\n\n".join(parts)


def insert(page: str, name: str, text: str) -> str:
    """A page with what stands between two marks replaced.

    Args:
        page (str): Markdown with ``<!-- begin NAME -->`` and ``<!-- end NAME -->``.
        name (str): Of the marks.
        text (str): What is to stand between them.

    Raises:
        ValueError: The marks are not there.

    Example:
        >>> insert('<!-- begin a -->old<!-- end a -->', 'a', 'new').splitlines()[2]
        'new'
    """
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(page):
        raise ValueError(f"expected {begin} and {end} in the page")
    return pattern.sub(lambda _: f"{begin}\n\n{text}\n\n{end}", page)


def update(path: Path, sections: dict[str, str]) -> None:
    """Write the sections into a page, each between its marks."""
    page = path.read_text(encoding="utf-8")
    for name, text in sections.items():
        page = insert(page, name, text)
    atomic.write_text(page, path)

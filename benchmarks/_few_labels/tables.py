"""The results as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks._few_labels.configs import FILES
from benchmarks._few_labels.plan import (
    ALL,
    FINAL,
    ITERATIONS,
    NAMES,
    OTHER,
    OWN,
    PLAIN,
    PSEUDO,
    SEARCH,
    SEARCH_SEED,
    SEEDS,
    SETTINGS,
    TEACHER,
    TIMING,
)
from benchmarks._few_labels.store import Row
from benchmarks.accuracy.comparing import Difference, paired
from benchmarks.accuracy.plan import ROOT
from benchmarks.accuracy.tables import spread
from mmdist.engine.config import load_config


@dataclass(frozen=True)
class Line:
    """An arm at one length, rate and weight.

    Args:
        arm (str): A key of ``NAMES``.
        rows (tuple[Row, ...]): One a seed.
    """

    arm: str
    rows: tuple[Row, ...]

    @property
    def values(self) -> list[float]:
        return [row.metric for row in self.rows]

    @property
    def mean(self) -> float:
        return float(np.mean(self.values))

    @property
    def name(self) -> str:
        length = self.rows[0].iterations / ITERATIONS
        return NAMES[self.arm] + ("" if length == 1 else f", {length:g} schedules")


def lines(rows: Sequence[Row], setting: str) -> list[Line]:
    """The reported arms of a setting that have every seed, in the order of ``NAMES`` and of their lengths."""
    found: dict[tuple, list[Row]] = {}
    for row in rows:
        if row.purpose == FINAL and row.setting == setting:
            found.setdefault((list(NAMES).index(row.arm), row.iterations, row.rate, row.weight), []).append(row)
    whole = {key: sorted(group, key=lambda row: row.seed) for key, group in found.items()}
    return [Line(group[0].arm, tuple(group)) for _, group in sorted(whole.items()) if len(group) == len(SEEDS)]


def difference(line: Line, reference: Line | None) -> str:
    """Mean and interval of the paired differences."""
    if reference is None or line is reference:
        return "-"
    found: Difference = paired(line.values, reference.values)
    return f"{found.mean:+.1f} [{found.low:+.1f}, {found.high:+.1f}]"


def minutes(rows: Sequence[Row], line: Line) -> str:
    """The time of an iteration, timed alone, times their number."""
    times = [row.iteration_ms for row in rows if row.purpose == TIMING and row.arm == line.arm]
    return f"{line.rows[0].iterations * np.median(times) / 60_000:.1f}" if times else "-"


def comparison(rows: Sequence[Row], setting: str) -> str:
    """The table of a setting; '' where the plain student or every arm is missing."""
    plain, taught = lines(rows, ALL), lines(rows, setting)
    if not plain or not taught:
        return ""
    best = max(plain, key=lambda line: line.mean)
    pseudo = max((line for line in taught if line.arm == PSEUDO), key=lambda line: line.mean, default=None)
    head = "| arm | mIoU | beside the best plain student | beside the best pseudo-labels | minutes |"
    table = [head, "|---|--:|--:|--:|--:|"]
    for line in (*plain, *taught):
        own = "-" if line.arm == PLAIN else difference(line, pseudo)
        table.append(
            f"| {line.name} | {spread(line.values)} | {difference(line, best)} | {own} | {minutes(rows, line)} |"
        )
    return "\n".join(table)


def teacher(rows: Sequence[Row], setting: str) -> str:
    """What the teachers of the reported trainings reach."""
    found = [row for row in rows if row.arm == TEACHER and row.setting == setting]
    if setting == OWN:
        found = [row for row in found if row.seed in SEEDS]
    elif found:
        found = [max(found, key=lambda row: row.metric)]
    if not found:
        return ""
    values = ", ".join(f"{row.metric:.1f}" for row in sorted(found, key=lambda row: row.seed))
    return f"Teacher: mIoU {values}; {found[0].parameters:,} parameters."


def searches(rows: Sequence[Row]) -> str:
    """Every training of the searches."""
    found = [row for row in rows if row.purpose == SEARCH and row.seed == SEARCH_SEED]
    table = ["| setting | arm | iterations | learning rate | weight | mIoU |", "|---|---|--:|--:|--:|--:|"]
    # The teachers' config has the same.
    rate = load_config(str(ROOT / "configs" / "demo" / FILES[PLAIN])).optim_wrapper.optimizer.lr
    order = {setting: index for index, setting in enumerate((ALL, OTHER, OWN))}
    names = [*NAMES, TEACHER]
    for row in sorted(found, key=lambda r: (order[r.setting], names.index(r.arm), r.iterations, r.rate, r.weight)):
        name = NAMES.get(row.arm, row.arm)
        numbers = f"{row.iterations} | {rate * row.rate:g} | {row.weight:g} | {row.metric:.1f}"
        table.append(f"| {row.setting} | {name} | {numbers} |")
    return "\n".join(table)


def made(rows: Sequence[Row]) -> str:
    """How long the trainings took, when and with which version of PyTorch they were made."""
    days = sorted({row.finished[:10] for row in rows})
    hours = sum(row.iterations * row.iteration_ms for row in rows) / 3_600_000
    period = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    versions = ", ".join(sorted({row.torch for row in rows}))
    return f"{len(rows)} trainings, {hours:.1f} hours of one thread, {period}, torch {versions}."


def sections(rows: Sequence[Row]) -> dict[str, str]:
    """The page's sections, by their marks."""
    found = {}
    for mark, setting in SETTINGS.items():
        table = comparison(rows, setting)
        found[mark] = f"{teacher(rows, setting)}\n\n{table}" if table else "Not measured yet."
    if rows:
        found["searches"] = f"{made(rows)}\n\n{searches(rows)}"
    return found

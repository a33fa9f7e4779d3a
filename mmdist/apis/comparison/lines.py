"""From trainings to the lines of the table: one an arm and length, with its differences to the plain student."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from mmdist.apis.comparison.cells import FINAL, PLAIN, SEARCH, TIMING
from mmdist.apis.comparison.results import Row, Setting, usable
from mmdist.apis.comparison.statistics import Difference, discoveries, paired

KINDS = ("equal", "time", "best")  # the plain student at equal length, at equal time, and at its best length


@dataclass(frozen=True)
class Line:
    """An arm at one length, learning rate and weight.

    Args:
        arm (str): Its name.
        length (int): In the unit of the setting.
        rate (float): Times the config's learning rate.
        weight (float): Times the weights of what the teacher says.
        values (Mapping[int, float]): The metric by seed.
        minutes (float, optional): Of the training, by the time of an iteration that was measured alone.
        trials (int): Trainings that chose its rate, weight and length.
        failed (int): Seeds that failed.
        teacher (float, optional): Mean of the teacher's metric afterwards, where it learns.
        references (Mapping[str, int]): By kind, the length of the plain student that it is compared with.
        differences (Mapping[str, Difference]): By kind, to that plain student.
    """

    arm: str
    length: int
    rate: float
    weight: float
    values: Mapping[int, float]
    minutes: float | None = None
    trials: int = 0
    failed: int = 0
    teacher: float | None = None
    references: Mapping[str, int] = field(default_factory=dict)
    differences: Mapping[str, Difference] = field(default_factory=dict)

    @property
    def mean(self) -> float:
        return float(np.mean(list(self.values.values())))

    @property
    def deviation(self) -> float | None:
        """Standard deviation over the seeds; None with one."""
        return float(np.std(list(self.values.values()), ddof=1)) if len(self.values) > 1 else None


def equal_time_length(length: int, ratio: float, step: float, up: bool = True) -> int:
    """How long the plain student trains to take as long as an arm; never shorter than a schedule.

    Args:
        length (int): Of a schedule.
        ratio (float): Time of the arm's iteration in the plain student's.
        step (float): In schedules.
        up (bool): Whether to round up, else to the nearest. Defaults to True.

    Example:
        >>> equal_time_length(800, 1.6, 0.5), equal_time_length(800, 1.6, 0.5, up=False)
        (1600, 1200)
        >>> equal_time_length(12, 0.9, 0.25), equal_time_length(10, 1.25, 0.25)
        (12, 13)
    """
    # a hair above a step is that step: a ratio is no better known than that
    steps = math.ceil(ratio / step - 0.02) if up else math.floor(ratio / step + 0.5)
    count = length * max(1.0, steps * step)
    return math.ceil(count - 1e-6) if up else round(count)


def iteration_times(rows: Sequence[Row]) -> dict[str, float]:
    """By arm, the milliseconds of an iteration where it was timed alone: the median; empty where devices differ."""
    timed = [row for row in rows if row.purpose == TIMING and row.iteration_ms is not None]
    if len({row.device for row in timed}) > 1:
        return {}
    return {
        arm: float(np.median([row.iteration_ms for row in timed if row.arm == arm]))
        for arm in dict.fromkeys(row.arm for row in timed)
    }


def time_ratios(rows: Sequence[Row]) -> dict[str, float]:
    """By arm, its time in the plain student's on a schedule of the same length; empty where they were not timed.

    An epoch counts for as many iterations as it has: an arm with other data or another batch has others.
    """
    times, counts = iteration_times(rows), _iterations_in_a_length(rows)
    if PLAIN not in times:
        return {}
    of_plain = counts.get(PLAIN)
    more = {arm: counts[arm] / of_plain for arm in times if of_plain and arm in counts}
    return {arm: ms / times[PLAIN] * more.get(arm, 1.0) for arm, ms in times.items()}


def _iterations_in_a_length(rows: Sequence[Row]) -> dict[str, float]:
    """By arm: 1 where lengths count iterations."""
    found: dict[str, list[float]] = {}
    for row in rows:
        if row.iterations and row.purpose != TIMING:
            found.setdefault(row.arm, []).append(row.iterations / row.length)
    return {arm: float(np.median(counts)) for arm, counts in found.items()}


def lines(rows: Sequence[Row], setting: Setting) -> list[Line]:
    """The lines of the table: the plain student by its lengths, then the arms in their order.

    Args:
        rows (Sequence[Row]): All rows.
        setting (Setting): What was compared.
    """
    plain, taught = [], []
    for line in _groups(rows, setting):
        (plain if line.arm == PLAIN else taught).append(line)
    ratios = time_ratios(rows)
    taught = [_beside(line, plain, setting, ratios) for line in taught]
    for kind in KINDS:
        found = {str(i): line.differences[kind] for i, line in enumerate(taught) if kind in line.differences}
        for index, difference in discoveries(found).items():
            line = taught[int(index)]
            taught[int(index)] = replace(line, differences={**line.differences, kind: difference})
    return [*plain, *taught]


def best_plain(found: Sequence[Line], higher: bool = True) -> Line | None:
    """The plain student at its best length among some lines."""
    plain = [line for line in found if line.arm == PLAIN and line.values]
    return (max if higher else min)(plain, key=lambda line: line.mean, default=None)


def _groups(rows: Sequence[Row], setting: Setting) -> list[Line]:
    finals = [row for row in rows if row.purpose == FINAL and row.arm in setting.arms]
    order = list(setting.arms)
    keys = sorted({(order.index(row.arm), row.length, row.rate, row.weight) for row in finals})
    return [_line(rows, [row for row in finals if _key(row, order) == key]) for key in keys]


def _key(row: Row, order: Sequence[str]) -> tuple[int, int, float, float]:
    return order.index(row.arm), row.length, row.rate, row.weight


def _line(rows: Sequence[Row], own: Sequence[Row]) -> Line:
    first, good = own[0], sorted(usable(own), key=lambda row: row.seed)
    times = iteration_times(rows)
    ms = times.get(first.arm) if times else None
    if ms is None and len({row.device for row in good}) == 1:
        ms = float(np.median([row.iteration_ms for row in good if row.iteration_ms is not None] or [np.nan]))
    iterations = next((row.iterations for row in good if row.iterations), None)
    teachers = [row.teacher_metric for row in good if row.teacher_metric is not None]
    return Line(
        *(first.arm, first.length, first.rate, first.weight),
        {row.seed: row.metric for row in good if row.metric is not None},
        minutes=None if ms is None or not math.isfinite(ms) or iterations is None else iterations * ms / 60_000,
        trials=sum(row.purpose == SEARCH and row.arm == first.arm for row in rows),
        failed=len(own) - len(good),
        teacher=float(np.mean(teachers)) if teachers else None,
    )


def _beside(line: Line, plain: Sequence[Line], setting: Setting, ratios: Mapping[str, float]) -> Line:
    sign = 1 if setting.metric.higher else -1
    there = sorted((other for other in plain if other.values), key=lambda other: sign * other.mean)
    by_length = {other.length: other for other in there}  # of several rates the best
    wanted: dict[str, int | None] = {"equal": line.length}
    if line.arm in ratios:
        schedules = ratios[line.arm] * line.length / setting.length
        wanted["time"] = equal_time_length(setting.length, schedules, setting.time_step, setting.time_up)
    best = best_plain(plain, setting.metric.higher)
    if best is not None and len(by_length) > 1:
        wanted["best"] = best.length
    references, differences = {}, {}
    for kind, length in wanted.items():
        other = best if kind == "best" else by_length.get(length) if length is not None else None
        if other is None:
            continue
        seeds = [seed for seed in line.values if seed in other.values]
        references[kind] = other.length
        if len(seeds) > 1:
            differences[kind] = paired([line.values[s] for s in seeds], [other.values[s] for s in seeds])
    return replace(line, references=references, differences=differences)

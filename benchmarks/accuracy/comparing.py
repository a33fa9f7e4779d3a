"""From trainings to statements: means, paired differences, and whether they are more than noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import stats

from benchmarks.accuracy.plan import EPOCHS, PLAIN, SEARCH, TEACHER, TIME, TIMING, Task, longer
from benchmarks.accuracy.store import COLUMNS, Row

LEVEL = 0.95  # of the intervals
RATE = 0.05  # of false discoveries among a task's methods


def frame(rows: Sequence[Row], task: str) -> pd.DataFrame:
    """The rows of one task; ``minutes`` are the time of an iteration, timed alone, times their number."""
    found = pd.DataFrame([vars(row) for row in rows if row.task == task], columns=COLUMNS)
    times = found.method.map(iteration_times(rows, task)).fillna(found.iteration_ms)
    return found.assign(minutes=found.iterations * times / 60_000)


def iteration_times(rows: Sequence[Row], task: str) -> dict[str, float]:
    """By method, the milliseconds of an iteration where it was timed alone: the median of those trainings."""
    own = pd.DataFrame([vars(row) for row in rows if row.task == task and row.purpose == TIMING], columns=COLUMNS)
    return {str(method): float(ms) for method, ms in own.groupby("method").iteration_ms.median().items()}


def best_factor(rows: Sequence[Row], task: str, method: str = PLAIN) -> float:
    """The learning rate's factor that was best in the search.

    Args:
        rows (Sequence[Row]): All rows.
        task (str): The task's name.
        method (str): Whose: ``plain`` or ``teacher``.

    Raises:
        ValueError: Nothing was searched.
    """
    found = search_table(rows, task, method)
    if found.empty:
        raise ValueError(f"{task}: no learning rate was searched for {method}")
    return float(found["mean"].idxmax())


def search_table(rows: Sequence[Row], task: str, method: str = PLAIN) -> pd.DataFrame:
    """Mean and values of the plain student's or the teacher's search, by the learning rate's factor."""
    found = frame(rows, task)
    searched = found[(found.purpose == SEARCH) & (found.method == method)]
    grouped = searched.sort_values("seed").groupby("lr_factor").metric
    return pd.DataFrame({"mean": grouped.mean(), "values": grouped.apply(list)})


def time_ratios(rows: Sequence[Row], task: str) -> dict[str, float]:
    """By method, the time of an iteration in the plain student's; empty where they were not timed."""
    times = iteration_times(rows, task)
    if PLAIN not in times:
        return {}
    return {method: ms / times[PLAIN] for method, ms in times.items() if method not in (PLAIN, TEACHER)}


@dataclass(frozen=True)
class Difference:
    """A paired difference to the plain student.

    Args:
        mean (float): Mean over the seeds, in points.
        low (float): Lower end of the interval.
        high (float): Upper end.
        p (float): Of a paired t-test.
        significant (bool): Whether it stays a discovery among all methods of the task.
    """

    mean: float
    low: float
    high: float
    p: float
    significant: bool = False

    @property
    def verdict(self) -> str:
        if not self.significant:
            return "not beyond noise"
        return "better" if self.mean > 0 else "worse"


@dataclass(frozen=True)
class Line:
    """A method in a task.

    Args:
        method (str): A key of ``NAMES``.
        values (tuple[float, ...]): The metric of each seed, in percent.
        minutes (float): Median.
        teacher (float | None): Mean of the teacher's metric afterwards, where it learns.
        epochs (Difference | None): To the plain student at equal epochs; None for itself.
        long_minutes (float | None): What the plain student at equal time took.
        long_values (tuple[float, ...]): Its metric.
        time (Difference | None): To the plain student at equal time.
    """

    method: str
    values: tuple[float, ...]
    minutes: float
    teacher: float | None = None
    epochs: Difference | None = None
    long_minutes: float | None = None
    long_values: tuple[float, ...] = ()
    time: Difference | None = None


def paired(values: Sequence[float], reference: Sequence[float]) -> Difference:
    """Mean of the differences, with the interval of a paired t-test.

    Args:
        values (Sequence[float]): (seeds,).
        reference (Sequence[float]): (seeds,) of the same seeds.

    Returns:
        Difference: Not yet set against the others.

    Raises:
        ValueError: Fewer than two pairs.

    Example:
        >>> paired([3.0, 5.0], [1.0, 2.0]).mean
        2.5
    """
    if len(values) != len(reference) or len(values) < 2:
        raise ValueError(f"expected at least two pairs, got {len(values)} and {len(reference)} values")
    found = stats.ttest_rel(values, reference)
    mean = float(np.mean(np.subtract(values, reference)))
    if not np.isfinite(found.pvalue):  # every difference is the same: the test divides by its spread
        return Difference(mean, mean, mean, 1.0 if mean == 0 else 0.0)
    interval = found.confidence_interval(LEVEL)
    return Difference(mean, float(interval.low), float(interval.high), float(found.pvalue))


def discoveries(differences: Mapping[str, Difference]) -> dict[str, Difference]:
    """Mark the differences that stay when the false discovery rate over all of them is held at 5 %."""
    if not differences:
        return {}
    adjusted = stats.false_discovery_control([found.p for found in differences.values()])
    return {
        name: replace(found, significant=bool(value <= RATE))
        for (name, found), value in zip(differences.items(), adjusted, strict=True)
    }


def lines(rows: Sequence[Row], task: Task, factor: float, iterations: int) -> list[Line]:
    """The methods of a task that have at least two seeds, the plain student first.

    Args:
        rows (Sequence[Row]): All rows.
        task (Task): The task.
        factor (float): Times the config's learning rate.
        iterations (int): Of the schedule.
    """
    found = frame(rows, task.name)
    found = found[found.lr_factor == factor]
    equal = found[(found.purpose == EPOCHS) & (found.iterations == iterations)]
    metric = equal.pivot(index="seed", columns="method", values="metric")
    if PLAIN not in metric:
        return []
    ratios = time_ratios(rows, task.name)
    long = found[found.purpose == TIME].pivot(index="seed", columns="iterations", values="metric")
    long[iterations] = metric[PLAIN]
    minutes = equal.groupby("method").minutes.median()
    long_minutes = found[(found.method == PLAIN) & found.purpose.isin((EPOCHS, TIME))].groupby("iterations").minutes
    epochs, times, made = {}, {}, []
    for method in task.methods:
        if method not in metric or method not in ratios:
            continue
        pairs = metric[[method, PLAIN]].dropna()
        if len(pairs) < 2:
            continue
        epochs[method] = paired(pairs[method].tolist(), pairs[PLAIN].tolist())
        length = longer(iterations, ratios[method])
        both = metric[[method]].join(long.get(length, pd.Series(dtype=float)).rename("long")).dropna()
        if len(both) == len(pairs):
            times[method] = paired(both[method].tolist(), both.long.tolist())
        teacher = equal[equal.method == method].teacher_metric.mean()
        made.append(
            Line(
                method,
                tuple(pairs[method]),
                float(minutes[method]),
                None if pd.isna(teacher) else float(teacher),
                long_minutes=float(long_minutes.median().get(length, np.nan)),
                long_values=tuple(both.long),
            )
        )
    epochs, times = discoveries(epochs), discoveries(times)
    plain = Line(PLAIN, tuple(metric[PLAIN].dropna()), float(minutes[PLAIN]))
    return [plain, *(replace(line, epochs=epochs[line.method], time=times.get(line.method)) for line in made)]


def plain_by_length(rows: Sequence[Row], task: str, factor: float) -> pd.DataFrame:
    """The plain student by length of training: mean and standard deviation of the metric, minutes."""
    found = frame(rows, task)
    plain = found[(found.method == PLAIN) & found.purpose.isin((EPOCHS, TIME)) & (found.lr_factor == factor)]
    grouped = plain.groupby("iterations")
    return pd.DataFrame(
        {"mean": grouped.metric.mean(), "sd": grouped.metric.std(ddof=1), "minutes": grouped.minutes.median()}
    )


def teacher_row(rows: Sequence[Row], task: str) -> Row | None:
    """The teacher: the best of its search."""
    searched = [row for row in rows if row.task == task and row.method == TEACHER]
    factor = best_factor(searched, task, TEACHER) if searched else None
    return next((row for row in searched if row.lr_factor == factor), None)

"""From trainings to statements: means, paired differences, and whether they are more than noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from benchmarks.accuracy.plan import EPOCHS, NAMES, PLAIN, SEARCH, TEACHER, TIME, TIMING, Task, longer
from benchmarks.accuracy.store import COLUMNS, Row
from mmdist.apis.comparison.statistics import Difference, discoveries, paired


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
        method (str): Whose: ``plain``, ``teacher`` or a method.

    Raises:
        ValueError: Nothing was searched.
    """
    found = search_table(rows, task, method)
    if found.empty:
        raise ValueError(f"{task}: no learning rate was searched for {method}")
    return float(found["mean"].idxmax())


def search_table(rows: Sequence[Row], task: str, method: str = PLAIN) -> pd.DataFrame:
    """Mean and values of a search, by the learning rate's factor."""
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
class Line:
    """A method in a task.

    Args:
        method (str): A key of ``NAMES``.
        own_rate (bool): Whether the learning rate is the best for the method, and not the plain student's.
        values (tuple[float, ...]): The metric of each seed, in percent.
        minutes (float): Median.
        teacher (float | None): Mean of the teacher's metric afterwards, where it learns.
        epochs (Difference | None): To the plain student at equal epochs; None for itself.
        long_minutes (float | None): What the plain student at equal time took.
        long_values (tuple[float, ...]): Its metric.
        time (Difference | None): To the plain student at equal time.
    """

    method: str
    own_rate: bool
    values: tuple[float, ...]
    minutes: float
    teacher: float | None = None
    epochs: Difference | None = None
    long_minutes: float | None = None
    long_values: tuple[float, ...] = ()
    time: Difference | None = None

    @property
    def name(self) -> str:
        return NAMES[self.method] + (", own rate" if self.own_rate else "")


def kinds(rows: Sequence[Row], task: Task, factor: float) -> list[tuple[str, float]]:
    """Methods and learning rates that are compared: the plain student's, and a tuned method's own where it is another.

    Args:
        rows (Sequence[Row]): All rows.
        task (Task): The task.
        factor (float): The plain student's.
    """
    found = []
    for method in task.methods:
        found.append((method, factor))
        try:
            own = best_factor(rows, task.name, method) if method in task.tuned else factor
        except ValueError:  # not searched yet
            continue
        if own != factor:
            found.append((method, own))
    return found


def lines(rows: Sequence[Row], task: Task, factor: float, iterations: int) -> list[Line]:
    """The methods of a task that have at least two seeds, the plain student first.

    Args:
        rows (Sequence[Row]): All rows.
        task (Task): The task.
        factor (float): Of the plain student's learning rate, times the config's.
        iterations (int): Of the schedule.
    """
    found = frame(rows, task.name)
    equal = found[(found.purpose == EPOCHS) & (found.iterations == iterations)]
    metric = equal.pivot(index="seed", columns=["method", "lr_factor"], values="metric")
    if (PLAIN, factor) not in metric:
        return []
    plain = metric[PLAIN, factor].dropna()
    ratios = time_ratios(rows, task.name)
    longs = found[(found.purpose == TIME) & (found.lr_factor == factor)]
    long = longs.pivot(index="seed", columns="iterations", values="metric")
    long[iterations] = plain
    minutes = equal.groupby("method").minutes.median()
    made = []
    for method, rate in kinds(rows, task, factor):
        if (method, rate) not in metric or method not in ratios:
            continue
        values = metric[method, rate].dropna()
        values = values[values.index.isin(plain.index)]
        if len(values) < 2:
            continue
        length = longer(iterations, ratios[method])
        beside = long.get(length, pd.Series(dtype=float)).reindex(values.index)
        teacher = equal[(equal.method == method) & (equal.lr_factor == rate)].teacher_metric.mean()
        made.append(
            Line(
                *(method, rate != factor, tuple(values), float(minutes[method])),
                teacher=None if pd.isna(teacher) else float(teacher),
                epochs=paired(values.tolist(), plain[values.index].tolist()),
                long_minutes=float(minutes[PLAIN]) * length / iterations,
                long_values=tuple(beside.dropna()),
                time=paired(values.tolist(), beside.tolist()) if beside.notna().all() else None,
            )
        )
    epochs = discoveries({line.name: line.epochs for line in made if line.epochs})
    times = discoveries({line.name: line.time for line in made if line.time})
    first = Line(PLAIN, False, tuple(plain), float(minutes[PLAIN]))
    return [first, *(replace(line, epochs=epochs[line.name], time=times.get(line.name)) for line in made)]


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

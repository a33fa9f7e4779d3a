"""What is trained next: a pure function of the plan and of what has been trained."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from mmdist.apis.comparison.cells import FINAL, PLAIN, SEARCH, TEACHER, TIMING, Cell
from mmdist.apis.comparison.lines import equal_time_length, time_ratios
from mmdist.apis.comparison.plan import CONFIGS, OWN, Arm, Plan
from mmdist.apis.comparison.results import Row
from mmdist.errors import MMDistError

MOST = 9  # factors of a search
TIMING_SEED = 200
ROUNDS = 2  # of timing, one arm after the other, so that what changes on the machine touches all of them
AROUND = (0.5, 1.0, 2.0)  # of the plain student's rate, at each further length


@dataclass(frozen=True)
class Batch:
    """Trainings that wait for none of each other.

    Args:
        what (str): In words.
        cells (tuple[Cell, ...]): The trainings.
        alone (bool): Whether nothing may run beside each of them. Defaults to False.
    """

    what: str
    cells: tuple[Cell, ...]
    alone: bool = False


@dataclass(frozen=True)
class Lengths:
    """How long things take.

    Args:
        schedule (int): Of the student's config.
        teacher (int): Of the teacher's config.
        timing (int): Of a timing training.
        higher (bool): Whether more of the metric is better. Defaults to True.
        time_step (float): Of the lengths at equal time, in schedules. Defaults to 0.25.
    """

    schedule: int
    teacher: int
    timing: int
    higher: bool = True
    time_step: float = 0.25


Rows = Mapping[Cell, Row]
CellsOf = Callable[[float], list[Cell]]  # from a factor to its trainings, one a seed


def next_batch(plan: Plan, lengths: Lengths, rows: Rows) -> Batch | None:
    """The next trainings that are missing; None when the comparison is complete.

    Args:
        plan (Plan): What is compared.
        lengths (Lengths): In the unit of the student's config.
        rows (Mapping[Cell, Row]): What has been trained, failures among them.

    Raises:
        MMDistError: Everything that the rest depends on has failed.
    """
    for batch in _batches(plan, lengths, rows):
        missing = tuple(cell for cell in dict.fromkeys(batch.cells) if cell not in rows)
        if missing:
            return replace(batch, cells=missing)
    return None


def wider(factors: Iterable[float], best: float) -> tuple[float, ...]:
    """The factors of a search, and the next one beyond an end at which the best stands.

    Example:
        >>> wider((1.0, 2.0), 2.0), wider((1.0, 2.0, 4.0), 2.0)
        ((1.0, 2.0, 4.0), (1.0, 2.0, 4.0))
    """
    known = sorted(factors)
    if best == known[0]:
        return (best / 2, *known)
    return (*known, 2 * best) if best == known[-1] else tuple(known)


def teacher_of(plan: Plan, lengths: Lengths, rows: Rows, cell: Cell) -> Cell | None:
    """The training whose checkpoint teaches in a cell; None where that is given, or nobody teaches.

    Args:
        plan (Plan): What is compared.
        lengths (Lengths): Of the schedules.
        rows (Mapping[Cell, Row]): With the search of the teacher.
        cell (Cell): A training.
    """
    if plan.teacher is None or plan.teacher.checkpoint or cell.arm == TEACHER or not plan.arm(cell.arm).taught:
        return None
    found = Search(rows, lengths.higher).best(_teacher_cells(plan, lengths, rows))
    if found is None or not plan.teacher.each_seed or cell.purpose != FINAL:
        return found  # searches and timings have seeds that no teacher is trained for
    return replace(found, seed=cell.seed)


@dataclass(frozen=True)
class Search:
    """Looks for the best among some trainings.

    Args:
        rows (Mapping[Cell, Row]): What has been trained.
        higher (bool): Whether more of the metric is better.
    """

    rows: Rows
    higher: bool

    def value(self, cell: Cell) -> float | None:
        row = self.rows.get(cell)
        return None if row is None or row.metric is None or not math.isfinite(row.metric) else row.metric

    def best(self, cells: Iterable[Cell]) -> Cell | None:
        """The training with the best metric, on average over its seeds; None where every one of them has failed.

        Of equal ones it is that whose settings are nearest to the config's.
        """
        groups: dict[Cell, list[float | None]] = {}
        first: dict[Cell, Cell] = {}
        for cell in dict.fromkeys(cells):
            key = replace(cell, seed=0)
            first.setdefault(key, cell)
            groups.setdefault(key, []).append(self.value(cell))
        means = {key: float(np.mean(found)) for key, found in groups.items() if None not in found}
        if not means:
            return None
        sign = 1 if self.higher else -1
        return first[max(means, key=lambda key: (sign * means[key], -key.change))]

    def complete(self, cells: Iterable[Cell]) -> bool:
        return all(cell in self.rows for cell in cells)

    def widened(self, factors: Iterable[float], cells_of: CellsOf) -> tuple[float, ...]:
        """The factors to try: those given, and further ones as long as the best stands at an end.

        Args:
            factors (Iterable[float]): To begin with.
            cells_of (Callable): From a factor to its trainings.
        """
        tried = tuple(sorted(factors))
        while self.complete(cell for factor in tried for cell in cells_of(factor)):
            best = self.best(cell for factor in tried for cell in cells_of(factor))
            if best is None:
                break
            following = wider(tried, next(factor for factor in tried if best in cells_of(factor)))
            if following == tried or len(following) > MOST:
                break
            tried = following
        return tried


def _teacher_cells(plan: Plan, lengths: Lengths, rows: Rows) -> list[Cell]:
    if plan.teacher is None or plan.teacher.checkpoint:
        return []
    seed = plan.search_seeds[0]

    def cells_of(rate: float) -> list[Cell]:
        return [Cell(SEARCH, TEACHER, seed, lengths.teacher, rate)]

    factors = plan.teacher.rates
    if len(factors) > 1:
        factors = Search(rows, lengths.higher).widened(factors, cells_of)
    return [cell for factor in factors for cell in cells_of(factor)]


def _batches(plan: Plan, lengths: Lengths, rows: Rows) -> Iterator[Batch]:
    search = Search(rows, lengths.higher)
    if cells := _teacher_cells(plan, lengths, rows):
        yield Batch("the teacher", tuple(cells))
        if search.best(cells) is None:
            raise MMDistError("every training of the teacher failed")
    chosen: dict[str, Cell] = {}
    for arm in plan.arms:
        yield from _search_rate(plan, arm, lengths, search, chosen)
    for arm in plan.arms:
        if arm.name in chosen:
            yield from _search_weight(plan, arm, lengths, search, chosen)
    by_length = {}
    for arm in plan.arms:
        if arm.name in chosen:
            cells = _length_cells(plan, arm, lengths, search, chosen)
            if cells:
                yield Batch(f"lengths of {arm.name}", tuple(cells))
            by_length[arm.name] = search.best(cells) or chosen[arm.name]
    if plan.equal != "iterations":
        yield _timing(plan, lengths, chosen)
    if plan.teacher is not None and plan.teacher.each_seed and not plan.teacher.checkpoint:
        best = search.best(_teacher_cells(plan, lengths, rows))
        if best is not None:
            yield Batch("a teacher for each seed", tuple(replace(best, seed=seed) for seed in plan.seeds))
    yield Batch("the reported trainings", tuple(_finals(plan, lengths, rows, chosen, by_length)))


def _search_rate(plan: Plan, arm: Arm, lengths: Lengths, search: Search, chosen: dict[str, Cell]) -> Iterator[Batch]:
    """Its learning rate at one schedule; into ``chosen``, unless every training failed."""

    def cells_of(rate: float) -> list[Cell]:
        return [Cell(SEARCH, arm.name, seed, lengths.schedule, rate) for seed in plan.search_seeds]

    if arm.rate != OWN:
        rate = 1.0 if arm.rate == CONFIGS else chosen[PLAIN].rate
        chosen[arm.name] = cells_of(rate)[0]
        return
    factors = plan.rates
    if plan.around and arm.name != PLAIN and PLAIN in chosen:
        factors = tuple(chosen[PLAIN].rate * factor for factor in plan.around)
    factors = search.widened(factors, cells_of)
    cells = [cell for factor in factors for cell in cells_of(factor)]
    yield Batch(f"learning rate of {arm.name}", tuple(cells))
    best = search.best(cells)
    if best is not None:
        chosen[arm.name] = best
    elif arm.name == PLAIN:
        raise MMDistError("every training of the plain student failed")


def _search_weight(plan: Plan, arm: Arm, lengths: Lengths, search: Search, chosen: dict[str, Cell]) -> Iterator[Batch]:
    if not arm.weights:
        return
    start = chosen[arm.name]

    def cells_of(weight: float) -> list[Cell]:
        return [replace(start, weight=weight, seed=seed) for seed in plan.search_seeds]

    factors = search.widened(sorted({1.0, *arm.weights}), cells_of)
    cells = [cell for factor in factors for cell in cells_of(factor)]
    yield Batch(f"loss weight of {arm.name}", tuple(cells))
    chosen[arm.name] = search.best(cells) or start


def _length_cells(plan: Plan, arm: Arm, lengths: Lengths, search: Search, chosen: Mapping[str, Cell]) -> list[Cell]:
    """Its trainings of all lengths; the plain student's each at rates of their own, wherever these are searched."""
    start, cells = chosen[arm.name], []
    for length in sorted({1.0, *arm.lengths}) if arm.lengths else ():
        count = max(1, round(length * lengths.schedule))

        def cells_of(rate: float, count: int = count) -> list[Cell]:
            return [replace(start, length=count, rate=rate, seed=seed) for seed in plan.search_seeds]

        rates: tuple[float, ...] = (start.rate,)
        if arm.name == PLAIN and arm.rate == OWN:
            rates = search.widened([start.rate * factor for factor in AROUND], cells_of)
        cells += [cell for rate in rates for cell in cells_of(rate)]
    return cells


def _timing(plan: Plan, lengths: Lengths, chosen: Mapping[str, Cell]) -> Batch:
    cells = [
        replace(chosen[arm.name], purpose=TIMING, seed=TIMING_SEED + turn, length=lengths.timing)
        for turn in range(ROUNDS)
        for arm in plan.arms
        if arm.name in chosen
    ]
    return Batch("the time of an iteration", tuple(cells), alone=True)


def _finals(
    plan: Plan, lengths: Lengths, rows: Rows, chosen: Mapping[str, Cell], by_length: Mapping[str, Cell]
) -> Iterator[Cell]:
    """Seed by seed: what changes on the machine meanwhile touches all arms alike."""
    plain, best = chosen[PLAIN], by_length[PLAIN]
    starts = [plain, best] if plan.equal != "time" or plan.plain.lengths else []
    ratios = time_ratios(list(rows.values())) if plan.equal != "iterations" else {}
    for arm in plan.arms[1:]:
        for cell in dict.fromkeys([chosen[arm.name], by_length[arm.name]]) if arm.name in chosen else ():
            if arm.name in ratios:
                schedules = ratios[arm.name] * cell.length / lengths.schedule
                length = equal_time_length(lengths.schedule, schedules, lengths.time_step)
                starts.append(replace(_nearest(best, plain, length), length=length))
            if cell.length != plain.length and plan.equal != "time":
                starts.append(replace(_nearest(best, plain, cell.length), length=cell.length))
            starts.append(cell)
    for seed in plan.seeds:
        for start in dict.fromkeys(starts):
            yield replace(start, purpose=FINAL, seed=seed)


def _nearest(best: Cell, plain: Cell, length: int) -> Cell:
    """Whose learning rate a longer training takes: that of the longer one that was searched, if it is as long."""
    return best if length >= best.length > plain.length else plain

"""The stages: searches with one seed, timing, and the trainings that are reported."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from benchmarks._few_labels.plan import (
    ALL,
    FINAL,
    LENGTHS,
    MOST,
    OTHER,
    PLAIN,
    PLAIN_RATES,
    PSEUDO,
    SEARCH,
    SEARCH_SEED,
    SEEDS,
    SETTINGS,
    TAUGHT,
    TEACHER_RATES,
    TIMING,
    TIMING_ITERATIONS,
    TIMING_SEED,
    WEIGHTS,
    Cell,
    teacher_cell,
)
from benchmarks._few_labels.running import Bench
from mmdist.apis.comparison.schedule import wider

STEP = 0.5  # of the length at equal time, in schedules


@dataclass(frozen=True)
class Chosen:
    """What the searches have chosen.

    Args:
        plain (Cell): The plain student's rate at one schedule.
        best (Cell): Its best length and rate.
        teachers (dict[str, float]): By setting, the teacher's rate.
        arms (dict[tuple[str, str], Cell]): By setting and arm, rate and weight at one schedule.
        pseudo (dict[str, Cell]): By setting, the best length of pseudo-labels.
    """

    plain: Cell
    best: Cell
    teachers: dict[str, float]
    arms: dict[tuple[str, str], Cell]
    pseudo: dict[str, Cell]


def searched(
    bench: Bench,
    make: Callable[[float], Cell],
    factors: Sequence[float],
    rates: dict[str, float],
    *,
    widen: bool = True,
) -> Cell:
    """The best of some factors, and of those beyond an end at which the best stands.

    Args:
        bench (Bench): At work.
        make (Callable): From a factor to its cell.
        factors (Sequence[float]): To begin with.
        rates (dict[str, float]): Of the teachers.
        widen (bool): Whether to go beyond the ends. Defaults to True.
    """
    tried: tuple[float, ...] = ()
    following = tuple(factors)
    while following != tried and len(following) <= MOST:
        tried = following
        bench.train(map(make, tried), rates)
        best = bench.best(map(make, tried))
        following = wider(tried, next(factor for factor in tried if make(factor) == best)) if widen else tried
    return bench.best(map(make, tried))


def search_plain(bench: Bench) -> tuple[Cell, Cell]:
    """The plain student's best rate at one schedule, and its best of all lengths, each with three rates."""
    one = bench.sizes.iterations
    first = Cell(SEARCH, ALL, PLAIN, SEARCH_SEED, one, 1.0)
    plain = searched(bench, lambda rate: replace(first, rate=rate), PLAIN_RATES, {})
    found = [plain]
    for length in LENGTHS:
        start = replace(plain, iterations=round(length * one))
        around = (plain.rate / 2, plain.rate, plain.rate * 2)
        found.append(searched(bench, lambda rate, start=start: replace(start, rate=rate), around, {}))
    return plain, bench.best(found)


def search_arm(bench: Bench, setting: str, arm: str, rate: float, rates: dict[str, float]) -> Cell:
    """Rate, then weight, of an arm under a teacher."""
    first = Cell(SEARCH, setting, arm, SEARCH_SEED, bench.sizes.iterations, rate)
    around = (rate / 2, rate, rate * 2)
    found = searched(bench, lambda factor: replace(first, rate=factor), around, rates)
    return searched(bench, lambda weight: replace(found, weight=weight), WEIGHTS, rates)


def search(bench: Bench, settings: Sequence[str] = tuple(SETTINGS.values()), arms: Sequence[str] = TAUGHT) -> Chosen:
    """All searches, as far as they are not in the results."""
    plain, best = search_plain(bench)
    one, rates = bench.sizes.iterations, {}
    for setting in settings:
        found = searched(
            bench,
            lambda rate, setting=setting: teacher_cell(setting, SEARCH_SEED, rate, one),
            TEACHER_RATES,
            {},
        )
        rates[setting] = found.rate
    chosen = {}
    for arm in arms:
        for setting in settings:
            chosen[setting, arm] = search_arm(bench, setting, arm, plain.rate, rates)
    pseudo = {}
    for setting in settings:
        if PSEUDO in arms:
            start = chosen[setting, PSEUDO]

            def longer(length: float, start: Cell = start) -> Cell:
                return replace(start, iterations=round(length * one))

            pseudo[setting] = searched(bench, longer, LENGTHS, rates, widen=False)
    return Chosen(plain, best, rates, chosen, pseudo)


def time_all(bench: Bench, chosen: Chosen) -> None:
    """A short training of each arm that nothing else of the benchmark runs beside."""
    count = min(TIMING_ITERATIONS, bench.sizes.iterations)
    short = dict(purpose=TIMING, seed=TIMING_SEED, iterations=count)
    cells = [replace(chosen.plain, **short)]
    cells += [replace(cell, **short) for (setting, _), cell in chosen.arms.items() if setting == OTHER]
    bench.train(cells, chosen.teachers, alone=True)


def ratio(bench: Bench) -> float:
    """The time of an iteration of the slowest arm, in the plain student's."""
    times = {row.arm: row.iteration_ms for row in bench.rows.values() if row.purpose == TIMING}
    return max(times.values()) / times[PLAIN] if PLAIN in times else 1.0


def finals(bench: Bench, chosen: Chosen) -> list[Cell]:
    """What is reported, seed by seed."""
    one = bench.sizes.iterations
    equal_time = math.ceil(max(1.0, ratio(bench)) / STEP) * STEP
    by_length = chosen.best if chosen.best.iterations > one else chosen.plain
    starts = [chosen.plain, chosen.best, replace(by_length, iterations=round(equal_time * one))]
    starts += [*chosen.arms.values(), *chosen.pseudo.values()]
    return list(dict.fromkeys(replace(cell, purpose=FINAL, seed=seed) for seed in SEEDS for cell in starts))


def teachers(bench: Bench, chosen: Chosen) -> list[Cell]:
    """The teachers of the reported trainings."""
    one = bench.sizes.iterations
    found = [teacher_cell(setting, seed, rate, one) for setting, rate in chosen.teachers.items() for seed in SEEDS]
    return list(dict.fromkeys(found))


def run_all(bench: Bench, settings: Sequence[str], arms: Sequence[str], keep: Callable[[Cell], bool]) -> Chosen:
    """Everything that is missing.

    Args:
        bench (Bench): At work.
        settings (Sequence[str]): Of ``SETTINGS``.
        arms (Sequence[str]): Of ``TAUGHT``.
        keep (Callable): Which of the reported trainings are wanted.
    """
    chosen = search(bench, settings, arms)
    time_all(bench, chosen)
    bench.train(teachers(bench, chosen), chosen.teachers)
    bench.train(filter(keep, finals(bench, chosen)), chosen.teachers)
    return chosen

"""What a comparison still takes: its trainings, as if nothing but what is known came out, and their time."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from mmdist.apis.comparison.cells import PLAIN, TEACHER, TIMING, Cell
from mmdist.apis.comparison.plan import Plan
from mmdist.apis.comparison.results import Row
from mmdist.apis.comparison.schedule import Batch, Lengths, Rows, next_batch

SLOWER = 1.6  # an arm's iteration in the plain student's, until one was measured


def outlook(plan: Plan, lengths: Lengths, rows: Rows) -> list[Batch]:
    """The batches that are still to come, searches not widened beyond what is known.

    Args:
        plan (Plan): What is compared.
        lengths (Lengths): Of the schedules.
        rows (Mapping[Cell, Row]): What has been trained.
    """
    known, found = dict(rows), []
    device = next((row.device for row in rows.values()), "")
    while (batch := next_batch(plan, lengths, known)) is not None:
        found.append(batch)
        for cell in batch.cells:
            known[cell] = _made_up(plan, lengths, cell, device)
    return found


def minutes(
    batches: list[Batch], iteration_ms: Mapping[str, float], per_length: float, workers: int = 1, beside: float = 0.0
) -> float | None:
    """How long these trainings take.

    Args:
        batches (list[Batch]): What is to come.
        iteration_ms (Mapping[str, float]): By arm, as far as it is known.
        per_length (float): Iterations in a unit of a length: 1, or those of an epoch.
        workers (int): Trainings at a time. Defaults to 1.
        beside (float): Minutes of a training beside its iterations: start, validation, checkpoints. Defaults to 0.

    Returns:
        float | None: Minutes; None where no arm's time is known.
    """
    if not iteration_ms:
        return None
    plain = iteration_ms.get(PLAIN, float(np.median(list(iteration_ms.values()))))
    total = 0.0
    for batch in batches:
        times = [
            beside + _ms(cell, iteration_ms, plain) * _iterations(cell, per_length) / 60_000 for cell in batch.cells
        ]
        at_a_time = 1 if batch.alone else workers
        total += max([sum(times) / at_a_time, *times])
    return total


def _ms(cell: Cell, known: Mapping[str, float], plain: float) -> float:
    return known.get(cell.arm, plain if cell.arm == PLAIN else SLOWER * plain)


def _iterations(cell: Cell, per_length: float) -> float:
    return cell.length if cell.purpose == TIMING else cell.length * per_length


def _made_up(plan: Plan, lengths: Lengths, cell: Cell, device: str) -> Row:
    """Best in the middle of a search, and at the longest length."""
    rates = plan.teacher.rates if cell.arm == TEACHER and plan.teacher else plan.rates
    middle = math.exp(float(np.mean(np.log(rates))))
    worse = math.log(cell.rate / middle) ** 2 + math.log(cell.weight) ** 2
    value = 0.1 * math.log(cell.length / lengths.schedule) - worse
    arm_ms = 100.0 * (1.0 if cell.arm == PLAIN else SLOWER)
    metric = value if lengths.higher else -value
    return Row(**vars(cell), metric=metric, iteration_ms=arm_ms, iterations=cell.length, device=device)

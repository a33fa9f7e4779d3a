"""A line of the results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks._few_labels.plan import Cell


@dataclass(frozen=True)
class Row:
    """One training and what came of it.

    Args:
        purpose, setting, arm, seed, iterations, rate, weight: As in :class:`Cell`.
        metric (float): mIoU of the last checkpoint, in percent: on the choosing scenes in a search, else on the
            judging ones.
        iteration_ms (float): Median time of an iteration.
        parameters (int): Of the model that was trained.
        finished (str): When.
        torch (str): Its version.
    """

    purpose: str
    setting: str
    arm: str
    seed: int
    iterations: int
    rate: float
    weight: float
    metric: float
    iteration_ms: float
    parameters: int
    finished: str
    torch: str

    @property
    def cell(self) -> Cell:
        return Cell(self.purpose, self.setting, self.arm, self.seed, self.iterations, self.rate, self.weight)

    @property
    def place(self) -> tuple[Any, ...]:
        return tuple(vars(self.cell).values())

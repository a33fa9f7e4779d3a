"""One training of a comparison."""

from __future__ import annotations

import math
from dataclasses import dataclass

SEARCH, FINAL, TIMING = "search", "final", "timing"
PURPOSES = (SEARCH, TIMING, FINAL)
PLAIN, TEACHER = "plain", "teacher"


@dataclass(frozen=True, order=True)
class Cell:
    """One training.

    Args:
        purpose (str): ``search`` chooses, ``timing`` is short and runs alone, ``final`` is reported.
        arm (str): Its arm's name; ``plain`` is the student by itself, ``teacher`` the teacher.
        seed (int): Of the training.
        length (int): In iterations, or in epochs where the config counts these.
        rate (float): Times the config's learning rate.
        weight (float): Times the weights of what the teacher says. Defaults to 1.

    Example:
        >>> Cell('final', 'dist', 0, 800, 2.0).folder
        'dist/seed0-800-lr2'
    """

    purpose: str
    arm: str
    seed: int
    length: int
    rate: float = 1.0
    weight: float = 1.0

    @property
    def change(self) -> float:
        """How far rate and weight are from the config's; 0 where they are the same."""
        return abs(math.log(self.rate)) + abs(math.log(self.weight))

    @property
    def folder(self) -> str:
        """Where it is trained, below the comparison's folder."""
        purpose = "" if self.purpose == FINAL else f"{self.purpose}-"
        weight = "" if self.weight == 1 else f"-weight{self.weight:g}"
        return f"{self.arm}/{purpose}seed{self.seed}-{self.length}-lr{self.rate:g}{weight}"

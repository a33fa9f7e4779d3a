"""Models that draw random numbers wherever they are run."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn


@dataclass
class Drawing:
    """What was drawn from Python's, numpy's and torch's generators, pass by pass."""

    numbers: list[tuple[float, float, float]] = field(default_factory=list)

    def __call__(self, module: nn.Module, args: tuple, output: object) -> None:
        self.numbers.append((random.random(), np.random.randn(), torch.rand(1).item()))


def draw_in(module: nn.Module) -> Drawing:
    """Let every module below draw when it is called; those of a list are found too."""
    drawing = Drawing()
    for part in module.modules():
        part.register_forward_hook(drawing)
    return drawing


def drawn_by(drawing: Drawing) -> list[tuple[float, float, float]]:
    """What was drawn, in order."""
    return drawing.numbers

"""Random logits with label maps of another size, for the tests of RDD."""

from __future__ import annotations

import torch
from helpers.tensors import pair
from torch import Tensor

SHAPES = [  # of logits and labels: enlarged, as they are, made smaller, from and to a single row or column
    ((2, 5, 3, 4), (7, 9)),
    ((2, 5, 6, 4), (6, 4)),
    ((1, 3, 7, 5), (4, 3)),
    ((2, 4, 1, 3), (5, 1)),
    ((1, 2, 1, 1), (1, 1)),
]


def labelled(shape: tuple[int, ...], size: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """Logits of student and teacher, and labels, some of them 255."""
    student, teacher = pair(*shape)
    label = torch.randint(0, shape[1], (shape[0], *size))
    label[torch.rand(label.shape) < 0.3] = 255
    return student.detach(), teacher, label


def assert_equal(value: Tensor, expected: list) -> None:
    """A float64 result is that of a reference."""
    torch.testing.assert_close(value, torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=1e-12)

"""Random logits and features for the tests of losses."""

from __future__ import annotations

import torch
from torch import Tensor


def rows_of(x: Tensor) -> list[list[float]]:
    """(N, C, *spatial) to one row a position."""
    return x.detach().double().movedim(1, -1).reshape(-1, x.shape[1]).tolist()


def pair(*shape: int, dtype: torch.dtype = torch.float64, scale: float = 2.0) -> tuple[Tensor, Tensor]:
    """Student (with gradient) and teacher."""
    student = (torch.randn(*shape, dtype=torch.float64) * scale).to(dtype).requires_grad_()
    return student, (torch.randn(*shape, dtype=torch.float64) * scale).to(dtype)

"""Regions of a pooled region: SDD in two-stage detectors."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def phase_regions(x: Tensor) -> Tensor:
    r"""Five half-size versions of each map: its 2x2 averages, and every second pixel, from each of the four corners.

    .. math:: x_{r, 1 + 2i + j} = x_{r}[:, i::2, j::2]

    Args:
        x (Tensor): (R, D, 2h, 2w), features of R regions of interest.

    Returns:
        Tensor: (5, R, D, h, w); the first is the average.

    Raises:
        ValueError: Another shape, or an odd size.

    Source:
        ``shicaiwei123/SDD-CVPR2024``, detection.

    Example:
        >>> import torch
        >>> phase_regions(torch.arange(4.0).reshape(1, 1, 2, 2)).flatten().tolist()
        [1.5, 0.0, 1.0, 2.0, 3.0]
    """
    if x.ndim != 4 or x.shape[2] % 2 or x.shape[3] % 2:
        raise ValueError(f"x must be (R, D, H, W) with even H and W, got shape {tuple(x.shape)}")
    phases = [x[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1)]
    return torch.stack([F.avg_pool2d(x, 2), *phases])

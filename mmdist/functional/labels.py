"""Label maps at the size of logits."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def nearest_labels(labels: Tensor, size: Sequence[int]) -> Tensor:
    """Label maps at another size: each position takes its nearest label.

    Args:
        labels (Tensor): (N,) or (N, *spatial) integer labels.
        size (Sequence[int]): Spatial size to come to; empty for (N,).

    Returns:
        Tensor: (N, *size), the same labels where the size is the same, else int64.

    Raises:
        TypeError: Labels that are not integers.
        ValueError: Labels with another number of spatial dimensions.

    Example:
        >>> import torch
        >>> nearest_labels(torch.tensor([[[0, 1, 2, 3]] * 4]), (2, 2)).tolist()
        [[[0, 2], [0, 2]]]
    """
    if labels.is_floating_point() or labels.dtype == torch.bool:
        raise TypeError(f"labels must be integers, got {labels.dtype}")
    if labels.ndim != 1 + len(size):
        raise ValueError(
            f"labels must be (N, *spatial) with {len(size)} spatial dimensions as the logits, "
            f"got shape {tuple(labels.shape)}"
        )
    if tuple(labels.shape[1:]) == tuple(size):
        return labels
    # float64 holds every label that an index can be
    return F.interpolate(labels.unsqueeze(1).double(), size=tuple(size), mode="nearest").squeeze(1).long()

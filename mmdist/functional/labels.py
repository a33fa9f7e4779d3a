"""Label maps: which positions count."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def valid_mask(labels: Tensor, size: Sequence[int], ignore_index: int = 255) -> Tensor:
    """The positions whose label counts, at the size of the logits.

    Label maps are usually larger than the logits; each position of the logits
    takes its nearest label.

    Args:
        labels (Tensor): (N,) or (N, *spatial) integer labels.
        size (Sequence[int]): Spatial size of the logits; empty for (N, C).
        ignore_index (int): The label that does not count. Defaults to 255.

    Returns:
        Tensor: (N, *size) bool, True where the label counts.

    Raises:
        TypeError: Labels that are not integers.
        ValueError: Labels with another number of spatial dimensions.

    Example:
        >>> import torch
        >>> valid_mask(torch.tensor([[[0, 255], [1, 2]]]), (2, 2)).tolist()
        [[[True, False], [True, True]]]
    """
    if labels.is_floating_point() or labels.dtype == torch.bool:
        raise TypeError(f"labels must be integers, got {labels.dtype}")
    if labels.ndim != 1 + len(size):
        raise ValueError(
            f"labels must be (N, *spatial) with {len(size)} spatial dimensions as the logits, "
            f"got shape {tuple(labels.shape)}"
        )
    valid = labels != ignore_index
    if tuple(labels.shape[1:]) == tuple(size):
        return valid
    return F.interpolate(valid.unsqueeze(1).float(), size=tuple(size), mode="nearest").squeeze(1).bool()

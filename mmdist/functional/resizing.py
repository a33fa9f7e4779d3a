"""Maps at another size."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor


def resize_maps(maps: Tensor, size: Sequence[int], *, align_corners: bool = False) -> Tensor:
    """Maps at another height and width, interpolated bilinearly.

    Args:
        maps (Tensor): (N, C, H, W), such as class scores before a softmax. Gradients flow through.
        size (Sequence[int]): Height and width to come to, in positions.
        align_corners (bool): Whether the centres of the corner positions lie on each other, as in
            ``torch.nn.functional.interpolate``. Defaults to False: the corners of the image do.

    Returns:
        Tensor: (N, C, *size), in float32 where the maps are float16 or bfloat16; the maps themselves where they have
        that size.

    Raises:
        ValueError: No maps (N, C, H, W) of floating point, or no height and width above 0.

    Example:
        >>> import torch
        >>> resize_maps(torch.tensor([[[[0.0, 1.0]]]]), (1, 3)).tolist()
        [[[[0.0, 0.5, 1.0]]]]
    """
    size = tuple(size)
    if tuple(maps.shape[2:]) == size:
        return maps
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"size = {size}: expected (height, width), both above 0")
    if maps.ndim != 4 or not maps.is_floating_point():
        raise ValueError(f"maps must be (N, C, H, W) of floating point, got {tuple(maps.shape)} of {maps.dtype}")
    maps = maps.float() if maps.element_size() < 4 else maps
    return F.interpolate(maps, size, mode="bilinear", align_corners=align_corners)

"""Maps and images at another size."""

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
    _check(maps, size, "maps")
    maps = maps.float() if maps.element_size() < 4 else maps
    return F.interpolate(maps, size, mode="bilinear", align_corners=align_corners)


def resize_images(images: Tensor, size: Sequence[int]) -> Tensor:
    """Images at another height and width, as a data pipeline resizes them: bilinear, smoothed where they shrink.

    Args:
        images (Tensor): (N, C, H, W), of floating point.
        size (Sequence[int]): Height and width to come to, in pixels.

    Returns:
        Tensor: (N, C, *size), in the dtype of the images; the images themselves where they have that size.

    Raises:
        ValueError: No images (N, C, H, W) of floating point, or no height and width above 0.

    Example:
        >>> import torch
        >>> resize_images(torch.zeros(2, 3, 224, 224), (384, 384)).shape
        torch.Size([2, 3, 384, 384])
    """
    size = tuple(size)
    if tuple(images.shape[2:]) == size:
        return images
    _check(images, size, "images")
    wide = images.float() if images.element_size() < 4 else images
    return F.interpolate(wide, size, mode="bilinear", antialias=True, align_corners=False).to(images.dtype)


def _check(maps: Tensor, size: tuple[int, ...], name: str) -> None:
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"size = {size}: expected (height, width), both above 0")
    if maps.ndim != 4 or not maps.is_floating_point():
        raise ValueError(f"{name} must be (N, C, H, W) of floating point, got {tuple(maps.shape)} of {maps.dtype}")

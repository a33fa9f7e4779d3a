"""One batch, prepared for the student, as the teacher's own data preprocessor would have prepared it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from numbers import Real
from typing import NamedTuple

import torch
from mmengine.logging import print_log
from torch import Tensor, nn


class Normalisation(NamedTuple):
    """What a data preprocessor makes of pixels: (x - mean) / std, channels reversed or not.

    Args:
        reverse (bool): Whether the channels are reversed (BGR to RGB or back).
        mean (Tensor): (C, 1, 1).
        std (Tensor): (C, 1, 1).
    """

    reverse: bool
    mean: Tensor
    std: Tensor


def normalisation(preprocessor: nn.Module | None) -> Normalisation | None:
    """Read it from a data preprocessor of mmengine, mmdet, mmseg or mmpretrain; None where it is none for images.

    One without mean and std leaves the pixels as they are, as YOLOX wants them: mean 0, standard deviation 1. But
    mmpretrain gives its models one where the config has none: that says nothing.
    """
    enabled = getattr(preprocessor, "_enable_normalize", None)
    if enabled is None or (not enabled and type(preprocessor).__module__.startswith("mmpretrain.")):
        return None
    reverse = reverses_channels(preprocessor)
    if not enabled:
        return Normalisation(reverse, torch.zeros(1, 1, 1), torch.ones(1, 1, 1))
    return Normalisation(reverse, preprocessor.mean.view(-1, 1, 1), preprocessor.std.view(-1, 1, 1))


def reverses_channels(preprocessor: nn.Module | None) -> bool:
    """Whether a data preprocessor turns the order of the channels around: BGR to RGB or back."""
    flags = ("_channel_conversion", "channel_conversion", "to_rgb")
    return any(bool(getattr(preprocessor, flag, False)) for flag in flags)


class Translation(NamedTuple):
    """From the student's normalisation to the teacher's: reverse the channels or not, times scale, plus shift.

    Args:
        reverse (bool): Whether the channels are reversed.
        scale (Tensor): (C, 1, 1).
        shift (Tensor): (C, 1, 1).
        borders (tuple[float, float]): What the student's and the teacher's data preprocessor fill images up with,
            after they have normalised them.
        scales (bool): False where scale is 1 and shift 0. Defaults to True.
    """

    reverse: bool
    scale: Tensor
    shift: Tensor
    borders: tuple[float, float] = (0.0, 0.0)
    scales: bool = True

    def __call__(self, inputs: Tensor, samples: Sequence | None = None) -> Tensor:
        """Translate images, and give the border that a data preprocessor put around them its teacher's value.

        Args:
            inputs (Tensor): (N, C, H, W).
            samples (Sequence, optional): Their data samples; ``img_shape`` says where the border begins. Where it is
                not known, borders are translated as if they were pixels.

        Returns:
            Tensor: (N, C, H, W).
        """
        images = inputs.flip(1) if self.reverse else inputs
        if self.scales:
            images = images * self.scale.to(inputs) + self.shift.to(inputs)
        outside = border(inputs, samples, self.borders[0])
        return images if outside is None else images.masked_fill(outside, self.borders[1])


def border(inputs: Tensor, samples: Sequence | None, value: float) -> Tensor | None:
    """Where images were filled up: outside of ``img_shape``, and of the border's value there.

    Only both together are certain: a pipeline may leave ``img_shape`` behind, and a pixel may be of any value.

    Args:
        inputs (Tensor): (N, C, H, W).
        samples (Sequence, optional): Data samples of mmdet, mmseg or mmpretrain.
        value (float): Of the border.

    Returns:
        Tensor | None: (N, 1, H, W) bool; None where no image has a border.
    """
    height, width = inputs.shape[-2:]
    shapes = [getattr(sample, "metainfo", {}).get("img_shape") for sample in samples or ()]
    if len(shapes) != len(inputs) or None in shapes:
        return None
    if all(shape[0] >= height and shape[1] >= width for shape in shapes):
        return None
    rows, columns = (torch.arange(size, device=inputs.device) for size in (height, width))
    ends = torch.tensor([tuple(shape[:2]) for shape in shapes], device=inputs.device)
    outside = (rows >= ends[:, :1])[:, :, None] | (columns >= ends[:, 1:])[:, None, :]
    # resizing a batch, as BatchSyncRandomResize does, leaves the value as it was but for rounding
    filled = ((inputs - value).abs() <= 1e-5 * max(1.0, abs(value))).all(1)
    return (outside & filled).unsqueeze(1)


def translation(student: nn.Module | None, teacher: nn.Module | None) -> Translation | None:
    """How the student's images become the teacher's; None where they are the same, or the teacher says nothing.

    Args:
        student (nn.Module, optional): The student's data preprocessor.
        teacher (nn.Module, optional): The teacher's.

    Returns:
        Translation | None: Exact, borders too.
    """
    own, other = normalisation(student), normalisation(teacher)
    if own is None or other is None:
        return None
    reverse = own.reverse != other.reverse
    mean, std = (x.flip(0) if reverse and x.shape[0] > 1 else x for x in (own.mean, own.std))
    scale, shift = std / other.std, (mean - other.mean) / other.std
    scales = not torch.allclose(scale, torch.ones_like(scale)) or bool(shift.abs().gt(1e-6).any())
    borders = border_value(student), border_value(teacher)
    if not reverse and not scales and borders[0] == borders[1]:
        return None
    return Translation(reverse, scale, shift, borders, scales)


def border_value(preprocessor: nn.Module) -> float:
    """What a data preprocessor fills images up with: mmseg calls it ``pad_val``, the others ``pad_value``."""
    value = getattr(preprocessor, "pad_val", getattr(preprocessor, "pad_value", 0))
    return float(value) if isinstance(value, Real) else 0.0


def divisor(preprocessor: nn.Module | None) -> int:
    """What the sides of a batch are multiples of; 1 where mmseg's fills images up to one size."""
    if getattr(preprocessor, "size", None) is not None:
        return 1
    return getattr(preprocessor, "size_divisor", getattr(preprocessor, "pad_size_divisor", 1)) or 1


def warn_of_divisors(student: nn.Module | None, teacher: nn.Module | None) -> None:
    """Say that the teacher would fill batches up further than the student, whose batches it gets.

    Args:
        student (nn.Module, optional): The student's data preprocessor.
        teacher (nn.Module, optional): The teacher's.
    """
    own, other = divisor(student), divisor(teacher)
    if own % other == 0:
        return
    sizes = getattr(student, "size", None)
    if sizes is not None and all(size % other == 0 for size in sizes):
        return
    text = (
        f"the teacher's data preprocessor pads batches to multiples of {other}, the student's to multiples of {own}: "
        f"the teacher sees the student's batches, unless model.architecture.data_preprocessor pads to {other} too"
    )
    print_log(text, "current", logging.WARNING)

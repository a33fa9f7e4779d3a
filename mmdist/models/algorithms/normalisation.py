"""One batch, prepared for the student, as the teacher's own data preprocessor would have prepared it."""

from __future__ import annotations

from typing import NamedTuple

import torch
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
    """Read it from a data preprocessor of mmengine, mmdet, mmseg or mmpretrain; None where it is none for pictures.

    One without mean and std leaves the pixels as they are, as YOLOX wants them: mean 0, standard deviation 1. But
    mmpretrain gives its models one where the config has none: that says nothing.
    """
    enabled = getattr(preprocessor, "_enable_normalize", None)
    if enabled is None or (not enabled and type(preprocessor).__module__.startswith("mmpretrain.")):
        return None
    flags = ("_channel_conversion", "channel_conversion", "to_rgb")
    reverse = any(bool(getattr(preprocessor, flag, False)) for flag in flags)
    if not enabled:
        return Normalisation(reverse, torch.zeros(1, 1, 1), torch.ones(1, 1, 1))
    return Normalisation(reverse, preprocessor.mean.view(-1, 1, 1), preprocessor.std.view(-1, 1, 1))


class Translation(NamedTuple):
    """From the student's normalisation to the teacher's: reverse the channels or not, times scale, plus shift.

    Args:
        reverse (bool): Whether the channels are reversed.
        scale (Tensor): (C, 1, 1).
        shift (Tensor): (C, 1, 1).
    """

    reverse: bool
    scale: Tensor
    shift: Tensor

    def __call__(self, inputs: Tensor) -> Tensor:
        """Translate (N, C, H, W) pictures."""
        pictures = inputs.flip(1) if self.reverse else inputs
        return pictures * self.scale.to(inputs) + self.shift.to(inputs)


def translation(student: nn.Module | None, teacher: nn.Module | None) -> Translation | None:
    """How the student's pictures become the teacher's; None where they are the same, or the teacher says nothing.

    Args:
        student (nn.Module, optional): The student's data preprocessor.
        teacher (nn.Module, optional): The teacher's.

    Returns:
        Translation | None: Exact but for padding, which is 0 for the student and 0 times scale plus shift here.
    """
    own, other = normalisation(student), normalisation(teacher)
    if own is None or other is None:
        return None
    reverse = own.reverse != other.reverse
    mean, std = (x.flip(0) if reverse and x.shape[0] > 1 else x for x in (own.mean, own.std))
    scale, shift = std / other.std, (mean - other.mean) / other.std
    if not reverse and torch.allclose(scale, torch.ones_like(scale)) and not shift.abs().gt(1e-6).any():
        return None
    return Translation(reverse, scale, shift)

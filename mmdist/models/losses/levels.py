"""What the registered losses share: feature levels, label masks, teachers that went wrong."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mmdist.errors import ConfigError
from mmdist.functional.labels import nearest_labels

Maps = Tensor | Sequence[Tensor]
NO_CLASS = 255  # what the task libraries label pixels with that do not count
NOTHING_IGNORED = -100  # no label at all, as in PyTorch's losses


def pair_levels(student: Maps, teacher: Maps, names: tuple[str, str]) -> list[tuple[Tensor, Tensor]]:
    """Student and teacher level by level; a single tensor is one level.

    Args:
        student (Tensor | Sequence[Tensor]): One map, or one a feature level.
        teacher (Tensor | Sequence[Tensor]): As many.
        names (tuple[str, str]): The argument names, for messages.

    Returns:
        list[tuple[Tensor, Tensor]]: The pairs.

    Raises:
        TypeError: Neither a tensor nor a sequence of tensors.
        ValueError: No level, or another number of levels on the two sides.
    """
    sides = []
    for name, side in zip(names, (student, teacher), strict=True):
        levels = [side] if isinstance(side, Tensor) else side
        if not isinstance(levels, list | tuple) or not all(isinstance(level, Tensor) for level in levels):
            raise TypeError(f"{name} must be a tensor or a tuple of tensors (levels), got {type(side).__name__}")
        sides.append(levels)
    if len(sides[0]) != len(sides[1]) or not sides[0]:
        raise ValueError(f"{names[0]} has {len(sides[0])} levels but {names[1]} has {len(sides[1])}")
    return list(zip(*sides, strict=True))


def level_labels(gt_labels: Maps | None, number: int) -> Sequence[Tensor | None]:
    """The labels of each level: one tensor is that of all.

    Args:
        gt_labels (Tensor | Sequence[Tensor], optional): Labels, or one tensor a level.
        number (int): Of levels.

    Returns:
        Sequence[Tensor | None]: As many.

    Raises:
        ValueError: Labels of another number of levels.
    """
    if not isinstance(gt_labels, list | tuple) or not all(isinstance(level, Tensor) for level in gt_labels):
        return [gt_labels] * number
    if len(gt_labels) != number:
        raise ValueError(f"gt_labels has {len(gt_labels)} levels but the predictions have {number}")
    return gt_labels


def is_soft(gt_labels: Tensor | None) -> bool:
    """Whether the labels are probabilities, as mixup and cutmix make them."""
    return isinstance(gt_labels, Tensor) and gt_labels.is_floating_point()


def label_map(logits: Tensor, gt_labels: Tensor) -> Tensor:
    """The labels of the positions of ``logits``.

    Args:
        logits (Tensor): (N, C) or (N, C, *spatial).
        gt_labels (Tensor): (N,) or (N, *label size) integers; (N, 1, *label size) is accepted too, as data samples
            stack to that.

    Returns:
        Tensor: (N, *spatial) integers.
    """
    if not isinstance(gt_labels, Tensor):
        raise TypeError(f"gt_labels must be a tensor of integers, got {type(gt_labels).__name__}")
    if gt_labels.ndim == logits.ndim and gt_labels.shape[1] == 1:
        gt_labels = gt_labels.squeeze(1)
    if gt_labels.shape[0] != logits.shape[0]:
        raise ValueError(f"gt_labels has {gt_labels.shape[0]} samples but the logits have {logits.shape[0]}")
    return nearest_labels(gt_labels, logits.shape[2:])


def ignored_label(ignore_index: int | None, num_classes: int) -> int:
    """The label that does not count.

    Args:
        ignore_index (int, optional): As the user gave it. None: what the task libraries label such pixels with, 255,
            unless that is a class, as on ImageNet; then there is none.
        num_classes (int): Of the logits.

    Example:
        >>> ignored_label(None, 19), ignored_label(None, 1000), ignored_label(255, 1000)
        (255, -100, 255)
    """
    if ignore_index is not None:
        return ignore_index
    return NO_CLASS if num_classes <= NO_CLASS else NOTHING_IGNORED


def label_mask(maps: Tensor, gt_labels: Tensor | None, ignore_index: int) -> Tensor | None:
    """The positions of ``maps`` whose label counts, or None where all count: without labels, and with soft ones.

    Args:
        maps (Tensor): (N, C) or (N, C, *spatial).
        gt_labels (Tensor, optional): See :func:`label_map`; or soft labels in the shape of ``maps``, which no position
            lacks.
        ignore_index (int): The label that does not count.

    Returns:
        Tensor | None: (N, *spatial) bool.
    """
    if gt_labels is None:
        return None
    if is_soft(gt_labels) and gt_labels.shape == maps.shape:
        return None
    return label_map(maps, gt_labels) != ignore_index


def check_num_classes(name: str, value: int | None) -> None:
    """``value`` is a number of classes, or None.

    Raises:
        ConfigError: It is not.
    """
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise ConfigError(name, value, "a number above 0, or None")


def check_teacher(loss: Tensor, teacher: Sequence[Tensor], name: str) -> None:
    """A loss that is not finite because the teacher is not: say so, at once.

    A teacher whose weights are damaged gives NaN at every iteration, and nothing downstream repairs that. A student
    that overflows in half precision is another matter: the gradient scaler expects and handles it.

    Raises:
        FloatingPointError: The teacher's output holds NaN or infinity.
    """
    if not torch.isfinite(loss.detach()):
        check_finite(teacher, name)


def check_finite(teacher: Sequence[Tensor], name: str) -> None:
    """What the teacher says is made of numbers.

    Raises:
        FloatingPointError: It holds NaN or infinity.
    """
    if not all(bool(torch.isfinite(level).all()) for level in teacher):
        raise FloatingPointError(
            f"{name} (the teacher's output) holds NaN or infinity: check its checkpoint (teacher_ckpt) "
            "and its data preprocessor"
        )

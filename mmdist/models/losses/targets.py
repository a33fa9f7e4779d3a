"""Labels of samples, pixels and anchors as the targets of a loss."""

from __future__ import annotations

from torch import Tensor

from mmdist.models.losses.levels import is_soft, label_map


def anchor_rows(preds: Tensor, num_classes: int | None) -> Tensor:
    """The maps of a dense head as one row an anchor, in the order in which the heads flatten their labels.

    Args:
        preds (Tensor): (N, anchors x C, H, W), or rows already.
        num_classes (int, optional): C; None: the maps stay.

    Returns:
        Tensor: (N x H x W x anchors, C), or ``preds``.

    Raises:
        ValueError: Channels that are no multiple of C.
    """
    if num_classes is None or preds.ndim != 4:
        return preds
    if preds.shape[1] % num_classes:
        raise ValueError(f"num_classes = {num_classes}: no divisor of the map's {preds.shape[1]} channels")
    return preds.permute(0, 2, 3, 1).reshape(-1, num_classes)


def anchor_labels(gt_labels: Tensor | None, num_classes: int | None) -> Tensor | None:
    """The labels of a dense head's anchors, which some heads keep picture by picture, in one row.

    Args:
        gt_labels (Tensor, optional): (N, H x W x anchors) integers, or in one row already.
        num_classes (int, optional): Classes an anchor; None: no dense head, the labels stay.

    Returns:
        Tensor | None: (N x H x W x anchors,), or ``gt_labels``.
    """
    if num_classes is None or not isinstance(gt_labels, Tensor) or is_soft(gt_labels):
        return gt_labels
    return gt_labels.reshape(-1)


def class_map(logits: Tensor, gt_labels: Tensor) -> Tensor:
    """The class of each position of ``logits``; soft labels become the class that has most.

    Args:
        logits (Tensor): (N, C) or (N, C, *spatial).
        gt_labels (Tensor): Integers as :func:`label_map` takes them, or soft labels in the shape of the logits.

    Returns:
        Tensor: (N, *spatial) integers.

    Raises:
        TypeError: Labels of another type.
        ValueError: Labels of another shape.
    """
    if not is_soft(gt_labels):
        return label_map(logits, gt_labels)
    if gt_labels.shape != logits.shape:
        raise ValueError(
            f"gt_labels are soft labels of shape {tuple(gt_labels.shape)}: expected the shape of the logits, "
            f"{tuple(logits.shape)}"
        )
    return gt_labels.argmax(1)

"""The probability of the ground-truth class at label size, block by block, each block small enough for the cache.

A map of all classes at label size costs more than the exponentials in it: it is written and read several times, and
nothing but one number a position is wanted of it. On the CPU, a C kernel does it in one go (``_cpu_confidence.c``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mmdist.functional import _cpu
from mmdist.functional._blocked import BLOCK
from mmdist.functional.checks import check_dense, compute_dtype, require

DEVICE_BLOCK = 1 << 22  # scores in a block on a GPU, where calls cost more than memory


def confidence(logits: Tensor, label: Tensor, ignore_index: int, align_corners: bool, activation: str) -> Tensor:
    """See :func:`mmdist.functional.difficulty.label_probability`.

    Args:
        logits (Tensor): (N, C) or (N, C, *spatial).
        label (Tensor): From :func:`check_label`.
        ignore_index (int): The label that does not count.
        align_corners (bool): Of the resizing.
        activation (str): softmax or sigmoid.

    Returns:
        Tensor: As the labels, in the dtype of computation.

    Raises:
        ValueError: A label that is no class.
    """
    probability = logits.new_empty(label.shape, dtype=compute_dtype(logits))
    if not label.numel():
        return probability
    classes = logits.shape[1] + (activation == "sigmoid")
    message = f"label must be in [0, {classes}) or ignore_index = {ignore_index}"
    if _takes_kernels(logits, label, activation):
        found = _cpu.label_probability(logits, label, ignore_index, _places(logits, label, align_corners))
        if found is None:
            raise ValueError(message)
        return found
    require((((label >= 0) & (label < classes)) | (label == ignore_index)).all(), message)
    result = probability
    if logits.ndim == 2:
        logits, label, result = logits.unsqueeze(2), label.unsqueeze(1), result.unsqueeze(1)
    for images, rows, z in _blocks(logits, label.shape[1:], align_corners):
        y = label[images, rows]
        if activation == "softmax":  # an ignored position has cross entropy 0
            p = F.cross_entropy(z, y, ignore_index=ignore_index, reduction="none").neg_().exp_()
        else:
            p = _one_vs_rest(z, y, y == ignore_index)
        result[images, rows] = p
    return probability


def check_label(label: Tensor, logits: Tensor) -> Tensor:
    """Labels that :func:`confidence` can take.

    Args:
        label (Tensor): (N,) or (N, *label size) integers.
        logits (Tensor): (N, C) or (N, C, *spatial).

    Returns:
        Tensor: The labels as int64.

    Raises:
        TypeError: Labels that are not integers.
        ValueError: Another shape or device.
    """
    if not isinstance(label, Tensor) or label.is_floating_point() or label.dtype == torch.bool:
        raise TypeError(
            "label must be integers, or (N, C) floating point for (N, C) logits, "
            f"got {getattr(label, 'dtype', type(label).__name__)}"
        )
    check_dense("label", label)
    if label.ndim != logits.ndim - 1 or label.shape[0] != logits.shape[0]:
        raise ValueError(
            f"label must be (N, *label size) with {logits.ndim - 2} spatial dimensions and N = {logits.shape[0]} "
            f"as the logits, got shape {tuple(label.shape)}"
        )
    if label.shape[1:] != logits.shape[2:] and logits.ndim != 4:
        raise ValueError(
            f"label must be of the logits' size {tuple(logits.shape[2:])}, got {tuple(label.shape[1:])}: "
            "only maps (N, C, H, W) are resized"
        )
    if label.device != logits.device:
        raise ValueError(f"label is on {label.device} but the logits are on {logits.device}")
    return label.long()


def _takes_kernels(logits: Tensor, label: Tensor, activation: str) -> bool:
    maps = activation == "softmax" and logits.ndim == 4 and logits.dtype == torch.float32
    return maps and _cpu.available(logits, logits, label)


def _places(logits: Tensor, label: Tensor, align_corners: bool) -> list[tuple[Tensor, Tensor, Tensor]] | None:
    if logits.shape[2:] == label.shape[1:]:
        return None
    found = []
    for length, size in zip(logits.shape[2:], label.shape[1:], strict=True):
        before, after, share = _neighbours(length, size, align_corners, logits.device)
        found.append((before, after, share.to(logits.dtype)))
    return found


def _blocks(logits: Tensor, size: Sequence[int], align_corners: bool) -> Iterator[tuple[slice, slice, Tensor]]:
    """Logits (N, C, *spatial), at another size where it differs, as slices along N and the first spatial axis."""
    count, classes = logits.shape[:2]
    limit = BLOCK if logits.device.type == "cpu" else DEVICE_BLOCK
    row = classes * math.prod(size[1:])
    step = max(1, min(limit // row, size[0]))
    together = max(1, limit // (row * size[0]))  # several small maps make one block
    dtype = compute_dtype(logits)
    resized = logits.shape[2:] != size
    if resized:
        above, below, share = _neighbours(logits.shape[2], size[0], align_corners, logits.device)
        share = share.to(dtype).unsqueeze(1)
    for n in range(0, count, together):
        images = slice(n, n + together)
        x = logits[images]
        if resized:  # the columns of all rows at once, as the rows are few; then the rows, block by block
            flat = x.to(dtype).flatten(1, 2)
            x = F.interpolate(flat, size[1], mode="linear", align_corners=align_corners).unflatten(1, x.shape[1:3])
        for start in range(0, size[0], step):
            rows = slice(start, start + step)
            if resized:
                yield images, rows, x.index_select(2, above[rows]).lerp_(x.index_select(2, below[rows]), share[rows])
            else:
                yield images, rows, x[:, :, rows].to(dtype)


def _neighbours(length: int, size: int, align_corners: bool, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """For each of ``size`` rows, the rows above and below it among ``length``, and the share of the one below."""
    ramp = torch.arange(length, dtype=torch.float64, device="cpu").view(1, 1, -1)
    place = F.interpolate(ramp, size, mode="linear", align_corners=align_corners).flatten()
    above = place.long()
    return above.to(device), (above + 1).clamp_max(length - 1).to(device), (place - above).to(device)


def _one_vs_rest(z: Tensor, label: Tensor, ignored: Tensor) -> Tensor:
    """Sigmoid scores: the label's own; for the background one minus the largest; 1 where ignored."""
    background = label == z.shape[1]
    own = z.gather(1, label.masked_fill(background | ignored, 0).unsqueeze(1)).squeeze(1)
    return own.where(~background, -z.amax(1)).sigmoid_().masked_fill_(ignored, 1)

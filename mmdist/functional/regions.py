"""Regions of a map, and the distillation of their logits: SDD."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmdist.errors import spelling_hint
from mmdist.functional.checks import (
    check_choice,
    check_dense,
    check_integers,
    check_non_negative,
    check_pair,
    check_target,
    full_precision,
    position_weight,
)
from mmdist.functional.divergence import dckd_loss, dkd_loss, kd_loss, nkd_loss

BASES = {"kd": kd_loss, "dkd": dkd_loss, "nkd": nkd_loss, "dckd": dckd_loss}
SPLITS = ("correctness", "agreement")
OFFICIAL_GRID = 4  # the official code pools to 4 x 4 first, also where its scales are 1 and 2 alone


def pool_regions(x: Tensor, scales: Sequence[int] = (1, 2, 4), *, nested: bool = True) -> Tensor:
    r"""Averages over the cells of several grids, the whole map first.

    .. math:: R = \sum_m m^2, \quad x_{n,d,r} = \mathrm{mean}_{(h,w) \in \mathrm{cell}\ r} x_{n,d,h,w}

    Regions go grid by grid, row by row inside a grid. Cells are those of adaptive average pooling: they overlap where
    the size of the map is not a multiple of the grid's.

    Args:
        x (Tensor): (N, D, H, W) features or logits.
        scales (Sequence[int]): Cells along each side of the grids: 1 first, ascending. Defaults to (1, 2, 4).
        nested (bool): Pool the finest grid from the map and the others from that grid, as the official code does; its
            finest grid is 4 x 4 for the scales (1, 2) too. False: each grid from the map. No difference where the
            grids divide the map's size. Defaults to True.

    Returns:
        Tensor: (N, D, R) in the dtype of ``x``; region 0 is the whole map.

    Raises:
        TypeError: Not a floating-point tensor.
        ValueError: Another shape, or scales that cannot be.

    Source:
        SDD (CVPR 2024) section 3; ``shicaiwei123/SDD-CVPR2024`` (order, nesting).

    Example:
        >>> import torch
        >>> pool_regions(torch.arange(4.0).reshape(1, 1, 2, 2), (1, 2)).tolist()
        [[[1.5, 0.0, 1.0, 2.0, 3.0]]]
    """
    if not isinstance(x, Tensor) or not x.is_floating_point():
        raise TypeError(f"x must be a floating-point tensor, got {getattr(x, 'dtype', type(x).__name__)}")
    check_dense("x", x)
    if x.ndim != 4 or not x.shape[2:].numel():
        raise ValueError(f"x must be (N, D, H, W) with a pixel at least, got shape {tuple(x.shape)}")
    scales = check_scales(scales)
    if nested:
        finest = OFFICIAL_GRID if scales == (1, 2) else scales[-1]
        for scale in scales:
            if finest % scale:
                raise ValueError(
                    f"scales = {scales}: {scale} does not divide {finest}, the finest, from which the others are "
                    "pooled; nested=False pools each from the map"
                )
        x = F.adaptive_avg_pool2d(x, finest)
    return torch.cat([F.adaptive_avg_pool2d(x, scale).flatten(2) for scale in scales], dim=2)


def region_labels(
    labels: Tensor,
    scales: Sequence[int] = (1, 2, 4),
    *,
    num_classes: int,
    ignore_index: int = 255,
    min_valid: float = 0.5,
) -> tuple[Tensor, Tensor]:
    r"""The class that most pixels of a region have: the labels of :func:`pool_regions`, for segmentation.

    .. math:: y_{n,r} = \arg\max_c |\{(h,w) \in \mathrm{cell}\ r: y_{n,h,w} = c\}|

    Each pixel belongs to one cell of each grid. Of classes with equally many pixels the first one counts.

    Args:
        labels (Tensor): (N, H, W) integers, at any size.
        scales (Sequence[int]): As of :func:`pool_regions`. Defaults to (1, 2, 4).
        num_classes (int): Classes; labels are in [0, num_classes) or ``ignore_index``.
        ignore_index (int): The label that does not count. Defaults to 255.
        min_valid (float): Share of a region's pixels that must have a label that counts. Defaults to 0.5.

    Returns:
        tuple[Tensor, Tensor]: (N, R) int64 classes, and (N, R) bool, True where the region counts.

    Raises:
        TypeError: Labels that are not integers.
        ValueError: Another shape, a label that is no class, or scales, a share or a number that cannot be.

    Source:
        Ours: SDD has no segmentation.

    Example:
        >>> import torch
        >>> labels = torch.tensor([[[0, 0, 1, 2], [0, 0, 2, 2]]])
        >>> region_labels(labels, (1, 2), num_classes=3)[0].tolist()
        [[0, 0, 1, 0, 2]]
    """
    check_integers("labels", labels)
    if labels.ndim != 3:
        raise ValueError(f"labels must be (N, H, W), got shape {tuple(labels.shape)}")
    scales = check_scales(scales)
    if num_classes < 1:
        raise ValueError(f"num_classes = {num_classes!r}: expected a number above 0")
    if not 0 <= min_valid <= 1:
        raise ValueError(f"min_valid = {min_valid!r}: expected a share, from 0 to 1")
    labels = labels.long()
    ignored = labels == ignore_index
    if not bool((ignored | ((labels >= 0) & (labels < num_classes))).all()):
        raise ValueError(f"labels must be in [0, {num_classes}) or ignore_index = {ignore_index}")
    labels = labels.masked_fill(ignored, num_classes)  # a class of its own, dropped below
    counts = torch.cat([_count(labels, scale, num_classes + 1) for scale in scales], dim=1)
    valid = counts[:, :, :num_classes]
    some = valid.sum(2)
    mask = (some > 0) & (some >= min_valid * counts.sum(2))
    return valid.argmax(2), mask


def sdd_loss(
    regions_s: Tensor,
    regions_t: Tensor,
    target: Tensor | None,
    *,
    base: str = "kd",
    complementary_weight: float = 2.0,
    split: str = "correctness",
    mask: Tensor | None = None,
    **base_kwargs: Any,
) -> Tensor:
    r"""SDD: distil the logits of regions, with more weight where a region and the whole picture differ.

    With :math:`D` the base loss of a region's logits, and :math:`w_{nr}` the complementary weight where region r and
    region 0, the whole picture, differ in the teacher's eyes, else 1,

    .. math:: L = \frac{1}{N R} \sum_{n,r} w_{nr} D(z^s_{n,:,r}, z^t_{n,:,r})

    The weights are not in the denominator, and the weight of region 0 is always 1.

    Args:
        regions_s (Tensor): Student's logits of regions, (N, C, R), region 0 the whole picture.
        regions_t (Tensor): Teacher's, same shape. Never gets a gradient.
        target (Tensor, optional): (N,) integers, the label of the picture and so of all its regions, or (N, R), one
            a region (:func:`region_labels`). Not needed for the base ``kd`` with the split ``agreement``.
        base (str): ``kd``, ``dkd``, ``nkd`` or ``dckd``. Defaults to ``kd``.
        complementary_weight (float): Weight of regions that differ. Defaults to 2.
        split (str): What differs: ``correctness``, one is right and the other wrong (the official code), or
            ``agreement``, the predicted classes (the paper). Defaults to ``correctness``.
        mask (Tensor, optional): (N, R) bool, True = counts; the others are neither in the sum nor in N R. Without
            region 0, its prediction is still what the others are compared with.
        **base_kwargs (Any): Hyper-parameters of the base loss, such as ``tau``.

    Returns:
        Tensor: Scalar, float32 (float64 for float64 inputs); 0 if nothing counts.

    Raises:
        TypeError: An argument of a wrong type or dtype, or that the base loss does not have.
        ValueError: An argument of a wrong shape, device or value, or labels that are missing.

    Source:
        SDD (CVPR 2024) section 3; ``shicaiwei123/SDD-CVPR2024`` (correctness, mean over N R). The base ``dckd``,
        region labels and mask are ours.

    Example:
        >>> import torch
        >>> student, teacher = torch.randn(2, 10, 21, requires_grad=True), torch.randn(2, 10, 21)
        >>> sdd_loss(student, teacher, torch.tensor([3, 7]), tau=4.0).backward()
        >>> sdd_loss(teacher, teacher, torch.tensor([3, 7])).item()
        0.0
    """
    check_pair(regions_s, regions_t, ("regions_s", "regions_t"))
    if regions_s.ndim != 3 or not regions_s.shape[2]:
        raise ValueError(f"regions_s must be (N, C, R) with a region at least, got shape {tuple(regions_s.shape)}")
    check_choice("base", base, tuple(BASES))
    check_choice("split", split, SPLITS)
    check_non_negative("complementary_weight", complementary_weight)
    for name in base_kwargs:
        if name not in BASE_ARGUMENTS[base]:
            raise TypeError(f"sdd_loss has no argument {name!r} for base {base!r}: {_spelling(name, base)}")
    position_weight(regions_s, mask, None)  # a mask that cannot be is named before it is used
    target = _region_target(target, regions_s, mask, base, split)
    arguments = () if base == "kd" else (target,)
    values = BASES[base](regions_s, regions_t, *arguments, mask=mask, reduction="none", **base_kwargs)
    predicted = regions_t.detach().argmax(1)
    trait = predicted == target if split == "correctness" else predicted
    with full_precision(values):
        weighted = values.where(trait == trait[:, :1], complementary_weight * values)
        return weighted.sum() / (max(values.numel(), 1) if mask is None else mask.sum().clamp_min(1))


def check_scales(scales: Sequence[int]) -> tuple[int, ...]:
    """The sides of the grids: integers, 1 first, ascending.

    Raises:
        ValueError: Anything else.
    """
    given = scales
    scales = tuple(scales) if isinstance(scales, list | tuple) else ()
    whole = all(isinstance(scale, int) and not isinstance(scale, bool) for scale in scales)
    if not whole or scales[:1] != (1,) or list(scales) != sorted(set(scales)):
        raise ValueError(f"scales = {given!r}: expected ascending integers with 1 first, such as (1, 2, 4)")
    return scales


def _arguments(base: str) -> tuple[str, ...]:
    keywords = [p.name for p in inspect.signature(BASES[base]).parameters.values() if p.kind is p.KEYWORD_ONLY]
    return tuple(name for name in keywords if name not in ("mask", "weight", "reduction"))


BASE_ARGUMENTS = {base: _arguments(base) for base in BASES}


def _spelling(name: str, base: str) -> str:
    return spelling_hint(name, BASE_ARGUMENTS[base])


def _region_target(target: Tensor | None, regions: Tensor, mask: Tensor | None, base: str, split: str) -> Tensor | None:
    """One label a region, (N, R), or None where none is needed."""
    shape = (regions.shape[0], regions.shape[2])
    if base == "kd" and split == "agreement":
        return None
    if target is None:
        needs = f"base {base!r}" if base != "kd" else f"split {split!r} (split='agreement' does not)"
        raise ValueError(f"target = None: labels are needed by {needs}")
    if isinstance(target, Tensor) and target.shape not in (shape[:1], shape):
        raise ValueError(f"target must have shape (N,) = {shape[:1]} or (N, R) = {shape}, got {tuple(target.shape)}")
    if isinstance(target, Tensor) and target.ndim == 1:
        target = target.unsqueeze(1).expand(shape)
    check_target(target, regions, mask)
    return target


def _count(labels: Tensor, scale: int, num_labels: int) -> Tensor:
    """Pixels of each label in each cell of one grid, (N, scale^2, labels)."""
    images, *size = labels.shape
    row, column = (torch.arange(n, device=labels.device) * scale // n for n in size)
    cell = row[:, None] * scale + column
    image = torch.arange(images, device=labels.device)[:, None, None]
    index = (image * scale**2 + cell) * num_labels + labels
    counts = index.flatten().bincount(minlength=images * scale**2 * num_labels)
    return counts.view(images, scale**2, num_labels)

"""Segmenters of mmseg: pixels, near the edges of the labels and away from them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mmdist.engine.gap.agreement import Comparison
from mmdist.engine.gap.calibration import PixelSample
from mmdist.engine.gap.findings import SIDES, Findings, Pair, Part, number, sorted_classes
from mmdist.errors import MMDistError

MOST_PIXELS = 1_000_000  # that the calibration is computed from
MASK_HEADS = ("MaskFormerHead", "Mask2FormerHead")  # whose scores are sums of probabilities, not logits


def compare_segmenters(
    batches: Iterable[tuple[Sequence[Any], Sequence[Any]]],
    names: list[str],
    *,
    pictures: int,
    ignore_index: int = 255,
    boundary: int = 3,
    mask_scores: tuple[bool, bool] = (False, False),
) -> Findings:
    """Compare the predictions of two segmenters, pixel by pixel.

    Args:
        batches (Iterable[tuple[Sequence, Sequence]]): The data samples that teacher and student predicted, with
            ``seg_logits`` (C, H, W), ``pred_sem_seg`` (1, H, W) and ``gt_sem_seg`` (1, H, W).
        names (list[str]): (C,) of the classes.
        pictures (int): How many pictures there will be, for the choice of pixels.
        ignore_index (int): Label of the pixels that do not count.
        boundary (int): Width in pixels of the zone on each side of a label's edge.
        mask_scores (tuple[bool, bool]): Teacher's and student's ``seg_logits`` are sums of probabilities.

    Returns:
        Findings: Per class the IoU; ``parts`` are the zones ``boundary`` and ``interior``.

    Raises:
        MMDistError: Pictures without labels, or models of different classes.
    """
    sample = PixelSample(max(1, MOST_PIXELS // max(2 * pictures, 1)))
    zones = {zone: Comparison(len(names), sample) for zone in ("boundary", "interior")}
    seen = 0
    for teachers, students in batches:
        for pair in zip(teachers, students, strict=True):
            label = label_map(pair[1])
            valid = (label != ignore_index) & (label >= 0) & (label < len(names))
            scores = [probabilities(s.seg_logits.data, mask_scores[i]) for i, s in enumerate(pair)]
            classes = [s.pred_sem_seg.data[0].long() for s in pair]
            near = boundary_zone(label.cpu(), valid.cpu(), boundary).to(label.device)
            for zone, inside in (("boundary", near), ("interior", valid & ~near)):
                parts = (score[:, inside].T for score in scores)
                zones[zone].update(label[inside], *parts, predicted=(classes[0][inside], classes[1][inside]))
            seen += 1
    if not seen:
        raise MMDistError("the data has no pictures")
    whole = merged(zones["boundary"], zones["interior"])
    iou = [class_iou(whole.confusion[side]) for side in SIDES]
    limited = sum(map(len, whole.confidence["student"])) < whole.count
    notices = [f"calibration from at most {MOST_PIXELS:,} pixels, chosen at random"] if limited else []
    return Findings(
        task="segmentation",
        unit="pixels",
        count=whole.count,
        metric="IoU",
        overall={"mIoU": _mean_iou(whole), "accuracy": whole.accuracy()},
        agreement=whole.agreement(),
        classes=sorted_classes(names, *(x.tolist() for x in iou), whole.confusion["student"].sum(1).tolist()),
        calibration=whole.calibrations(),
        parts={
            zone: Part(comparison.count, {"accuracy": comparison.accuracy(), "mIoU": _mean_iou(comparison)})
            for zone, comparison in zones.items()
            if comparison.count
        },
        notices=notices,
    )


def boundary_zone(label: Tensor, valid: Tensor, width: int) -> Tensor:
    """Pixels within ``width`` pixels of the edge between two labels; 1: those that touch it.

    The distance is Euclidean, and is 1 for the pixels that have another label above, below, left or right of them. The
    edge to ignored pixels is none.

    Args:
        label (Tensor): (H, W) integers.
        valid (Tensor): (H, W) bool: the pixel counts.
        width (int): At least 1.

    Returns:
        Tensor: (H, W) bool; ignored pixels are in no zone.

    Example:
        >>> boundary_zone(torch.tensor([[0, 0, 0, 1, 1, 1]]), torch.ones(1, 6, dtype=torch.bool), 2).int()
        tensor([[0, 1, 1, 1, 1, 0]], dtype=torch.int32)
    """
    from scipy.ndimage import distance_transform_edt

    edge = torch.zeros_like(valid)
    for dim in (0, 1):
        count = label.shape[dim] - 1
        if count < 1:
            continue
        (a, b), (ok_a, ok_b) = (
            (values.narrow(dim, 0, count), values.narrow(dim, 1, count)) for values in (label, valid)
        )
        step = (a != b) & ok_a & ok_b
        edge.narrow(dim, 0, count).logical_or_(step)
        edge.narrow(dim, 1, count).logical_or_(step)
    if not edge.any():
        return edge
    distance = distance_transform_edt(np.logical_not(edge.numpy()))
    return torch.from_numpy(distance <= width - 1) & valid


def class_iou(confusion: Tensor) -> Tensor:
    """Intersection over union of each class.

    Args:
        confusion (Tensor): (C, C) counts, labels in rows, predictions in columns.

    Returns:
        Tensor: (C,) float64; NaN for a class that is neither labelled nor predicted.

    Example:
        >>> class_iou(torch.tensor([[3, 1], [0, 4]]))
        tensor([0.7500, 0.8000], dtype=torch.float64)
    """
    hits = confusion.diag().double()
    return hits / (confusion.sum(0) + confusion.sum(1) - hits)


def probabilities(scores: Tensor, mask_scores: bool = False) -> Tensor:
    """What a segmenter of mmseg returns as ``seg_logits``, as probabilities.

    Args:
        scores (Tensor): (C, H, W) logits; (1, H, W) probabilities of class 1, where two classes share one map.
        mask_scores (bool): They are sums of probabilities over queries.

    Returns:
        Tensor: (C, H, W), two classes for one map.
    """
    scores = scores.float()
    if len(scores) == 1:
        return torch.cat([1 - scores, scores])
    return scores / scores.sum(0, keepdim=True).clamp(min=1e-12) if mask_scores else scores.softmax(0)


def has_mask_scores(model: nn.Module) -> bool:
    """The model's head is one of those that classify masks."""
    head = getattr(model, "decode_head", None)
    return any(base.__name__ in MASK_HEADS for base in type(head).__mro__)


def ignored_label(model: nn.Module) -> int:
    """The label that a segmenter's head leaves out."""
    from mmdist.models.ignore_index import head_ignore_index  # brings MMRazor along

    index = head_ignore_index(model)
    return 255 if index is None else index


def merged(first: Comparison, second: Comparison) -> Comparison:
    """Both together, as one comparison."""
    whole = Comparison(first.classes, first.sample)
    for part in (first, second):
        whole.right += part.right
        for name in ("count", "same", "overlap", "divergence"):
            setattr(whole, name, getattr(whole, name) + getattr(part, name))
        for side in SIDES:
            whole.confusion[side] += part.confusion[side]
            whole.confidence[side] += part.confidence[side]
            whole.correct[side] += part.correct[side]
    return whole


def _mean_iou(comparison: Comparison) -> Pair:
    return Pair(*(number(class_iou(comparison.confusion[side]).nanmean()) for side in SIDES))


def label_map(sample: Any) -> Tensor:
    if "gt_sem_seg" not in sample:
        raise MMDistError("the data has pictures without labels: its pipeline needs dict(type='LoadAnnotations')")
    label, predicted = sample.gt_sem_seg.data[0].long(), sample.pred_sem_seg.data[0]
    if label.shape != predicted.shape:
        raise MMDistError(
            f"a label map of {tuple(label.shape)} and a prediction of {tuple(predicted.shape)}: the pipeline has to "
            "load the labels after it has resized the picture"
        )
    return label

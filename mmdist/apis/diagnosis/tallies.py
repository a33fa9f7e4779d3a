"""Predictions of classifiers and segmenters, counted image by image."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from mmdist.apis.diagnosis.measures import Measured, accuracy, expected_by_chance
from mmdist.engine.gap.findings import number
from mmdist.engine.gap.segmentation import class_iou, label_map, probabilities

STEP = 4  # in pixels: of how many the confidence is read


class Tally(Protocol):
    """Counts what one model predicts."""

    def update(self, half: int, sample: Any) -> None:
        """Count one image.

        Args:
            half (int): 0 or 1.
            sample (Any): The data sample that the model predicted.
        """

    def result(self) -> Measured:
        """What was counted."""


class ClassifierTally:
    """Of mmpretrain's classifiers with one label an image; the score is the label's probability.

    Of many classes only those are counted that are a label or a prediction here: a table of ImageNet-21k's would not
    fit into memory.
    """

    def __init__(self) -> None:
        self.seen: list[tuple[int, int, int]] = []  # half, label, prediction
        self.scores: list[float] = []
        self.confidences: list[float] = []

    def update(self, half: int, sample: Any) -> None:
        """Count one image; see :class:`Tally`."""
        label, scores = int(sample.gt_label.reshape(-1)[0]), sample.pred_score.float().cpu()
        self.seen.append((half, label, int(scores.argmax())))
        self.scores.append(float(scores[label]) if label < len(scores) else 0.0)
        self.confidences += _sure(float(scores.max()), len(scores))

    def result(self) -> Measured:
        """What was counted."""
        numbers = sorted({number for _, *pair in self.seen for number in pair})
        place = {number: index for index, number in enumerate(numbers)}
        halves = torch.zeros(2, len(numbers), len(numbers), dtype=torch.long)
        for half, label, predicted in self.seen:
            halves[half, place[label], place[predicted]] += 1
        whole = halves.sum(0)
        chance = accuracy(expected_by_chance(whole)) or 0.0
        halved = halves[0], halves[1]
        return Measured(
            "accuracy", accuracy(whole), chance, halved, self.scores, _mean(self.confidences), numbers=numbers
        )


class SegmenterTally:
    """Of mmseg's segmenters; the score is the share of pixels that are right.

    Args:
        classes (int): C, of the data; a model may predict more.
        ignore_index (int): Label of the pixels that do not count.
        mask_scores (bool): ``seg_logits`` are sums of probabilities.
    """

    def __init__(self, classes: int, ignore_index: int = 255, mask_scores: bool = False) -> None:
        self.classes, self.ignore_index, self.mask_scores = classes, ignore_index, mask_scores
        self.halves = [torch.zeros(classes, classes, dtype=torch.long) for _ in range(2)]
        self.scores: list[float] = []
        self.confidences: list[float] = []

    def update(self, half: int, sample: Any) -> None:
        """Count one image; see :class:`Tally`."""
        label = label_map(sample).cpu()
        predicted = sample.pred_sem_seg.data[0].long().cpu()
        valid = (label != self.ignore_index) & (label >= 0) & (label < self.classes)
        labels, predicted = label[valid], predicted[valid]
        self._count(half, labels, predicted)
        self.scores.append(float((labels == predicted).float().mean()) if labels.numel() else 0.0)
        if not self.mask_scores and labels.numel():
            shares = probabilities(sample.seg_logits.data[:, ::STEP, ::STEP])
            self.confidences += _sure(float(shares.amax(0).mean()), len(shares))

    def result(self) -> Measured:
        """What was counted."""
        whole = self.halves[0] + self.halves[1]
        chance = _mean_iou(expected_by_chance(whole)) or 0.0
        halves = self.halves[0], self.halves[1]
        return Measured("mIoU", _mean_iou(whole), chance, halves, self.scores, _mean(self.confidences))

    def _count(self, half: int, labels: Tensor, predicted: Tensor) -> None:
        size = len(self.halves[half])
        more = int(predicted.max()) + 1 - size if predicted.numel() else 0
        if more > 0:
            self.halves = [torch.nn.functional.pad(counts, (0, more, 0, more)) for counts in self.halves]
            size += more
        self.halves[half] += torch.bincount(labels * size + predicted, minlength=size * size).reshape(size, size)


def _sure(probability: float, classes: int) -> list[float]:
    """How sure a prediction is: 0 for one that is as sure of every class; nothing where there is one class."""
    return [(probability - 1 / classes) / (1 - 1 / classes)] if classes > 1 else []


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _mean_iou(confusion: Tensor) -> float | None:
    """Of the classes that are labelled or predicted."""
    return number(class_iou(confusion).nanmean())

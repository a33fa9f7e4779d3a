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


class _ClassTally:
    """Counts labels and predicted classes.

    Args:
        classes (int): C, of the data; a model may predict more.
    """

    metric = ""

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.halves = [torch.zeros(classes, classes, dtype=torch.long) for _ in range(2)]
        self.scores: list[float] = []
        self.confidences: list[float] = []

    def count(self, half: int, labels: Tensor, predicted: Tensor) -> None:
        """Add samples to a half."""
        size = max(self.classes, int(predicted.max()) + 1 if predicted.numel() else 0, len(self.halves[half]))
        if size > len(self.halves[half]):
            self.halves = [torch.nn.functional.pad(h, (0, size - len(h), 0, size - len(h))) for h in self.halves]
        self.halves[half] += torch.bincount(labels * size + predicted, minlength=size * size).reshape(size, size)

    def sure(self, probability: float, classes: int) -> None:
        """Note how sure a prediction is, 0 for one that is as sure of every class."""
        if classes > 1:
            self.confidences.append((probability - 1 / classes) / (1 - 1 / classes))

    def value(self, confusion: Tensor) -> float | None:
        """The task's metric."""
        raise NotImplementedError

    def result(self) -> Measured:
        """What was counted."""
        whole = self.halves[0] + self.halves[1]
        sure = self.confidences
        return Measured(
            metric=self.metric,
            value=self.value(whole),
            chance=self.value(expected_by_chance(whole)) or 0.0,
            halves=(self.halves[0], self.halves[1]),
            scores=self.scores,
            confidence=sum(sure) / len(sure) if sure else None,
        )


class ClassifierTally(_ClassTally):
    """Of mmpretrain's classifiers with one label an image; the score is the label's probability."""

    metric = "accuracy"

    def update(self, half: int, sample: Any) -> None:
        """Count one image; see :class:`Tally`."""
        label, scores = sample.gt_label.reshape(-1)[:1].cpu(), sample.pred_score.float().cpu()
        self.count(half, label, scores.argmax(0, keepdim=True))
        self.scores.append(float(scores[label]) if int(label) < len(scores) else 0.0)
        self.sure(float(scores.max()), len(scores))

    def value(self, confusion: Tensor) -> float | None:
        """The share that is right."""
        return accuracy(confusion)


class SegmenterTally(_ClassTally):
    """Of mmseg's segmenters; the score is the share of pixels that are right.

    Args:
        classes (int): Of the data.
        ignore_index (int): Label of the pixels that do not count.
        mask_scores (bool): ``seg_logits`` are sums of probabilities.
    """

    metric = "mIoU"

    def __init__(self, classes: int, ignore_index: int = 255, mask_scores: bool = False) -> None:
        super().__init__(classes)
        self.ignore_index, self.mask_scores = ignore_index, mask_scores

    def update(self, half: int, sample: Any) -> None:
        """Count one image; see :class:`Tally`."""
        label = label_map(sample).cpu()
        predicted = sample.pred_sem_seg.data[0].long().cpu()
        valid = (label != self.ignore_index) & (label >= 0) & (label < self.classes)
        labels, predicted = label[valid], predicted[valid]
        self.count(half, labels, predicted)
        self.scores.append(float((labels == predicted).float().mean()) if labels.numel() else 0.0)
        if not self.mask_scores and labels.numel():
            shares = probabilities(sample.seg_logits.data[:, ::STEP, ::STEP])
            self.sure(float(shares.amax(0).mean()), len(shares))

    def value(self, confusion: Tensor) -> float | None:
        """The mean IoU of the classes that are labelled or predicted."""
        return number(class_iou(confusion).nanmean())

"""Predictions of detectors: AP at IoU 0.5, and under which class each object is found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from mmdist.apis.diagnosis.measures import Measured
from mmdist.engine.gap.coco import Truth, evaluate
from mmdist.engine.gap.detection import detections_of, truth_of
from mmdist.engine.gap.findings import number
from mmdist.engine.gap.matching import IOU, Detections


class DetectorTally:
    """Of mmdet's detectors; the score is the mean score of the boxes that find an image's objects in their class.

    Args:
        classes (int): K, of the data.
        truth (Mapping[Any, Truth]): The objects by ``img_id``.
    """

    def __init__(self, classes: int, truth: Mapping[Any, Truth]) -> None:
        self.classes, self.truth = classes, truth
        self.halves = [torch.zeros(classes, classes, dtype=torch.long) for _ in range(2)]
        self.objects: list[Truth] = []
        self.found: list[Detections] = []
        self.scores: list[float] = []

    def update(self, half: int, sample: Any) -> None:
        """Count one image; see :class:`mmdist.apis.diagnosis.tallies.Tally`."""
        objects, found = truth_of(sample, self.truth), detections_of(sample)
        known = found.labels < self.classes  # a model of more classes may predict what the data does not have
        found = Detections(found.boxes[known], found.scores[known], found.labels[known])
        self.objects.append(objects)
        self.found.append(found)
        scores = []
        for box, label in zip(objects.boxes[~objects.ignored], objects.labels[~objects.ignored], strict=True):
            near = _overlaps(box, found) >= IOU
            own = near & (found.labels == int(label))
            scores.append(float(found.scores[own].max()) if bool(own.any()) else 0.0)
            if bool(near.any()):
                best = found.scores.masked_fill(~near, -1).argmax()
                self.halves[half][int(label), int(found.labels[best])] += 1
        if scores:
            self.scores.append(sum(scores) / len(scores))

    def result(self) -> Measured:
        """What was counted."""
        value = None
        if self.scores:
            ap = evaluate(self.objects, self.found, self.classes).ap50
            value = number(np.nanmean(ap)) if not np.isnan(ap).all() else None
        return Measured("AP50", value, 0.0, (self.halves[0], self.halves[1]), self.scores)


def _overlaps(box: np.ndarray, found: Detections) -> torch.Tensor:
    from torchvision.ops import box_iou

    return box_iou(torch.as_tensor(box, dtype=torch.float64)[None], found.boxes.double())[0]

"""Detections of two models on one picture: which of them are the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from torch import Tensor

from mmdist.engine.gap.findings import Number

IOU = 0.5


class Detections(NamedTuple):
    """What a detector finds in a picture, on the CPU.

    Args:
        boxes (Tensor): (D, 4) left, top, right, bottom in pixels.
        scores (Tensor): (D,) 0 to 1.
        labels (Tensor): (D,) integers.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor

    def above(self, score: float) -> Detections:
        """Those with at least this score."""
        kept = self.scores >= score
        return Detections(self.boxes[kept], self.scores[kept], self.labels[kept])


def match(first: Detections, second: Detections, iou: float = IOU) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pair the detections of two models, each at most once.

    Of all assignments the one that has the largest sum of IoU, plus 1 for each pair of one class, over pairs whose IoU
    is large enough.

    Args:
        first (Detections): D1 of one model.
        second (Detections): D2 of the other.
        iou (float): What a pair has to reach.

    Returns:
        tuple[np.ndarray, np.ndarray, np.ndarray]: (P,) indices into the first, into the second, and the IoU.

    Example:
        >>> import torch
        >>> one = Detections(torch.tensor([[0.0, 0.0, 4.0, 4.0]]), torch.tensor([0.9]), torch.tensor([1]))
        >>> [x.tolist() for x in match(one, one)]
        [[0], [0], [1.0]]
    """
    from scipy.optimize import linear_sum_assignment
    from torchvision.ops import box_iou

    overlaps = box_iou(first.boxes.double(), second.boxes.double()).numpy()
    alike = (first.labels[:, None] == second.labels[None]).numpy()
    gain = np.where(overlaps >= iou, overlaps + alike, 0.0)
    rows, columns = linear_sum_assignment(gain, maximize=True)
    kept = gain[rows, columns] > 0
    rows, columns = rows[kept], columns[kept]
    return rows, columns, overlaps[rows, columns]


@dataclass
class Agreement:
    """Counts pairs of detections over pictures.

    Args:
        threshold (float): Score from which a detection counts.
    """

    threshold: float
    teacher: int = 0
    student: int = 0
    same_class: int = 0
    overlaps: list[float] = field(default_factory=list)
    score_steps: list[float] = field(default_factory=list)

    def update(self, teacher: Detections, student: Detections) -> None:
        """Count one picture."""
        teacher, student = teacher.above(self.threshold), student.above(self.threshold)
        self.teacher += len(teacher.scores)
        self.student += len(student.scores)
        rows, columns, overlaps = match(teacher, student)
        self.same_class += int((teacher.labels[rows] == student.labels[columns]).sum())
        self.overlaps += overlaps.tolist()
        self.score_steps += (teacher.scores[rows] - student.scores[columns]).tolist()

    def shares(self) -> dict[str, Number]:
        """What the counts say; None where there is no detection to speak of."""
        pairs = len(self.overlaps)
        return {
            "teacher_detections": self.teacher,
            "student_detections": self.student,
            "found_by_student": pairs / self.teacher if self.teacher else None,
            "found_in_same_class": self.same_class / self.teacher if self.teacher else None,
            "student_alone": 1 - pairs / self.student if self.student else None,
            "mean_iou": float(np.mean(self.overlaps)) if pairs else None,
            "score_difference": float(np.mean(self.score_steps)) if pairs else None,
        }

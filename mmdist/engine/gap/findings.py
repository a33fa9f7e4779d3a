"""What was measured, as plain numbers: shares from 0 to 1; None where there is nothing to measure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

SIDES = ("teacher", "student")
Number = float | int | None


class Pair(NamedTuple):
    """One quantity of both models.

    Args:
        teacher (float, optional): The teacher's.
        student (float, optional): The student's.
    """

    teacher: float | None
    student: float | None

    @property
    def gap(self) -> float | None:
        """How much more the teacher has.

        Example:
            >>> Pair(0.75, 0.5).gap
            0.25
        """
        return None if self.teacher is None or self.student is None else self.teacher - self.student

    def as_dict(self) -> dict[str, float | None]:
        """For programs."""
        return {"teacher": self.teacher, "student": self.student, "gap": self.gap}


@dataclass(frozen=True)
class ClassGap:
    """One class.

    Args:
        name (str): Its name.
        scores (Pair): The task's metric of both models; None for a class that is not in the data.
        support (int): Pictures, pixels or objects of it.
    """

    name: str
    scores: Pair
    support: int


class Bin(NamedTuple):
    """Predictions of similar confidence.

    Args:
        count (int): How many.
        confidence (float): Their mean confidence.
        correct (float): The share of them that is right.
    """

    count: int
    confidence: float
    correct: float


@dataclass(frozen=True)
class Calibration:
    """How well a model knows what it knows.

    Args:
        error (float, optional): The expected calibration error.
        bins (list[Bin]): Of equal width; those that nothing falls into are left out.
    """

    error: float | None
    bins: list[Bin]

    @property
    def excess(self) -> float | None:
        """Mean confidence minus the share that is right: above 0 a model is too sure of itself.

        Example:
            >>> Calibration(0.25, [Bin(2, 0.75, 0.5)]).excess
            0.25
        """
        count = sum(entry.count for entry in self.bins)
        return sum(entry.count * (entry.confidence - entry.correct) for entry in self.bins) / count if count else None


class Part(NamedTuple):
    """A part of the data: a zone of the pictures, or objects of similar size.

    Args:
        support (int): How much of the data is in it.
        metrics (dict[str, Pair]): Of both models in it.
    """

    support: int
    metrics: dict[str, Pair]


@dataclass
class Findings:
    """What the predictions of teacher and student say.

    Args:
        task (str): classification, segmentation or detection.
        unit (str): What ``count`` counts: pictures, pixels or objects.
        count (int): How many were looked at.
        metric (str): The metric of each class: accuracy, IoU or AP.
        overall (dict[str, Pair]): Metrics of all data, the main one first.
        agreement (dict[str, Number]): How alike the predictions are.
        classes (list[ClassGap]): The largest gap first; classes without data last.
        parts (dict[str, Part]): Parts of the data, by name.
        calibration (dict[str, Calibration]): Of ``teacher`` and ``student``.
        notices (list[str]): What a reader has to know about these numbers.
    """

    task: str
    unit: str
    count: int
    metric: str
    overall: dict[str, Pair]
    agreement: dict[str, Number]
    classes: list[ClassGap]
    calibration: dict[str, Calibration]
    parts: dict[str, Part] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Everything, for programs."""
        return {
            "task": self.task,
            "unit": self.unit,
            "count": self.count,
            "metric": self.metric,
            "overall": {name: pair.as_dict() for name, pair in self.overall.items()},
            "agreement": self.agreement,
            "classes": [{"name": c.name, **c.scores.as_dict(), "support": c.support} for c in self.classes],
            "parts": {
                name: {"support": part.support, **{key: pair.as_dict() for key, pair in part.metrics.items()}}
                for name, part in self.parts.items()
            },
            "calibration": {
                side: {"error": found.error, "excess": found.excess, "bins": [entry._asdict() for entry in found.bins]}
                for side, found in self.calibration.items()
            },
            "notices": self.notices,
        }


def number(value: Any) -> float | None:
    """A plain float; None for what is not a number, as JSON has no NaN.

    Example:
        >>> number(float('nan')), number(0.5)
        (None, 0.5)
    """
    value = float(value)
    return value if math.isfinite(value) else None


def sorted_classes(names: list[str], teacher: Any, student: Any, support: Any) -> list[ClassGap]:
    """The classes, the largest gap first.

    Args:
        names (list[str]): (C,) names.
        teacher (Sequence[float]): (C,) the teacher's metric; NaN: the class is not in the data.
        student (Sequence[float]): (C,) the student's.
        support (Sequence[int]): (C,) how much data each class has.

    Returns:
        list[ClassGap]: Classes without a gap last.

    Example:
        >>> [c.name for c in sorted_classes(['a', 'b'], [0.5, 0.9], [0.5, 0.1], [3, 4])]
        ['b', 'a']
    """
    classes = [
        ClassGap(name, Pair(number(t), number(s)), int(n))
        for name, t, s, n in zip(names, teacher, student, support, strict=True)
    ]
    return sorted(classes, key=lambda c: math.inf if c.scores.gap is None else -c.scores.gap)

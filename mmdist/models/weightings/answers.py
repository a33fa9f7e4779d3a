"""What the teacher's recorders hold, in the form in which the student's losses compare it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from mmdist.errors import ConfigError
from mmdist.functional.queries import query_logits
from mmdist.models.losses.levels import check_finite
from mmdist.models.weightings.rows import Levels, Order, as_levels
from mmdist.models.weightings.targets import ANCHORS, Target


class Answers:
    """The teacher's logits of one iteration.

    Args:
        records (Mapping[str, Sequence]): What each recorder recorded; the last counts.
    """

    def __init__(self, records: Mapping[str, Sequence]) -> None:
        self.records = records

    def logits(self, target: Target, name: str, student: Tensor, order: Order | None = None) -> Tensor:
        """The teacher's logits for one call of a student's loss.

        Args:
            target (Target): The student's loss.
            name (str): The recorder.
            student (Tensor): The student's logits in this call.
            order (Order, optional): Of a detector, how the rows of this call come from the levels of its head.

        Returns:
            Tensor: (N, C, h, w), (N, C), or, of a detector, (R, C), its rows in the student's order.

        Raises:
            ConfigError: The teacher answers another question: other classes, anchors or images.
            FloatingPointError: It answers with NaN or infinity.
        """
        answer = self.records[name][-1]
        logits = as_logits(answer)
        if target.kind == ANCHORS:
            levels = as_levels(answer, student.shape[1])
            logits = None if levels is None or order is None else _rows(order, levels)
        if logits is None or logits.ndim != student.ndim or logits.shape[:2] != student.shape[:2]:
            given = "something else" if logits is None else tuple(logits.shape)
            wanted = f"logits of the student's images and classes, {tuple(student.shape)}"
            hint = (
                "teacher and student need the same classes and, in detectors, anchors; model.weighting.losses names "
                "the losses to weigh, model.weighting.teacher_logits the teacher's method"
            )
            raise ConfigError(f"model.teacher: {target.teacher}", given, wanted, hint)
        check_finite([logits], target.teacher)
        return logits.detach()


def _rows(order: Order, levels: Levels) -> Tensor | None:
    try:
        return order(levels)
    except IndexError:  # the teacher has fewer levels
        return None


def as_logits(answer: Any) -> Tensor | None:
    """The logits that a head returns: a map, scores for each image, or Mask2Former's queries as a map; else None.

    Of several maps (DANet, EncNet) the first, which mmseg's heads predict from.
    """
    if isinstance(answer, Tensor):
        return answer
    if not isinstance(answer, list | tuple) or not answer:
        return None
    if len(answer) == 2:
        scores, masks = (part[-1] if isinstance(part, list | tuple) and part else part for part in answer)
        if isinstance(scores, Tensor) and isinstance(masks, Tensor) and scores.ndim == 3 and masks.ndim == 4:
            return query_logits(scores, masks)
    return answer[0] if isinstance(answer[0], Tensor) and answer[0].ndim == 4 else None

"""A student and a teacher: what of the two can be compared."""

from __future__ import annotations

from dataclasses import dataclass

from mmengine.config import Config

from mmdist.engine.new.sides import DENSE, TASKS, Side, Spot
from mmdist.errors import ConfigError
from mmdist.models.weightings.targets import check_anchors


@dataclass
class Pair:
    """Two sides of one task.

    Args:
        cfg (Config): Of the student.
        student (Side): The student.
        teacher (Side): The teacher.
        size (tuple[int, int]): Height and width of a picture in training, as far as the config tells.
        tried (tuple[int, int]): The same in the dry run.
    """

    cfg: Config
    student: Side
    teacher: Side
    size: tuple[int, int]
    tried: tuple[int, int]

    def why_not_logits(self) -> str:
        """Why the class scores cannot be compared; empty: they can."""
        s, t = self.student, self.teacher
        why = s.why("logits") or t.why("logits")
        if why:
            return why
        if s.kind != t.kind:
            return f"the student is a {s.kind}, the teacher a {t.kind}: their scores mean different things"
        if s.classes != t.classes:
            return f"the student tells {s.classes} classes apart, the teacher {t.classes}"
        return self._why_not_dense() if s.kind == DENSE else ""

    def _why_not_dense(self) -> str:
        s, t = self.student, self.teacher
        heads = s.model.bbox_head, t.model.bbox_head
        names = [type(head).__name__ for head in heads]
        if not isinstance(heads[0], type(heads[1])) and not isinstance(heads[1], type(heads[0])):
            return f"the scores of {names[0]} and {names[1]} mean different things"
        if s.anchors != t.anchors or s.channels != t.channels or s.sigmoid != t.sigmoid:
            return f"the student has {s.anchors} anchors of {s.channels} scores in a position, the teacher {t.anchors}"
        sizes = [[spot.shape[2:] for spot in side.logits] for side in (s, t)]
        if sizes[0] != sizes[1]:
            return f"the student's levels are {_sizes(sizes[0])}, the teacher's {_sizes(sizes[1])}"
        try:
            check_anchors(*heads)
        except ConfigError as error:
            return f"their anchors differ: {error}"
        return ""

    def why_not_features(self) -> str:
        """Why the features cannot be compared; empty: they can."""
        why = self.student.why("features") or self.teacher.why("features")
        return why or ("" if self.features() else "the pyramids of teacher and student have no stride in common")

    def features(self) -> list[tuple[Spot, Spot]]:
        """Maps to compare: of a pyramid those of equal stride, elsewhere the one of each side."""
        if self.student.task != TASKS["mmdet"]:
            return list(zip(self.student.features, self.teacher.features, strict=False))
        pairs, left = [], list(self.teacher.features)
        for spot in self.student.features:
            other = next((other for other in left if other.shape[2:] == spot.shape[2:]), None)
            if other is not None:
                pairs.append((spot, other))
                left.remove(other)  # the coarsest levels of a small picture have the same size
        return pairs


def _sizes(sizes: list[tuple[int, ...]]) -> str:
    return ", ".join("x".join(map(str, size)) for size in sizes)

"""A student and a teacher: what of the two can be compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mmengine.config import Config
from torch import nn

from mmdist.engine.new.sides import DENSE, TASKS, Side, Spot
from mmdist.errors import ConfigError
from mmdist.models.weightings.targets import check_anchors

OBJECTNESS = ("loss_obj", "loss_conf")  # heads that ask first whether there is an object, and its class only then


@dataclass
class Pair:
    """Two sides of one task.

    Args:
        cfg (Config): Of the student.
        student (Side): The student.
        teacher (Side): The teacher.
        size (tuple[int, int]): Height and width of a picture in training, as far as the config tells.
        tried (tuple[int, int]): The same in the dry run.
        batch (dict): Of the dry run, preprocessed for the student.
        teacher_size (tuple[int, int], optional): What the teacher's images are resized to, or None.
        rdd (str, optional): Why RDD cannot weigh the student's losses, once that has been tried out.
    """

    cfg: Config
    student: Side
    teacher: Side
    size: tuple[int, int]
    tried: tuple[int, int]
    batch: dict[str, Any] = field(default_factory=dict, repr=False)
    teacher_size: tuple[int, int] | None = None
    rdd: str | None = None

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
        if s.channels != t.channels:
            return f"the student has {s.channels} class scores, the teacher {t.channels}"
        if s.sigmoid != t.sigmoid:
            sides = sorted((s, t), key=lambda side: side.sigmoid)
            return (
                f"the classes of the {sides[0].name} compete (softmax), those of the {sides[1].name} do not (sigmoid)"
            )
        return self._why_not_dense() if s.kind == DENSE else ""

    def _why_not_dense(self) -> str:
        s, t = self.student, self.teacher
        heads = s.model.bbox_head, t.model.bbox_head
        if not same_meaning(*heads):
            return f"the scores of {' and '.join(type(head).__name__ for head in heads)} mean different things"
        if s.anchors != t.anchors:
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


def same_meaning(student: nn.Module, teacher: nn.Module) -> bool:
    """Whether the class scores of two dense heads answer the same question, whatever their classes are.

    One inherits from the other; or both ask of each anchor, objects and background alike, which classes are there.
    """
    if isinstance(student, type(teacher)) or isinstance(teacher, type(student)):
        return True
    return all(
        hasattr(head, "loss_cls") and not any(hasattr(head, name) for name in OBJECTNESS) for head in (student, teacher)
    ) and kind_of_priors(student) == kind_of_priors(teacher)


def kind_of_priors(head: nn.Module) -> tuple:
    """What a dense head's scores belong to: anchors, which are compared elsewhere, or points of strides and offset."""
    generator = getattr(head, "prior_generator", None)
    if generator is None or hasattr(generator, "base_anchors"):
        return (generator is None,)
    return tuple(map(tuple, generator.strides)), getattr(generator, "offset", None)


def _sizes(sizes: list[tuple[int, ...]]) -> str:
    return ", ".join("x".join(map(str, size)) for size in sizes)

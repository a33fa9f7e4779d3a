"""The methods that label images without labels: by themselves, and beside what compares scores."""

from __future__ import annotations

from collections.abc import Callable

from mmdist.engine.new.pair import Pair
from mmdist.engine.new.settings import Task
from mmdist.engine.new.sides import CLASSIFIER, SEGMENTER
from mmdist.engine.new.wiring import Wiring
from mmdist.errors import ConfigError
from mmdist.models.algorithms.pseudo_labels import make_labeler

EVERY, LIKELY = 0.0, 0.5
NEEDS_UNLABELED = "it labels images that have none: --unlabeled DIR says where they are"


def suits(other: Callable[[Pair], str] | None = None) -> Callable[[Pair], str]:
    """Why pseudo-labels do not suit a pair, alone or beside another method.

    Args:
        other (Callable, optional): Likewise for the other method.
    """

    def why_not(pair: Pair) -> str:
        why = other(pair) if other is not None else ""
        if why:
            return why
        try:
            make_labeler(pair.student.model, pair.teacher.model)
        except ConfigError as error:
            return f"the teacher cannot label images for the student: {error}"
        return ""

    return why_not


def wire(inner: Callable[[Wiring, Task], None] | None = None) -> Callable[[Wiring, Task], None]:
    """Put pseudo-labels in, beside another method or alone.

    Args:
        inner (Callable, optional): Puts the other method's parts in.
    """

    def put(wiring: Wiring, task: Task) -> None:
        if inner is not None:
            inner(wiring, task)
        every = task.kind in (SEGMENTER, CLASSIFIER)
        wiring.pseudo_labels = {"score_thr": EVERY if every else LIKELY, "loss_weight": 1.0}
        wiring.source.append(
            "pseudo-labels: " + ("every decision counts" if every else "boxes from 0.5 on") + " (ours)"
        )

    return put

"""Which methods suit a pair: each function says why not; empty: it does."""

from __future__ import annotations

from mmdist.engine.new.classifiers import why_not_regions
from mmdist.engine.new.pair import Pair
from mmdist.engine.new.sides import CLASSIFIER, DENSE, SEGMENTER, TASKS
from mmdist.errors import ConfigError
from mmdist.models.weightings import RDDWeighting


def logits(pair: Pair) -> str:
    """Of the class scores alone."""
    return pair.why_not_logits()


def labelled(pair: Pair) -> str:
    """Of the class scores and the labels."""
    return pair.why_not_logits() or pair.student.why("labels")


def features(pair: Pair) -> str:
    """Of features."""
    return pair.why_not_features()


def both(pair: Pair) -> str:
    """Of class scores and features."""
    return pair.why_not_logits() or pair.why_not_features()


def rdd(pair: Pair) -> str:
    """Of RDD, whose weighting looks at the loss modules itself."""
    why = pair.why_not_logits()
    if why:
        return why
    try:
        RDDWeighting().connect(pair.student.model, pair.teacher.model)
    except ConfigError as error:
        return f"RDD cannot weigh the student's task loss: {error}"
    return ""


def sdd(pair: Pair) -> str:
    """Of SDD, which needs a classifier that answers for regions."""
    why = pair.why_not_logits()
    if why or pair.student.kind == DENSE:
        return why
    if pair.student.kind == CLASSIFIER:
        why = why_not_regions(pair.student) or why_not_regions(pair.teacher)
    return why or pair.student.why("labels")


def cwd(pair: Pair) -> str:
    """Of CWD."""
    if pair.student.kind != SEGMENTER:
        return f"CWD compares the maps of segmenters, and the student is a {pair.student.kind}"
    return pair.why_not_logits()


def pkd(pair: Pair) -> str:
    """Of PKD."""
    if pair.student.task != TASKS["mmdet"]:
        return f"PKD compares the pyramids of detectors, and the student is for {pair.student.task}"
    return pair.why_not_features()

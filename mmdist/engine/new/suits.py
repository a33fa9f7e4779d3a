"""Which methods suit a pair: each function says why not; empty: it does."""

from __future__ import annotations

import torch
from mmrazor.models.task_modules import RecorderManager

from mmdist.engine.modules.batch import first_line
from mmdist.engine.new.classifiers import why_not_regions
from mmdist.engine.new.detectors import why_not_rois
from mmdist.engine.new.input_sizes import resized
from mmdist.engine.new.pair import Pair
from mmdist.engine.new.passes import given
from mmdist.engine.new.sides import CLASSIFIER, DENSE, SEGMENTER, TASKS, TWO_STAGE
from mmdist.errors import MMDistError
from mmdist.models.algorithms.modes import as_in_training
from mmdist.models.algorithms.randomness import isolated_randomness
from mmdist.models.algorithms.teacher import Teacher
from mmdist.models.weightings import RDDWeighting
from mmdist.models.weightings.targets import weighable


def logits(pair: Pair) -> str:
    """Of the class scores alone."""
    return pair.why_not_logits()


def labelled(pair: Pair) -> str:
    """Of the class scores and the labels."""
    return pair.why_not_logits() or _why_not_competing(pair) or pair.student.why("labels")


def _why_not_competing(pair: Pair) -> str:
    s = pair.student
    if not s.sigmoid or (s.kind == DENSE and s.channels > 1):
        return ""
    what = "has a single score" if s.channels == 1 else "asks of each class by itself (sigmoid)"
    return f"the student {what}, and the method compares classes that compete"


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
    if pair.rdd is None:
        pair.rdd = _why_not_weighed(pair)
    return pair.rdd


def weighed(pair: Pair) -> list[str] | None:
    """The student's losses that RDD weighs, where they are not all of them."""
    takes, others = weighable(pair.student.model)
    return takes if takes and others else None


@torch.no_grad()
def _why_not_weighed(pair: Pair) -> str:
    """RDD's weighting, tried out: every loss is called, with the rows that the teacher answers for."""
    student, teacher = pair.student.model, pair.teacher.model
    try:
        with isolated_randomness():
            weighting = RDDWeighting(warmup=0, first_stage="none", losses=weighed(pair))
            recorders = RecorderManager(weighting.connect(student, teacher))
            recorders.initialize(teacher)
            batch = given(pair.batch)
            images = resized(batch, pair.teacher_size)["inputs"]
            Teacher(teacher.eval()).record(recorders, images, batch["data_samples"], whole=True)
            with as_in_training(student), weighting.applied(student, recorders):
                student(**given(pair.batch), mode="loss")
    except MMDistError as error:
        return f"RDD cannot weigh the student's task loss: {error}"
    except Exception as error:  # whatever a model raises
        return f"RDD cannot weigh the student's task loss: {first_line(error)}"
    return ""


def sdd(pair: Pair) -> str:
    """Of SDD, which needs a classifier that answers for regions."""
    why = pair.why_not_logits()
    if why or pair.student.kind == DENSE:
        return why
    if pair.student.kind == CLASSIFIER:
        why = why_not_regions(pair.student) or why_not_regions(pair.teacher)
    if pair.student.kind == TWO_STAGE:
        why = why_not_rois(pair.student) or why_not_rois(pair.teacher)
    if pair.student.channels == 1 or (pair.student.kind == CLASSIFIER and pair.student.sigmoid):
        why = _why_not_competing(pair)
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

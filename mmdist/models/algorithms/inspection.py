"""A second look at a batch: what student and teacher make of it, pixel by pixel, without a trace in the training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from torch import Tensor

from mmdist.errors import ConfigError
from mmdist.functional import kd_loss
from mmdist.models.algorithms import records
from mmdist.models.algorithms.normalisation import normalisation
from mmdist.models.algorithms.passes import forward_features
from mmdist.models.algorithms.randomness import isolated_randomness
from mmdist.models.algorithms.single_teacher_distill import SingleTeacherDistill
from mmdist.models.ignore_index import head_ignore_index
from mmdist.models.weightings.answers import as_logits

NO_LABEL = -1


@dataclass(frozen=True)
class Inspection:
    """Some images of a batch, at the size of their labels.

    Args:
        images (Tensor): (N, 3, H, W) uint8, RGB, as the student is given them.
        labels (Tensor): (N, H, W); -1 where the student's head leaves out what is a class by its number.
        teacher (Tensor): (N, H, W), the classes that it predicts.
        student (Tensor): (N, H, W), likewise.
        weight (Tensor, optional): (N, H, W), what the pixels weigh in the task loss; None: they are not weighted.
        divergence (Tensor, optional): (N, H, W), KL of the student's from the teacher's probabilities; None: their
            classes are not the same.
        classes (int): How many the student knows.
    """

    images: Tensor
    labels: Tensor
    teacher: Tensor
    student: Tensor
    weight: Tensor | None
    divergence: Tensor | None
    classes: int


def is_segmenter(model: BaseModel) -> bool:
    """Whether student and teacher of an algorithm say something of every pixel."""
    sides = [getattr(model, side, None) for side in ("student", "teacher")]
    return isinstance(model, SingleTeacherDistill) and all(hasattr(side, "decode_head") for side in sides)


def inspect_batch(model: SingleTeacherDistill, data: Any, count: int) -> Inspection:
    """Run student and teacher once more, in evaluation mode.

    Random numbers, statistics and modes are afterwards what they were before.

    Args:
        model (SingleTeacherDistill): See :func:`is_segmenter`.
        data (Any): A batch as the data loader gives it.
        count (int): How many of its images, the first, to return. Where the pixels are weighted, the whole batch is
            run all the same: RDD's ``min_kept`` counts over it.

    Returns:
        Inspection: In the present stage of the weighting.

    Raises:
        ConfigError: A head whose answer is no map.
    """
    weighted = model.weighting is not None and not model.distillation_stopped
    recorders = model.distiller.teacher_recorders
    try:
        with torch.no_grad(), isolated_randomness(), _evaluating(model):
            batch = model.data_preprocessor(data, True)  # as in training: pictures and labels padded to one size
            shown = slice(None) if weighted else slice(count)
            inputs, samples = batch["inputs"][shown], batch["data_samples"][shown]
            labels = torch.stack([sample.gt_sem_seg.data[0] for sample in samples])
            student = _logits(model.student, forward_features(model.student, inputs, samples), labels, "architecture")
            model._prepare_teacher()
            sources = [recorder.source for recorder in recorders.recorders.values()]
            with recorders:
                answer = forward_features(model.teacher, model._teacher.prepare(inputs, samples), samples, sources)
            teacher = _logits(model.teacher, answer, labels, "teacher")
            weight = model.weighting.weight_map(model.student, recorders, student, labels) if weighted else None
            student, teacher, labels = student[:count], teacher[:count], labels[:count]
            ignored, classes = head_ignore_index(model.student), max(2, student.shape[1])
            if ignored is not None and 0 <= ignored < classes:  # a class by its number, but nothing is learnt of it
                labels = labels.masked_fill(labels == ignored, NO_LABEL)
            return Inspection(
                images=_pictures(model, inputs[:count]),
                labels=labels,
                teacher=_predicted(model.teacher, teacher),
                student=_predicted(model.student, student),
                weight=None if weight is None else weight[:count],
                divergence=_divergence(student, teacher),
                classes=classes,
            )
    finally:
        records.empty(model.distiller)


@contextmanager
def _evaluating(model: SingleTeacherDistill) -> Iterator[None]:
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def _logits(model: BaseModel, answer: Any, labels: Tensor, side: str) -> Tensor:
    logits = as_logits(answer)
    if logits is None or logits.ndim != 4:
        head = type(model.decode_head).__name__
        raise ConfigError(f"model.{side}.decode_head", head, "a head that returns a map of logits, (N, C, h, w)")
    return F.interpolate(logits.float(), labels.shape[1:], mode="bilinear", align_corners=model.align_corners)


def _pictures(model: SingleTeacherDistill, inputs: Tensor) -> Tensor:
    """Undo the student's normalisation; data sets give BGR, which the normalisation may have turned round."""
    own = normalisation(model.data_preprocessor)
    if own is not None:
        inputs = inputs * own.std.to(inputs) + own.mean.to(inputs)
    if inputs.shape[1] == 3 and (own is None or not own.reverse):
        inputs = inputs.flip(1)
    return inputs[:, :3].expand(-1, 3, -1, -1).round().clamp(0, 255).to(torch.uint8)


def _predicted(model: BaseModel, logits: Tensor) -> Tensor:
    if logits.shape[1] > 1:
        return logits.argmax(1)
    return (logits[:, 0].sigmoid() > (getattr(model.decode_head, "threshold", None) or 0.5)).long()


def _divergence(student: Tensor, teacher: Tensor) -> Tensor | None:
    if student.shape[1] != teacher.shape[1]:
        return None
    return kd_loss(student, teacher, activation="softmax" if student.shape[1] > 1 else "sigmoid", reduction="none")

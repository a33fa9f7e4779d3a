"""The teacher's decisions about images without labels, as labels of the student's own loss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from mmdist.errors import ConfigError
from mmdist.models.algorithms.pseudo_labels.labelers import SURE, ClassificationLabeler, make_labeler
from mmdist.models.algorithms.pseudo_labels.options import KEY, check_number, check_options
from mmdist.models.algorithms.pseudo_labels.views import StrongView
from mmdist.models.algorithms.teacher import VIEW, Teacher
from mmdist.models.algorithms.unlabeled import named_failure
from mmdist.models.teacher_weights import check_whole_teacher
from mmdist.models.weightings.calls import LossCall

if TYPE_CHECKING:
    from mmdist.models.algorithms.single_teacher_distill import SingleTeacherDistill

PREFIX = "pseudo"
PREDICTS = "a model that predicts batches of the training, for model.pseudo_labels"
ANSWERED = 100.0  # a logit whose sigmoid is 1 in every dtype


class PseudoLabels:
    """Hard labels of the teacher for images that have none.

    Args:
        student (BaseModel): Learns from them.
        teacher (BaseModel): Decides, in evaluation mode.
        score_thr (float): A decision counts from this confidence on, 0 to 1; 0: all do.
        loss_weight (float): Times the student's loss on them. Defaults to 1.
        strong_view (dict, optional): Arguments of :class:`StrongView`, in which the student sees what the teacher has
            seen as it is. Defaults to None: both see the same.

    Raises:
        ConfigError: A value that cannot work, or models that do not go together.
    """

    def __init__(
        self,
        student: BaseModel,
        teacher: BaseModel,
        *,
        score_thr: float,
        loss_weight: float = 1.0,
        strong_view: dict | None = None,
    ) -> None:
        self.score_thr = check_number("score_thr", score_thr, 0, 1)
        self.loss_weight = check_number("loss_weight", loss_weight, 0)
        self.view: StrongView | None = None
        if strong_view is not None:
            options = check_options(strong_view, StrongView.__init__, f"{KEY}.strong_view")
            self.view = StrongView(student, **options)
        self.labeler = make_labeler(student, teacher)
        # The others write into the labels what does not count.
        self.counts = isinstance(self.labeler, ClassificationLabeler)

    def label(
        self, teacher: Teacher, images: Tensor, inputs: Tensor, samples: Sequence[Any]
    ) -> tuple[Tensor, list[Any]]:
        """What the student is given of images without labels.

        Args:
            teacher (Teacher): Computes as in its own inference.
            images (Tensor): (N, C, H, W), prepared for it.
            inputs (Tensor): (N, C, H, W), prepared for the student.
            samples (Sequence): Their data samples.

        Returns:
            tuple: The student's view, and data samples with the teacher's decisions.
        """
        with named_failure(teacher.model, "model.teacher", PREDICTS):
            found = teacher.infer(lambda: self.labeler(images, samples, self.score_thr), inputs)
        if self.view is None:
            return inputs, found
        with teacher.own_numbers(VIEW, inputs):
            return self.view(inputs, samples), found

    @contextmanager
    def applied(self, student: BaseModel, samples: Sequence[Any]) -> Iterator[None]:
        """Inside, a classifier's loss is that of the images, or of several labels the classes, that are sure."""
        sure = torch.stack([getattr(sample, SURE) for sample in samples]) if self.counts else None
        if sure is None or bool(sure.all()):
            yield
            return
        module = student.head.loss_module
        before = _sure_classes if self.labeler.several else _sure_rows
        handles = [
            module.register_forward_pre_hook(
                lambda module, args, kwargs: before(module, args, kwargs, sure), with_kwargs=True
            )
        ]
        if not bool(sure.any()):
            handles.append(module.register_forward_hook(lambda _, args, output: output * 0.0))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def losses(self, losses: Mapping[str, Any]) -> dict[str, Any]:
        """The student's losses on these labels, weighed and with ``pseudo.`` before their names."""
        found = {}
        for name, value in losses.items():
            if "loss" in name:
                value = (
                    [one * self.loss_weight for one in value] if isinstance(value, list) else value * self.loss_weight
                )
            found[f"{PREFIX}.{name}"] = value
        return found


def make_pseudo_labels(options: dict | None, algorithm: SingleTeacherDistill) -> PseudoLabels | None:
    """From ``pseudo_labels`` of a config.

    Args:
        options (dict, optional): Its value; None: there are none.
        algorithm (SingleTeacherDistill): With student and teacher.

    Raises:
        ConfigError: A value that cannot work, a teacher that trains, or one with a part that has no weights.
    """
    if options is None:
        return None
    if "teacher" in algorithm._modules:
        raise ConfigError("model.teacher_trainable", True, "False beside model.pseudo_labels")
    check_whole_teacher(algorithm)
    return PseudoLabels(algorithm.student, algorithm.teacher, **check_options(options, PseudoLabels.__init__, KEY))


def _sure_rows(module: nn.Module, args: tuple, kwargs: dict[str, Any], sure: Tensor) -> tuple[tuple, dict[str, Any]]:
    """The images of sure labels; the first alone, which then counts nothing, where no label is sure."""
    rows = sure[:, 0] if sure.any() else torch.arange(len(sure), device=sure.device) < 1

    def chosen(value: Any) -> Any:
        fits = isinstance(value, Tensor) and value.ndim and len(value) == len(rows)
        return value[rows.to(value.device)] if fits else value

    return tuple(map(chosen, args)), {name: chosen(value) for name, value in kwargs.items()}


def _sure_classes(module: nn.Module, args: tuple, kwargs: dict[str, Any], sure: Tensor) -> tuple[tuple, dict[str, Any]]:
    """Classes that are not sure count as answered: with certainty, so that a sigmoid loss of them is 0."""
    call = LossCall(module, args, kwargs)
    answered = torch.where(call.label > 0.5, ANSWERED, -ANSWERED).to(call.logits.dtype)
    call.replace_logits(torch.where(sure.to(call.logits.device), call.logits, answered))
    return call.args, call.kwargs

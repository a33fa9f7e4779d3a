"""The teacher's decisions about images without labels, as labels of the student's own loss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from mmengine.model import BaseModel
from torch import Tensor

from mmdist.errors import ConfigError
from mmdist.models.algorithms.pseudo_labels.decisions import SURE, Classifier, decider
from mmdist.models.algorithms.pseudo_labels.options import KEY, check_number, check_options
from mmdist.models.algorithms.pseudo_labels.views import StrongView
from mmdist.models.algorithms.teacher import VIEW, Teacher
from mmdist.models.algorithms.unlabeled import named_failure
from mmdist.models.teacher_weights import check_whole_teacher

if TYPE_CHECKING:
    from mmdist.models.algorithms.single_teacher_distill import SingleTeacherDistill

PREFIX = "pseudo"
PREDICTS = "a model that predicts batches of the training, for model.pseudo_labels"


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
        self.decide = decider(student, teacher)

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
            found = teacher.infer(lambda: self.decide(images, samples, self.score_thr), inputs)
        if self.view is None:
            return inputs, found
        with teacher.own_numbers(VIEW, inputs):
            return self.view(inputs, samples), found

    @contextmanager
    def applied(self, student: BaseModel, samples: Sequence[Any]) -> Iterator[None]:
        """Inside, a classifier's loss is computed on the images alone whose label is sure."""
        if not isinstance(self.decide, Classifier) or all(getattr(sample, SURE, True) for sample in samples):
            yield
            return
        sure = torch.tensor([getattr(sample, SURE, True) for sample in samples])
        module = student.head.loss_module
        handles = [
            module.register_forward_pre_hook(lambda _, args, kwargs: _chosen(args, kwargs, sure), with_kwargs=True),
            module.register_forward_hook(lambda _, args, output: output if sure.any() else output * 0.0),
        ]
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


def _chosen(args: tuple, kwargs: dict[str, Any], sure: Tensor) -> tuple[tuple, dict[str, Any]]:
    """The rows of sure labels; the first alone, which then counts nothing, where no label is sure."""
    rows = sure if sure.any() else torch.arange(len(sure)) < 1

    def chosen(value: Any) -> Any:
        fits = isinstance(value, Tensor) and value.ndim and len(value) == len(rows)
        return value[rows.to(value.device)] if fits else value

    return tuple(map(chosen, args)), {name: chosen(value) for name, value in kwargs.items()}

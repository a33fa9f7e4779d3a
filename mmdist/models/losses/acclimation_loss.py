"""``mmdist.AcclimationLoss``."""

from __future__ import annotations

import logging

from mmengine.logging import print_log
from torch import Tensor

from mmdist.functional import acclimation_loss
from mmdist.functional.checks import check_choice, check_positive
from mmdist.models.losses.levels import (
    Maps,
    check_num_classes,
    check_teacher,
    ignored_label,
    is_soft,
    level_labels,
    pair_levels,
)
from mmdist.models.losses.targets import anchor_labels, anchor_rows, class_map
from mmdist.models.losses.warmup import WeightedLoss
from mmdist.registry import MODELS

FEWEST = 3  # classes: the true one, and two to correlate
_said: set[str] = set()


@MODELS.register_module()
class AcclimationLoss(WeightedLoss):
    """DIST+: bring the teacher nearer to the student on the classes that are not the target.

    The gradient goes to the teacher, to the modules that ``model.acclimated`` names. See
    :func:`mmdist.functional.acclimation_loss` for the formula.

    Args:
        tau (float): Temperature. Defaults to 1.
        loss_weight (float): Weight of the loss. Defaults to 1.
        activation (str): ``softmax``, or ``sigmoid`` for one-vs-rest heads. Defaults to ``softmax``.
        ignore_index (int, optional): Positions with this label are left out. Defaults
            to that of the student's head; where it has none, to 255, or to none if 255 is a class (ImageNet).
        num_classes (int, optional): For dense detectors, whose maps hold several anchors: classes an anchor. Anchors
            without an object are left out.
        warmup_epochs (int): Epochs in which the weight grows to its full size. Defaults to 0.
        warmup_iters (int): The same in iterations. Defaults to 0.

    Example:
        >>> import torch
        >>> loss = AcclimationLoss()
        >>> teacher, student = torch.randn(4, 10, requires_grad=True), torch.randn(4, 10)
        >>> loss(teacher, student, torch.tensor([0, 1, 2, 3])).backward()
        >>> bool(teacher.grad.abs().sum() > 0)
        True
    """

    needs_labels = True

    def __init__(
        self,
        tau: float = 1.0,
        loss_weight: float = 1.0,
        activation: str = "softmax",
        ignore_index: int | None = None,
        num_classes: int | None = None,
        warmup_epochs: int = 0,
        warmup_iters: int = 0,
    ) -> None:
        super().__init__(loss_weight, warmup_epochs, warmup_iters)
        check_positive("AcclimationLoss.tau", tau)
        check_choice("AcclimationLoss.activation", activation, ("softmax", "sigmoid"))
        check_num_classes("AcclimationLoss.num_classes", num_classes)
        self.tau = tau
        self.activation = activation
        self.ignore_index = ignore_index
        self.num_classes = num_classes

    def check_channels(self, channels: int, key: str = "AcclimationLoss") -> None:
        """Say once where the loss cannot teach: beside the target it needs two classes to correlate.

        Args:
            channels (int): Of the scores; with ``num_classes`` they are those of several anchors.
            key (str): Where the loss stands. Defaults to ``AcclimationLoss``.
        """
        channels = self.num_classes or channels
        if channels < FEWEST and "few" not in _said:
            _said.add("few")
            text = f"{key} has no effect on {channels} class{'es' if channels > 1 else ''}: it correlates the classes "
            print_log(f"{text}beside the true one, of which it needs two", "current", logging.WARNING)

    def forward(self, preds_T: Maps, preds_S: Maps, gt_labels: Maps) -> Tensor:
        """The loss of one batch, summed over the levels of a feature pyramid.

        Args:
            preds_T (Tensor | Sequence[Tensor]): Teacher's logits, (N, C), (N, C, *spatial), or (N, anchors x C, H, W),
                or one map a level.
            preds_S (Tensor | Sequence[Tensor]): Student's logits, same shapes. Never get a gradient.
            gt_labels (Tensor | Sequence[Tensor]): (N,) or (N, *label size) integers, the nearest of which counts;
                (N, C) soft labels; for dense detectors (N x H x W x anchors,) or (N, H x W x anchors), as their heads
                assign them. A sequence has those of each level.

        Returns:
            Tensor: Scalar.
        """
        levels = pair_levels(preds_T, preds_S, ("preds_T", "preds_S"))
        labels = level_labels(gt_labels, len(levels))
        loss = sum(self._level(*level, target) for level, target in zip(levels, labels, strict=True))
        check_teacher(loss, [teacher for teacher, _ in levels], "preds_T")
        return self.weigh(loss)

    def _level(self, teacher: Tensor, student: Tensor, gt_labels: Tensor | None) -> Tensor:
        teacher, student = (anchor_rows(preds, self.num_classes) for preds in (teacher, student))
        if teacher.ndim > 1:  # what else it may be is answered by the function
            self.check_channels(teacher.shape[1])
        target = class_map(teacher, anchor_labels(gt_labels, self.num_classes))
        mask = None if is_soft(gt_labels) else target != ignored_label(self.ignore_index, teacher.shape[1])
        if self.num_classes is not None:
            mask = (target >= 0) & (target < self.num_classes)
        return acclimation_loss(teacher, student, target, tau=self.tau, activation=self.activation, mask=mask)

"""What KD, DKD, NKD and DCKD share as registered losses."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from mmdist.functional.regions import BASES
from mmdist.models.losses.channels import refuse_constant_softmax, refuse_one_class
from mmdist.models.losses.levels import (
    Maps,
    check_num_classes,
    check_teacher,
    is_soft,
    level_labels,
    pair_levels,
)
from mmdist.models.losses.targets import anchor_labels, anchor_rows, class_map
from mmdist.models.losses.warmup import WeightedLoss

REDUCTIONS = ("mean", "batchmean")  # MMRazor's names; here both are the mean over what counts


class LogitLoss(WeightedLoss):
    """A loss of logits, summed over the levels of a feature pyramid.

    A subclass names its function and its hyper-parameters, and keeps those as attributes.

    Args:
        loss_weight (float): Weight of the loss.
        ignore_index (int, optional): Positions with this label are left out. None: that of the student's head, as far
            as the algorithm knows it, else see :func:`ignored_label`.
        num_classes (int, optional): For dense detectors, whose maps hold several anchors: classes an anchor.
        warmup_epochs (int): Epochs in which the weight grows to its full size.
        warmup_iters (int): The same in iterations.
    """

    base: str  # as sdd_loss calls it
    hyper_parameters: tuple[str, ...]
    needs_labels = True

    def __init__(
        self,
        loss_weight: float,
        ignore_index: int | None,
        num_classes: int | None,
        warmup_epochs: int,
        warmup_iters: int,
    ) -> None:
        super().__init__(loss_weight, warmup_epochs, warmup_iters)
        check_num_classes(f"{type(self).__name__}.num_classes", num_classes)
        self.ignore_index = ignore_index
        self.num_classes = num_classes

    def positions(self, maps: Tensor) -> Tensor:
        """Maps of anchors as one row an anchor."""
        return anchor_rows(maps, self.num_classes)

    def labels_of(self, maps: Tensor, gt_labels: Tensor) -> Tensor:
        """The label of each position, or anchor."""
        return class_map(maps, anchor_labels(gt_labels, self.num_classes))

    def kwargs(self) -> dict[str, Any]:
        """The hyper-parameters, as the function takes them."""
        return {name: getattr(self, name) for name in self.hyper_parameters}

    def counts(self, target: Tensor, num_classes: int) -> Tensor:
        """The positions that count: those with a label that is a class, where the loss needs one."""
        mask = target != self.ignored(num_classes)
        return mask & (target >= 0) & (target < num_classes) if self.needs_labels else mask

    def check_channels(self, channels: int, key: str = "") -> None:
        """Scores of so many channels can teach something.

        Args:
            channels (int): Of the scores; with ``num_classes`` they are those of several anchors.
            key (str): Where the loss stands. Defaults to the name of its class.

        Raises:
            ConfigError: They are those of one class, whose softmax is always 1.
        """
        key, channels = key or type(self).__name__, self.num_classes or channels
        if self.needs_labels:
            refuse_one_class(key, channels)
        elif self.kwargs().get("activation") == "softmax":
            refuse_constant_softmax(f"{key}.activation", channels)

    def forward(self, preds_S: Maps, preds_T: Maps, gt_labels: Maps | None) -> Tensor:
        """The loss of one batch.

        Args:
            preds_S (Tensor | Sequence[Tensor]): Student's logits, (N, C) or (N, C, *spatial), or one map a level; with
                ``num_classes`` also (N, anchors x C, H, W).
            preds_T (Tensor | Sequence[Tensor]): Teacher's, same shapes.
            gt_labels (Tensor | Sequence[Tensor]): (N,) or (N, *label size) integers, the nearest of which counts;
                (N, C) soft labels; for dense detectors (N x H x W x anchors,) or (N, H x W x anchors), as their heads
                assign them. A sequence has those of each level.

        Returns:
            Tensor: Scalar.
        """
        levels = pair_levels(preds_S, preds_T, ("preds_S", "preds_T"))
        labels = level_labels(gt_labels, len(levels))
        loss = sum(self._level(*level, target) for level, target in zip(levels, labels, strict=True))
        check_teacher(loss, [teacher for _, teacher in levels], "preds_T")
        return self.weigh(loss)

    def _level(self, student: Tensor, teacher: Tensor, gt_labels: Tensor | None) -> Tensor:
        student, teacher = (anchor_rows(preds, self.num_classes) for preds in (student, teacher))
        if student.ndim > 1:  # what else it may be is answered by the function
            self.check_channels(student.shape[1])
        gt_labels = anchor_labels(gt_labels, self.num_classes)
        target = class_map(student, gt_labels) if self.needs_labels or gt_labels is not None else None
        mask = None if target is None or is_soft(gt_labels) else self.counts(target, student.shape[1])
        arguments = (target,) if self.needs_labels else ()
        return BASES[self.base](student, teacher, *arguments, mask=mask, **self.kwargs())

    def extra_repr(self) -> str:
        """The hyper-parameters, for ``print(model)``."""
        named = [f"{name}={value!r}" for name, value in self.kwargs().items()]
        return ", ".join([*named, f"loss_weight={self.loss_weight}"])

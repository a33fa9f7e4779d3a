"""``mmdist.SDDLoss``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from mmdist.errors import ConfigError
from mmdist.functional import region_labels, sdd_loss
from mmdist.functional.checks import check_choice, check_non_negative
from mmdist.functional.regions import SPLITS, check_scales
from mmdist.models.losses.levels import Maps, check_teacher, is_soft, pair_levels
from mmdist.models.losses.logit_loss import LogitLoss
from mmdist.models.losses.warmup import WeightedLoss
from mmdist.registry import MODELS


@MODELS.register_module()
class SDDLoss(WeightedLoss):
    """SDD (https://arxiv.org/abs/2403.13512): distil the logits of regions, with more weight where they differ.

    Takes logits of regions, region 0 the whole picture. See :func:`mmdist.functional.sdd_loss` for the formula.

    With soft labels, of mixup or cutmix, no region is right or wrong: the split is then ``agreement``, and a base that
    needs labels takes the class that has most.

    Args:
        base (dict | LogitLoss, optional): Loss of one region's logits: ``mmdist.KDLoss`` (the default),
            ``mmdist.DKDLoss``, ``mmdist.NKDLoss`` or ``mmdist.DCKDLoss``, with its hyper-parameters. Its weight and
            warm-up multiply those given here, and its ``ignore_index`` is the one that counts.
        complementary_weight (float): Weight of regions that differ from the whole picture. Defaults to 2.
        split (str): What differs: ``correctness`` (the official code) or ``agreement`` of the predicted classes (the
            paper). Defaults to ``correctness``.
        scales (Sequence[int]): The grids of the regions, for label maps. Defaults to (1, 2, 4).
        loss_weight (float): Weight of the loss. Defaults to 1.
        warmup_epochs (int): Epochs in which the weight grows to its full size. Defaults to 0.
        warmup_iters (int): The same in iterations. Defaults to 0.

    Raises:
        ConfigError: A base that is none of the four losses.

    Example:
        >>> import torch
        >>> loss = SDDLoss(base=dict(type="mmdist.KDLoss", tau=4.0))
        >>> teacher = torch.randn(2, 10, 21)
        >>> loss(teacher, teacher, torch.tensor([3, 7])).item()
        0.0
    """

    def __init__(
        self,
        base: dict[str, Any] | LogitLoss | None = None,
        complementary_weight: float = 2.0,
        split: str = "correctness",
        scales: Sequence[int] = (1, 2, 4),
        loss_weight: float = 1.0,
        warmup_epochs: int = 0,
        warmup_iters: int = 0,
    ) -> None:
        super().__init__(loss_weight, warmup_epochs, warmup_iters)
        base = dict(type="mmdist.KDLoss") if base is None else base
        self.base = MODELS.build(base) if isinstance(base, dict) else base
        if not isinstance(self.base, LogitLoss):
            allowed = [f"mmdist.{loss.__name__}" for loss in LogitLoss.__subclasses__()]
            raise ConfigError("SDDLoss.base", type(self.base).__name__, allowed)
        if self.base.num_classes is not None:
            hint = "regions have no anchors"
            raise ConfigError("SDDLoss.base.num_classes", self.base.num_classes, "None", hint)
        check_non_negative("SDDLoss.complementary_weight", complementary_weight)
        check_choice("SDDLoss.split", split, SPLITS)
        self.complementary_weight = complementary_weight
        self.split = split
        self.scales = check_scales(scales)

    @property
    def needs_labels(self) -> bool:
        """bool: Whether labels split the regions, or the base loss needs them."""
        return self.split == "correctness" or self.base.needs_labels

    def ignored(self, channels: int) -> int:
        """The label of regions that do not count: the base loss's."""
        return self.base.ignored(channels)

    def labels_of(self, maps: Tensor, gt_labels: Tensor) -> Tensor:
        """The label of each region, (N, R)."""
        target, mask = self._target(maps, gt_labels)
        target = target if target.ndim == 2 else target.unsqueeze(1).expand(-1, maps.shape[2])
        return target.where(mask, target.new_full((), self.ignored(maps.shape[1])))

    def check_channels(self, channels: int, key: str = "SDDLoss") -> None:
        """Scores of so many channels can teach something; see the base loss.

        Raises:
            ConfigError: They are those of one class.
        """
        self.base.check_channels(channels, f"{key}.base")

    def forward(self, preds_S: Maps, preds_T: Maps, gt_labels: Tensor | None = None) -> Tensor:
        """The loss of one batch.

        Args:
            preds_S (Tensor | Sequence[Tensor]): Student's logits of regions, (N, C, R), or several such.
            preds_T (Tensor | Sequence[Tensor]): Teacher's, same shapes.
            gt_labels (Tensor, optional): (N,) integers, the label of the picture; (N, R), one a region; (N, H, W) or
                (N, 1, H, W), label maps, of which a region takes the class that most of its pixels have; or (N, C)
                soft labels. Not needed by ``mmdist.KDLoss`` with the split ``agreement``.

        Returns:
            Tensor: Scalar.
        """
        levels = pair_levels(preds_S, preds_T, ("preds_S", "preds_T"))
        loss = sum(self._level(student, teacher, gt_labels) for student, teacher in levels)
        check_teacher(loss, [teacher for _, teacher in levels], "preds_T")
        return self.weigh(self.base.weigh(loss))

    def _level(self, student: Tensor, teacher: Tensor, gt_labels: Tensor | None) -> Tensor:
        if student.ndim == 3:
            self.check_channels(student.shape[1])
        target, mask = self._target(student, gt_labels)
        return sdd_loss(
            student,
            teacher,
            target,
            base=self.base.base,
            complementary_weight=self.complementary_weight,
            split="agreement" if is_soft(gt_labels) else self.split,
            mask=mask,
            **self.base.kwargs(),
        )

    def _target(self, regions: Tensor, gt_labels: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        if gt_labels is None:
            return None, None
        if not isinstance(gt_labels, Tensor):
            raise TypeError(f"gt_labels must be a tensor, got {type(gt_labels).__name__}")
        if is_soft(gt_labels):
            return gt_labels.argmax(1), None
        if gt_labels.ndim in (2, 4) and gt_labels.shape[1] == 1:
            gt_labels = gt_labels.squeeze(1)
        size, number = regions.shape[1:]
        if gt_labels.ndim == 3:
            if number != sum(scale**2 for scale in self.scales):
                raise ConfigError("SDDLoss.scales", self.scales, f"grids with the {number} regions of preds_S")
            return region_labels(gt_labels, self.scales, num_classes=size, ignore_index=self.ignored(size))
        mask = self.base.counts(gt_labels, size)
        return gt_labels, mask if mask.ndim == 2 else mask.unsqueeze(1).expand(-1, number)

    def extra_repr(self) -> str:
        """The hyper-parameters, for ``print(model)``."""
        return (
            f"complementary_weight={self.complementary_weight}, split={self.split!r}, scales={self.scales}, "
            f"loss_weight={self.loss_weight}"
        )

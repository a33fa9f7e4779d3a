"""``mmdist.ChannelRelationLoss`` and ``mmdist.SpatialRelationLoss``: DIST+ on features."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from mmdist.errors import ConfigError
from mmdist.functional import channel_relation_loss, spatial_relation_loss
from mmdist.models.losses.levels import NO_CLASS, Maps, check_teacher, label_mask, level_labels, pair_levels
from mmdist.models.losses.warmup import WeightedLoss
from mmdist.registry import MODELS


class _FeatureRelationLoss(WeightedLoss):
    """A relation of features, summed over the levels of a feature pyramid.

    Args:
        loss_weight (float): Weight of the loss. Defaults to 1.
        ignore_index (int, optional): Positions with this label are left out, when labels are given. Defaults to that
            of the student's head, where there is one, else 255.
        warmup_epochs (int): Epochs in which the weight grows to its full size. Defaults to 0.
        warmup_iters (int): The same in iterations. Defaults to 0.
    """

    relation: Callable[..., Tensor]
    min_positions = 1
    min_channels = 1

    def __init__(
        self,
        loss_weight: float = 1.0,
        ignore_index: int | None = None,
        warmup_epochs: int = 0,
        warmup_iters: int = 0,
    ) -> None:
        super().__init__(loss_weight, warmup_epochs, warmup_iters)
        self.ignore_index = ignore_index

    def check_channels(self, channels: int, key: str = "") -> None:
        """Features of so many channels can teach something.

        Args:
            channels (int): Of the features.
            key (str): Where the loss stands. Defaults to the name of its class.

        Raises:
            ConfigError: There is one channel, which has no relation to others.
        """
        if channels < self.min_channels:
            hint = "mmdist.SpatialRelationLoss compares maps of one channel"
            raise ConfigError(key or type(self).__name__, "features of one channel", "two channels or more", hint)

    def ignored(self, channels: int) -> int:
        """The label of positions that do not count; channels are no classes here."""
        return NO_CLASS if self.ignore_index is None else self.ignore_index

    def forward(self, preds_S: Maps, preds_T: Maps, gt_labels: Maps | None = None) -> Tensor:
        """The loss of one batch.

        Args:
            preds_S (Tensor | Sequence[Tensor]): Student, (N, D, *spatial), or one a level, aligned to the teacher.
            preds_T (Tensor | Sequence[Tensor]): Teacher, same shapes.
            gt_labels (Tensor | Sequence[Tensor], optional): (N, *label size) integers, for ``ignore_index``; a
                sequence has those of each level.

        Returns:
            Tensor: Scalar.
        """
        levels = pair_levels(preds_S, preds_T, ("preds_S", "preds_T"))
        loss = levels[0][0][:0].sum()  # 0, and part of the graph
        labels = level_labels(gt_labels, len(levels))
        for (student, teacher), label in zip(levels, labels, strict=True):
            if student.ndim > 1:  # what else it may be is answered by the function
                self.check_channels(student.shape[1])
            if student.shape[2:].numel() >= self.min_positions:
                mask = label_mask(student, label, self.ignored(student.shape[1]))
                loss = loss + type(self).relation(student, teacher, mask=mask)
        check_teacher(loss, [teacher for _, teacher in levels], "preds_T")
        return self.weigh(loss)

    def extra_repr(self) -> str:
        """The hyper-parameters, for ``print(model)``."""
        return f"loss_weight={self.loss_weight}"


@MODELS.register_module()
class ChannelRelationLoss(_FeatureRelationLoss):
    """DIST+ L_cr: at each position, the relations between the channels.

    See :func:`mmdist.functional.channel_relation_loss` for the formula.

    Args:
        loss_weight (float): Weight of the loss. Defaults to 1.
        ignore_index (int, optional): Positions with this label are left out, when labels are given. Defaults to that
            of the student's head, where there is one, else 255.
        warmup_epochs (int): Epochs in which the weight grows to its full size. Defaults to 0.
        warmup_iters (int): The same in iterations. Defaults to 0.

    Example:
        >>> import torch
        >>> feat = torch.randn(2, 16, 4, 4)
        >>> bool(ChannelRelationLoss()(feat, feat) < 1e-4)
        True
    """

    relation = staticmethod(channel_relation_loss)
    min_channels = 2


@MODELS.register_module()
class SpatialRelationLoss(_FeatureRelationLoss):
    """DIST+ L_sr: in each image, the relations between the positions. Levels below 4 positions are skipped.

    See :func:`mmdist.functional.spatial_relation_loss` for the formula.

    Args:
        loss_weight (float): Weight of the loss. Defaults to 1.
        ignore_index (int, optional): Positions with this label are left out, when labels are given. Defaults to that
            of the student's head, where there is one, else 255.
        warmup_epochs (int): Epochs in which the weight grows to its full size. Defaults to 0.
        warmup_iters (int): The same in iterations. Defaults to 0.

    Example:
        >>> import torch
        >>> feat = torch.randn(2, 16, 4, 4)
        >>> bool(SpatialRelationLoss()(feat, feat) < 1e-4)
        True
    """

    relation = staticmethod(spatial_relation_loss)
    min_positions = 4

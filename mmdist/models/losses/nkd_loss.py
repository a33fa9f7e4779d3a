"""``mmdist.NKDLoss``."""

from __future__ import annotations

from mmdist.functional.checks import check_non_negative, check_positive
from mmdist.models.losses.logit_loss import LogitLoss
from mmdist.registry import MODELS


@MODELS.register_module()
class NKDLoss(LogitLoss):
    """NKD (https://arxiv.org/abs/2303.13005): cross entropies of the target and of the normalised other classes.

    Of soft labels, the class that has most is the target; positions whose label is no class, such as a detector's
    background, are left out. See :func:`mmdist.functional.nkd_loss` for the formula.

    Args:
        gamma (float): Weight of the non-target part. Defaults to 1.5.
        tau (float): Temperature of the non-target part. Defaults to 1.
        legacy_mask (bool): Leave the target among the "non-target" classes, as SDD's repository does.
        loss_weight (float): Weight of the loss. Defaults to 1.
        ignore_index (int, optional): Positions with this label are left out. Defaults
            to that of the student's head; where it has none, to 255, or to none if 255 is a class (ImageNet).
        num_classes (int, optional): For dense detectors, whose maps hold several anchors: classes an anchor.
        warmup_epochs (int): Epochs in which the weight grows to its full size. Defaults to 0.
        warmup_iters (int): The same in iterations. Defaults to 0.

    Example:
        >>> import torch
        >>> student, teacher = torch.randn(4, 10), torch.randn(4, 10)
        >>> bool(NKDLoss()(student, teacher, torch.tensor([1, 2, 3, 4])) > 0)
        True
    """

    base = "nkd"
    hyper_parameters = ("gamma", "tau", "legacy_mask")

    def __init__(
        self,
        gamma: float = 1.5,
        tau: float = 1.0,
        legacy_mask: bool = False,
        loss_weight: float = 1.0,
        ignore_index: int | None = None,
        num_classes: int | None = None,
        warmup_epochs: int = 0,
        warmup_iters: int = 0,
    ) -> None:
        super().__init__(loss_weight, ignore_index, num_classes, warmup_epochs, warmup_iters)
        check_non_negative("NKDLoss.gamma", gamma)
        check_positive("NKDLoss.tau", tau)
        self.gamma = gamma
        self.tau = tau
        self.legacy_mask = legacy_mask

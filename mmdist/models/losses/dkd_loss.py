"""``mmdist.DKDLoss``."""

from __future__ import annotations

from mmdist.functional.checks import check_choice, check_non_negative, check_positive
from mmdist.models.losses.logit_loss import REDUCTIONS, LogitLoss
from mmdist.registry import MODELS


@MODELS.register_module()
class DKDLoss(LogitLoss):
    """DKD (https://arxiv.org/abs/2203.08679): the target against the others, and the others among themselves.

    Takes MMRazor's arguments, divides by the number of samples whatever ``reduction`` says (MMRazor's class sums over
    them with ``mean``), and is right for maps. MMRazor's defaults are tau 1 and beta 1; these are the published ones
    for CIFAR-100. Of soft labels, the class that has most is the target; positions whose label is no class, such as a
    detector's background, are left out. See :func:`mmdist.functional.dkd_loss` for the formula.

    Args:
        tau (float): Temperature. Defaults to 4.
        alpha (float): Weight of the target's part. Defaults to 1.
        beta (float): Weight of the non-target part. Defaults to 8.
        reduction (str): ``mean`` or ``batchmean``, which are the same here: the mean over what counts.
        loss_weight (float): Weight of the loss. Defaults to 1.
        ignore_index (int, optional): Positions with this label are left out. Defaults
            to that of the student's head; where it has none, to 255, or to none if 255 is a class (ImageNet).
        num_classes (int, optional): For dense detectors, whose maps hold several anchors: classes an anchor.
        warmup_epochs (int): Epochs in which the weight grows to its full size; published: 20 for CIFAR-100, 1 for
            ImageNet. Defaults to 0.
        warmup_iters (int): The same in iterations. Defaults to 0.

    Example:
        >>> import torch
        >>> teacher = torch.randn(4, 10)
        >>> DKDLoss()(teacher, teacher, torch.tensor([1, 2, 3, 4])).item()
        0.0
    """

    base = "dkd"
    hyper_parameters = ("alpha", "beta", "tau")

    def __init__(
        self,
        tau: float = 4.0,
        alpha: float = 1.0,
        beta: float = 8.0,
        reduction: str = "mean",
        loss_weight: float = 1.0,
        ignore_index: int | None = None,
        num_classes: int | None = None,
        warmup_epochs: int = 0,
        warmup_iters: int = 0,
    ) -> None:
        super().__init__(loss_weight, ignore_index, num_classes, warmup_epochs, warmup_iters)
        check_positive("DKDLoss.tau", tau)
        check_non_negative("DKDLoss.alpha", alpha)
        check_non_negative("DKDLoss.beta", beta)
        check_choice("DKDLoss.reduction", reduction, REDUCTIONS)
        self.tau = tau
        self.alpha = alpha
        self.beta = beta

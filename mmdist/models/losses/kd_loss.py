"""``mmdist.KDLoss``."""

from __future__ import annotations

from torch import Tensor

from mmdist.functional.checks import check_choice, check_positive
from mmdist.functional.divergence import KD_ACTIVATIONS
from mmdist.models.losses.levels import Maps
from mmdist.models.losses.logit_loss import REDUCTIONS, LogitLoss
from mmdist.registry import MODELS


@MODELS.register_module()
class KDLoss(LogitLoss):
    """KD (https://arxiv.org/abs/1503.02531): tau^2 times the mean over samples or pixels of the KL divergence.

    Labels are for ``ignore_index`` alone; soft labels, of mixup, change nothing. MMRazor's ``KLDivergence`` divides
    maps by the number of pictures; this loss divides by the number of pixels. See
    :func:`mmdist.functional.kd_loss` for the formula.

    Args:
        tau (float): Temperature. Defaults to 1.
        loss_weight (float): Weight of the loss. Defaults to 1.
        activation (str): ``softmax``, or ``sigmoid`` for one-vs-rest heads. Defaults to ``softmax``.
        ignore_index (int, optional): Positions with this label are left out, when labels are given. Defaults
            to that of the student's head; where it has none, to 255, or to none if 255 is a class (ImageNet).
        num_classes (int, optional): For dense detectors, whose maps hold several anchors: classes an anchor. The mean
            is then over anchors.
        reduction (str): ``mean`` or MMRazor's ``batchmean``, which is the same here: the mean over what counts.
        warmup_epochs (int): Epochs in which the weight grows to its full size. Defaults to 0.
        warmup_iters (int): The same in iterations. Defaults to 0.

    Example:
        >>> import torch
        >>> loss = KDLoss(tau=4.0)
        >>> teacher = torch.randn(2, 19, 8, 8)
        >>> loss(teacher, teacher).item()
        0.0
    """

    base = "kd"
    hyper_parameters = ("tau", "activation")
    needs_labels = False

    def __init__(
        self,
        tau: float = 1.0,
        loss_weight: float = 1.0,
        activation: str = "softmax",
        ignore_index: int | None = None,
        num_classes: int | None = None,
        reduction: str = "mean",
        warmup_epochs: int = 0,
        warmup_iters: int = 0,
    ) -> None:
        super().__init__(loss_weight, ignore_index, num_classes, warmup_epochs, warmup_iters)
        check_positive("KDLoss.tau", tau)
        check_choice("KDLoss.activation", activation, KD_ACTIVATIONS)
        check_choice("KDLoss.reduction", reduction, REDUCTIONS)
        self.tau = tau
        self.activation = activation

    def forward(self, preds_S: Maps, preds_T: Maps, gt_labels: Tensor | None = None) -> Tensor:
        """The loss of one batch, as of all losses of logits; without labels every position counts.

        See :meth:`~mmdist.models.losses.logit_loss.LogitLoss.forward`.
        """
        return super().forward(preds_S, preds_T, gt_labels)

"""``mmdist.DCKDLoss``."""

from __future__ import annotations

from mmdist.functional.checks import check_choice, check_non_negative, check_positive
from mmdist.functional.divergence import NON_TARGETS, TARGET_REFERENCES
from mmdist.models.losses.logit_loss import LogitLoss
from mmdist.registry import MODELS


@MODELS.register_module()
class DCKDLoss(LogitLoss):
    """DCKD: DKD that leaves alone what the student already knows.

    A reconstruction from the abstract of https://doi.org/10.1371/journal.pone.0314267, not the published formula; the
    published figures are not claimed for it. Of soft labels, the class that has most is the target; positions whose
    label is no class, such as a detector's background, are left out. See :func:`mmdist.functional.dckd_loss` for the
    formula.

    Args:
        tau (float): Temperature. Defaults to 4.
        alpha (float): Weight of the target's part. Defaults to 1.
        beta (float): Weight of the non-target part. Defaults to 8.
        target_reference (str): ``best`` network, or always the ``teacher``. Defaults to ``best``.
        non_target (str): Samples with a non-target part: those the student gets ``wrong``, ``all``, or ``none``.
        loss_weight (float): Weight of the loss. Defaults to 1.
        ignore_index (int, optional): Positions with this label are left out. Defaults
            to that of the student's head; where it has none, to 255, or to none if 255 is a class (ImageNet).
        num_classes (int, optional): For dense detectors, whose maps hold several anchors: classes an anchor.
        warmup_epochs (int): Epochs in which the weight grows to its full size. Defaults to 0.
        warmup_iters (int): The same in iterations. Defaults to 0.

    Example:
        >>> import torch
        >>> teacher, surer = torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([[3.0, 0.0, 0.0]])
        >>> DCKDLoss()(surer, teacher, torch.tensor([0])).item()
        0.0
    """

    base = "dckd"
    hyper_parameters = ("alpha", "beta", "tau", "target_reference", "non_target")

    def __init__(
        self,
        tau: float = 4.0,
        alpha: float = 1.0,
        beta: float = 8.0,
        target_reference: str = "best",
        non_target: str = "wrong",
        loss_weight: float = 1.0,
        ignore_index: int | None = None,
        num_classes: int | None = None,
        warmup_epochs: int = 0,
        warmup_iters: int = 0,
    ) -> None:
        super().__init__(loss_weight, ignore_index, num_classes, warmup_epochs, warmup_iters)
        check_positive("DCKDLoss.tau", tau)
        check_non_negative("DCKDLoss.alpha", alpha)
        check_non_negative("DCKDLoss.beta", beta)
        check_choice("DCKDLoss.target_reference", target_reference, TARGET_REFERENCES)
        check_choice("DCKDLoss.non_target", non_target, NON_TARGETS)
        self.tau = tau
        self.alpha = alpha
        self.beta = beta
        self.target_reference = target_reference
        self.non_target = non_target

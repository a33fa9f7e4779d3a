"""``mmdist.AcclimationLoss``."""

from __future__ import annotations

from torch import Tensor, nn

from mmdist.errors import ConfigError
from mmdist.functional import acclimation_loss
from mmdist.functional.checks import check_choice, check_non_negative, check_positive
from mmdist.models.losses.levels import label_map
from mmdist.registry import MODELS


@MODELS.register_module()
class AcclimationLoss(nn.Module):
    """DIST+: bring the teacher nearer to the student on the classes that are not the target.

    The gradient goes to the teacher, to the modules that ``model.acclimated`` names. See
    :func:`mmdist.functional.acclimation_loss` for the formula.

    Args:
        tau (float): Temperature. Defaults to 1.
        loss_weight (float): Weight of the loss. Defaults to 1.
        activation (str): ``softmax``, or ``sigmoid`` for one-vs-rest heads. Defaults to ``softmax``.
        ignore_index (int): Positions with this label are left out. Defaults to 255.
        num_classes (int, optional): For dense detectors, whose maps hold several anchors: classes an anchor. Anchors
            without an object are left out.

    Example:
        >>> import torch
        >>> loss = AcclimationLoss()
        >>> teacher, student = torch.randn(4, 10, requires_grad=True), torch.randn(4, 10)
        >>> loss(teacher, student, torch.tensor([0, 1, 2, 3])).backward()
        >>> bool(teacher.grad.abs().sum() > 0)
        True
    """

    def __init__(
        self,
        tau: float = 1.0,
        loss_weight: float = 1.0,
        activation: str = "softmax",
        ignore_index: int = 255,
        num_classes: int | None = None,
    ) -> None:
        super().__init__()
        check_positive("AcclimationLoss.tau", tau)
        check_non_negative("AcclimationLoss.loss_weight", loss_weight)
        check_choice("AcclimationLoss.activation", activation, ("softmax", "sigmoid"))
        if num_classes is not None and num_classes < 1:
            raise ConfigError("AcclimationLoss.num_classes", num_classes, "a number above 0, or None")
        self.tau = tau
        self.loss_weight = loss_weight
        self.activation = activation
        self.ignore_index = ignore_index
        self.num_classes = num_classes

    def forward(self, preds_T: Tensor, preds_S: Tensor, gt_labels: Tensor) -> Tensor:
        """The loss of one batch.

        Args:
            preds_T (Tensor): Teacher's logits, (N, C), (N, C, *spatial), or (N, anchors x C, H, W).
            preds_S (Tensor): Student's logits, same shape. Never gets a gradient.
            gt_labels (Tensor): (N,) or (N, *label size) integers, the nearest of which counts; (N, C) soft labels;
                for dense detectors (N x H x W x anchors,), as their heads assign them.

        Returns:
            Tensor: Scalar.
        """
        target = gt_labels
        if self.num_classes is not None:
            preds_T, preds_S = (
                preds.permute(0, 2, 3, 1).reshape(-1, self.num_classes) if preds.ndim == 4 else preds
                for preds in (preds_T, preds_S)
            )
            mask = (target >= 0) & (target < self.num_classes)
        else:
            target = label_map(preds_T, target.argmax(1) if target.is_floating_point() else target)
            mask = target != self.ignore_index
        loss = acclimation_loss(preds_T, preds_S, target, tau=self.tau, activation=self.activation, mask=mask)
        return self.loss_weight * loss

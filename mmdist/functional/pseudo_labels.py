"""Hard decisions from class scores, and how sure they are."""

from __future__ import annotations

import torch
from torch import Tensor

from mmdist.functional.checks import check_choice

ACTIVATIONS = ("softmax", "sigmoid", "none")


@torch.no_grad()
def hard_labels(
    scores: Tensor,
    score_thr: float = 0.0,
    *,
    activation: str = "softmax",
    positive_thr: float = 0.5,
    ignore_index: int = 255,
) -> Tensor:
    r"""The class of each position, where it is sure enough.

    .. math:: y = \arg\max_c p_c \text{ where } \max_c p_c \ge t, \text{ else ignored}

    Args:
        scores (Tensor): (N, C, *spatial), before the activation.
        score_thr (float): t; 0 keeps every decision. Defaults to 0.
        activation (str): ``softmax``; ``sigmoid``: each class by itself, or one channel for two classes; ``none``:
            scores that are not negative, whose share of their sum is p. Defaults to ``softmax``.
        positive_thr (float): With one channel: the probability above which the class is 1. Its surety is then p, else
            1 - p. Defaults to 0.5.
        ignore_index (int): The label of positions that are not sure enough. Defaults to 255.

    Returns:
        Tensor: (N, *spatial), int64.

    Raises:
        ValueError: Another activation, or one channel under another than ``sigmoid``.

    Example:
        >>> hard_labels(torch.tensor([[2.0, 0.0], [0.1, 0.0]]), 0.6).tolist()
        [0, 255]
    """
    check_choice("activation", activation, ACTIVATIONS)
    scores = scores.float()
    if scores.shape[1] == 1:
        if activation != "sigmoid":
            raise ValueError(f"activation = {activation!r}: expected 'sigmoid' for scores of one channel")
        p = scores[:, 0].sigmoid()
        positive = p > positive_thr
        labels, sure = positive.long(), decision_confidence(p, positive)
    else:
        largest, labels = scores.max(dim=1)
        if activation == "softmax":
            sure = (largest - scores.logsumexp(dim=1)).exp()
        elif activation == "sigmoid":
            sure = largest.sigmoid()
        else:
            sure = largest / scores.sum(dim=1).clamp_min(torch.finfo(scores.dtype).tiny)
    return labels.masked_fill(sure < score_thr, ignore_index)


def decision_confidence(probability: Tensor, positive: Tensor) -> Tensor:
    r"""How sure a decision for or against a class is.

    .. math:: p \text{ where the decision is for the class, else } 1 - p

    Args:
        probability (Tensor): p of the class, of any shape.
        positive (Tensor): Of the same shape, bool: the decision.

    Returns:
        Tensor: As ``probability``.

    Example:
        >>> decision_confidence(torch.tensor([0.75, 0.25]), torch.tensor([True, False])).tolist()
        [0.75, 0.75]
    """
    return torch.where(positive, probability, 1 - probability)

"""What the logit losses are made of: preparation, divergences in the log domain, reduction."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mmdist.functional.checks import check_choice, check_pair, check_target, compute_dtype, near_one, position_weight

REDUCTIONS = ("mean", "sum", "none")

_said: set[str] = set()  # Python's own warning filters may say it again at every call


class Positions(NamedTuple):
    """Logits ready for computation, and how much each position counts.

    Args:
        student (Tensor): (N, C, *spatial) in the dtype of computation, 0 where a position does not count.
        teacher (Tensor): Likewise, without gradient.
        weight (Tensor | None): (N, *spatial), None where all count alike.
    """

    student: Tensor
    teacher: Tensor
    weight: Tensor | None


def prepare(
    logits_s: Tensor, logits_t: Tensor, mask: Tensor | None, weight: Tensor | None, reduction: str
) -> Positions:
    """Check the arguments that all logit losses share.

    Raises:
        TypeError: An argument of a wrong type or dtype.
        ValueError: An argument of a wrong shape, device or value.
    """
    check_pair(logits_s, logits_t)
    check_choice("reduction", reduction, REDUCTIONS)
    w = position_weight(logits_s, mask, weight)
    z_s, z_t = (z.to(compute_dtype(z)) for z in (logits_s, logits_t.detach()))
    if w is not None:  # what does not count may hold anything, NaN too
        out = (w == 0).unsqueeze(1)
        z_s, z_t = z_s.masked_fill(out, 0), z_t.masked_fill(out, 0)
    return Positions(z_s, z_t, w)


def prepare_target(target: Tensor, logits: Tensor, mask: Tensor | None) -> Tensor:
    """Check the target, and that there is another class beside it.

    Returns:
        Tensor: (N, *spatial) int64, 0 where the mask is False.

    Raises:
        TypeError: A target that is not integers.
        ValueError: A target of another shape or device, that is no class, or logits of one class.
    """
    if logits.shape[1] < 2:
        raise ValueError(f"logits_s must have at least two classes, got shape {tuple(logits.shape)}")
    return check_target(target, logits, mask)


def reduce(values: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    """Weigh the values of the positions; 'mean' is over what counts, 0 if nothing does."""
    if weight is not None and reduction == "mean":
        weight, _ = near_one(weight)
    if weight is not None:
        values = values * weight
    if reduction == "none":
        return values
    if reduction == "sum":
        return values.sum()
    if weight is None:
        return values.sum() / max(values.numel(), 1)
    return values.sum() / weight.sum().clamp_min(torch.finfo(weight.dtype).tiny)


def expectation(p: Tensor, values: Tensor) -> Tensor:
    """``p * values``, where a probability of 0 gives 0 whatever it is multiplied with."""
    return p * values.masked_fill(p == 0, 0)


def divergence(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p || q) over the classes, (N, C, *spatial) to (N, *spatial), of log-probabilities."""
    return expectation(log_p.exp(), log_p - log_q).sum(1)


def bernoulli_divergence(z_p: Tensor, z_q: Tensor) -> Tensor:
    """KL(p || q), element by element, of two-valued distributions with logits ``z_p`` and ``z_q``."""
    yes, no = (expectation(z.sigmoid(), F.logsigmoid(z) - F.logsigmoid(z_)) for z, z_ in ((z_p, z_q), (-z_p, -z_q)))
    return yes + no


def split_target(z: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    r"""The target against the others, and the others among themselves.

    The margin is the logit of the target's probability, :math:`p_y = \sigma(z_y - \log\sum_{c \ne y} e^{z_c})`: both
    :math:`\log p_y` and :math:`\log(1 - p_y)` follow without a difference that could vanish.

    Args:
        z (Tensor): (N, C, *spatial), divided by the temperature.
        target (Tensor): (N, *spatial) int64.

    Returns:
        tuple[Tensor, Tensor]: The margin, (N, *spatial), and the logarithm of the softmax over the non-target classes,
        (N, C, *spatial), -inf at the target.
    """
    index = target.unsqueeze(1)
    others = z.scatter(1, index, float("-inf"))
    total = others.logsumexp(1, keepdim=True)
    return (z.gather(1, index) - total).squeeze(1), others - total


def warn_without_others(logits: Tensor) -> None:
    """Two classes leave one non-target class, whose share is 1 for everyone: say so, once in a process."""
    if logits.shape[1] == 2 and "two classes" not in _said:
        _said.add("two classes")
        warnings.warn("with two classes the non-target part of DKD, NKD and DCKD is always 0", stacklevel=3)

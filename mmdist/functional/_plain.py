"""Pearson correlation written as its definition, for autograd: best for small inputs, and for the compiler to fuse."""

from __future__ import annotations

import math

import torch
from torch import Tensor

EPS = 1e-8  # added to the product of the norms, as the official code does: it is part of the method
STILL = 4  # roundings: a teacher whose spread is at most this share of its norm is constant, and what differs is noise


def pearson_distance(
    x_s: Tensor,
    x_t: Tensor,
    *,
    dims: tuple[int, ...],
    weight: Tensor | None = None,
    guard_rel: float = 1e-4,
    eps: float | Tensor = EPS,
) -> Tensor:
    r"""One minus the (weighted) Pearson correlation over ``dims``, which stay in the shape as 1.

    .. math:: P(u, v) = 1 - \frac{\langle u - \bar u, v - \bar v\rangle}{\|u - \bar u\| \|v - \bar v\| + \epsilon}

    Args:
        x_s (Tensor): The side that learns, any shape.
        x_t (Tensor): The other side, same shape.
        dims (tuple[int, ...]): The dimensions to correlate over.
        weight (Tensor, optional): Weights of the elements, broadcastable to the inputs; None = all 1.
        guard_rel (float): Where the spread of ``x_s`` is at most this share of its norm, it gets no gradient.
        eps (float | Tensor): Added to the product of the norms. Defaults to 1e-8.

    Returns:
        Tensor: In [0, 2]; 1 where one side is constant, or nothing counts.

    Source:
        DIST (NeurIPS 2022) section 3.2; eps placed as in the official code.

    Example:
        >>> import torch
        >>> x = torch.tensor([[0.0, 1.0, 2.0]])
        >>> pearson_distance(x, -x, dims=(1,)).item()
        2.0
    """

    def total(values: Tensor) -> Tensor:
        return (values if weight is None else values * weight).sum(dims, keepdim=True)

    def norm(values: Tensor) -> Tensor:
        if weight is None:
            return torch.linalg.vector_norm(values, dim=dims, keepdim=True)
        return total(values.square()).clamp_min(tiny).sqrt()

    tiny = torch.finfo(x_s.dtype).tiny
    if weight is None:
        count = math.prod([x_s.shape[dim] for dim in dims])
        mean_s, mean_t = (x.mean(dims, keepdim=True) for x in (x_s, x_t))
    else:
        count = total(torch.ones_like(x_s)).clamp_min(tiny)
        mean_s, mean_t = (total(x) / count for x in (x_s, x_t))
    c_s, c_t = x_s - mean_s, x_t - mean_t
    norm_s, norm_t = norm(c_s), norm(c_t)
    correlation = total(c_s * c_t) / (norm_s * norm_t + eps)
    # Where a spread is rounding: |x|^2 = |c|^2 + n mean^2.
    still = _at_most(STILL * torch.finfo(x_s.dtype).eps, norm_t, count * mean_t.square(), tiny)
    correlation = correlation.masked_fill(still, 0)  # a teacher that points nowhere: 1, whatever the student does
    if guard_rel:
        flat = _at_most(guard_rel, norm_s.detach(), count * mean_s.detach().square(), tiny)
        correlation = torch.where(flat, correlation.detach(), correlation)
    return 1 - correlation


def _at_most(share: float, norm: Tensor, of_mean: Tensor, tiny: float) -> Tensor:
    square = norm.square()
    return square <= (share**2 * (square + of_mean)).clamp_min(2 * tiny)

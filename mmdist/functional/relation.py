"""Relations that a student takes over from its teacher: DIST."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor

from mmdist.functional.checks import (
    check_choice,
    check_non_negative,
    check_pair,
    check_positive,
    compute_dtype,
    full_precision,
    position_weight,
)

ACTIVATIONS = ("softmax", "sigmoid", "none")
EPS = 1e-8  # added to the product of the norms, as the official code does: it is part of the method


def dist_loss(
    logits_s: Tensor,
    logits_t: Tensor,
    *,
    inter_weight: float = 1.0,
    intra_weight: float = 1.0,
    tau: float = 1.0,
    tau_squared: bool = True,
    activation: str = "softmax",
    mask: Tensor | None = None,
    weight: Tensor | None = None,
    group: dist.ProcessGroup | None = None,
    guard_rel: float = 1e-4,
) -> Tensor:
    r"""DIST: match the relations between classes and, in each class, between samples.

    With :math:`Y = \mathrm{activation}(z / \tau)`, one row a sample (a pixel, in a map), and
    :math:`P` one minus the Pearson correlation,

    .. math::
        L = \tau^2 \left( \beta \, \mathrm{mean}_i\, P(Y^s_{i,:}, Y^t_{i,:})
            + \gamma \, \mathrm{mean}_j\, P(Y^s_{:,j}, Y^t_{:,j}) \right)

    Both terms lie in [0, 2]. With weights, the mean over the rows and the moments of the columns are weighted;
    a position of weight 0 is as if it were not there, whatever its logits hold. Nothing that counts: loss and
    gradient are 0.

    Args:
        logits_s (Tensor): Student, (N, C) or (N, C, *spatial).
        logits_t (Tensor): Teacher, same shape. Never gets a gradient.
        inter_weight (float): beta, weight of the relation between classes. Defaults to 1.
        intra_weight (float): gamma, weight of the relation inside each class. Defaults to 1.
        tau (float): Temperature. Defaults to 1.
        tau_squared (bool): Multiply by tau^2, as the official code does and the paper does not. Defaults to True.
        activation (str): ``softmax`` over the classes, ``sigmoid`` (one-vs-rest heads) or ``none``.
        mask (Tensor, optional): (N, *spatial) bool, True = counts.
        weight (Tensor, optional): (N, *spatial), 0 or above.
        group (ProcessGroup, optional): The statistics are those of the batch over all processes of the group:
            every process returns the value of the global batch, and the gradients are such that their *average*
            over the processes (what DDP computes) is the gradient of one process on the global batch.
        guard_rel (float): A student row or column whose spread is at most this share of its norm gets no
            gradient, which would grow like 1 / spread. The value is unchanged. 0 disables. Defaults to 1e-4.

    Returns:
        Tensor: Scalar, float32 (float64 for float64 inputs).

    Raises:
        TypeError: An argument of a wrong type or dtype.
        ValueError: An argument of a wrong shape, device or value.

    Source:
        DIST (NeurIPS 2022) sections 3.2 and 3.3; official repositories ``hunto/DIST_KD`` and
        ``hunto/image_classification_sota`` (tau^2, eps, flattening of maps). Mask, weight, group and guard are ours.

    Example:
        >>> import torch
        >>> teacher = torch.randn(2, 19, 8, 8)
        >>> student = torch.randn(2, 19, 8, 8, requires_grad=True)
        >>> dist_loss(student, teacher).backward()
        >>> bool(dist_loss(teacher, teacher) < 1e-4)
        True
    """
    check_pair(logits_s, logits_t)
    check_choice("activation", activation, ACTIVATIONS)
    check_positive("tau", tau)
    for name, value in (("inter_weight", inter_weight), ("intra_weight", intra_weight), ("guard_rel", guard_rel)):
        check_non_negative(name, value)
    with full_precision(logits_s):
        dtype = compute_dtype(logits_s)
        z_s, z_t = (z.flatten(2) if z.ndim > 2 else z.unsqueeze(2) for z in (logits_s, logits_t.detach()))
        z_s, z_t = z_s.to(dtype), z_t.to(dtype)  # (N, C, S)
        w = position_weight(logits_s, mask, weight)
        per_position = (z_s.shape[0], 1, z_s.shape[2])
        w = z_s.new_ones(()).expand(per_position) if w is None else w.reshape(per_position)
        if mask is not None or weight is not None:  # what does not count may hold anything, NaN too
            z_s, z_t = (z.where(w > 0, z.new_zeros(())) for z in (z_s, z_t))
        y_s, y_t = (_activate(z / tau, activation) for z in (z_s, z_t))
        total = _sum_over_group(w.sum(), group)
        if not total > 0:
            return z_s[:0].sum()  # zero, and still part of the graph

        loss = z_s.new_zeros(())
        if inter_weight:
            rows = pearson_distance(y_s, y_t, dims=(1,), guard_rel=guard_rel)
            loss = loss + inter_weight * _sum_over_group((rows * w).sum(), group) / total
        if intra_weight:
            columns = pearson_distance(y_s, y_t, dims=(0, 2), weight=w, group=group, guard_rel=guard_rel)
            loss = loss + intra_weight * columns.mean()
        return loss * tau**2 if tau_squared else loss


def pearson_distance(
    x_s: Tensor,
    x_t: Tensor,
    *,
    dims: tuple[int, ...],
    weight: Tensor | None = None,
    group: dist.ProcessGroup | None = None,
    guard_rel: float = 1e-4,
    eps: float = EPS,
) -> Tensor:
    r"""One minus the (weighted) Pearson correlation over ``dims``, which stay in the shape as 1.

    .. math:: P(u, v) = 1 - \frac{\langle u - \bar u, v - \bar v\rangle}{\|u - \bar u\| \|v - \bar v\| + \epsilon}

    Args:
        x_s (Tensor): Student, any shape.
        x_t (Tensor): Teacher, same shape.
        dims (tuple[int, ...]): The dimensions to correlate over.
        weight (Tensor, optional): Weights of the elements, broadcastable to the inputs; None = all 1.
        group (ProcessGroup, optional): Sum over the processes of this group too.
        guard_rel (float): See :func:`dist_loss`. Defaults to 1e-4.
        eps (float): Added to the product of the norms. Defaults to 1e-8.

    Returns:
        Tensor: In [0, 2]; 1 where one side is constant.

    Source:
        DIST (NeurIPS 2022) section 3.2; eps placed as in the official code.

    Example:
        >>> import torch
        >>> x = torch.tensor([[0.0, 1.0, 2.0]])
        >>> pearson_distance(x, -x, dims=(1,)).item()
        2.0
    """

    def total(values: Tensor) -> Tensor:
        if weight is not None:
            values = values * weight
        return _sum_over_group(values.sum(dims, keepdim=True), group)

    count = total(torch.ones_like(x_s))
    # What is correlated sums to 0 after centring, so no gradient passes through the means.
    c_s, c_t = (x - total(x.detach()) / count for x in (x_s, x_t))
    if guard_rel:
        flat = total(c_s.detach().square()) <= guard_rel**2 * total(x_s.detach().square())
        c_s = torch.where(flat, c_s.detach(), c_s)
    norm_s, norm_t = (total(c.square()).clamp_min(torch.finfo(c.dtype).tiny).sqrt() for c in (c_s, c_t))
    return 1 - total(c_s * c_t) / (norm_s * norm_t + eps)


def _activate(z: Tensor, activation: str) -> Tensor:
    if activation == "softmax":
        return z.softmax(dim=1)
    return z.sigmoid() if activation == "sigmoid" else z


class _SumOverGroup(torch.autograd.Function):
    """Sum over the processes of a group.

    Every process goes on to compute the same scalar from the sum, so the gradient that arrives is the same
    everywhere and the sum of the processes' gradients needs no communication.
    """

    @staticmethod
    def forward(ctx, x: Tensor, group: dist.ProcessGroup) -> Tensor:
        ctx.world_size = dist.get_world_size(group)
        x = x.clone()
        dist.all_reduce(x, group=group)
        return x

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:
        return grad * ctx.world_size, None


def _sum_over_group(x: Tensor, group: dist.ProcessGroup | None) -> Tensor:
    return x if group is None else _SumOverGroup.apply(x, group)

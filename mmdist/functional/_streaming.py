"""The relation losses in closed form: two reads forward, two reads and one write backward, nothing kept but sums.

Forward, the moments of the activated scores are summed up block by block; backward, the scores are computed again and
their gradient is written. Between the two, only the inputs, which are alive anyway, and 5 numbers a class are kept.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from mmdist.functional import _blocked, _cpu, _triton_check
from mmdist.functional._blocked import Coefficients, Spec
from mmdist.functional._memory import addressable
from mmdist.functional._moments import correlate_columns, merge_ranks


def streaming_relation(
    z_s: Tensor,
    z_t: Tensor,
    weight: Tensor | None,
    top: Tensor | None,
    spec: Spec,
    *,
    row_weight: float,
    column_weight: float,
    dtype: torch.dtype,
    group: dist.ProcessGroup | None = None,
) -> Tensor:
    """Mean row distance times ``row_weight`` plus mean column distance times ``column_weight``.

    Args:
        z_s (Tensor): Student, (N, C) or (N, C, *spatial), any strides.
        z_t (Tensor): Teacher, same shape.
        weight (Tensor, optional): (N, *spatial), from 0 to 1, in the dtype of computation.
        top (Tensor, optional): Scalar that the weights were divided by.
        spec (Spec): How scores become correlations.
        row_weight (float): Weight of the correlations over the classes.
        column_weight (float): Weight of the correlations over the positions.
        dtype (torch.dtype): Of computation.
        group (ProcessGroup, optional): Statistics over the processes of this group.

    Returns:
        Tensor: Scalar in the dtype of computation; 0 if nothing counts.
    """
    return _StreamingRelation.apply(z_s, z_t, weight, top, spec, row_weight, column_weight, dtype, group)


def as_maps(z: Tensor) -> Tensor:
    """(N, C, S) view of (N, C, *spatial); (N, C) rows are the positions of one map."""
    return z.t().unsqueeze(0) if z.ndim == 2 else z.flatten(2)


def _backend(z_s: Tensor, z_t: Tensor, weight: Tensor | None) -> ModuleType:
    if _triton_check.usable(z_s, z_t, weight):
        return _triton_check
    return _cpu if _cpu.available(z_s, z_t, weight) else _blocked


class _StreamingRelation(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        z_s: Tensor,
        z_t: Tensor,
        weight: Tensor | None,
        top: Tensor | None,
        spec: Spec,
        row_weight: float,
        column_weight: float,
        dtype: torch.dtype,
        group: dist.ProcessGroup | None,
    ) -> Tensor:
        if weight is not None:
            weight = weight.reshape(1, -1) if z_s.ndim == 2 else weight.flatten(1)
        total = _backend(z_s, z_t, weight).moments(as_maps(z_s), as_maps(z_t), weight, spec, dtype)
        scale = 1.0 if top is None else top.double()
        total = total.scaled(scale)
        if group is not None:
            total = merge_ranks(total, group)
        some = total.count > 0
        count = total.count.where(some, 1)
        rows = row_weight * total.rows / count
        columns, col_s, col_t = total.rows * 0, total.mean_s * 0, total.mean_t * 0
        if spec.columns:
            columns, col_s, col_t = correlate_columns(total, spec.guard_rel, dtype)
        # autograd does not keep what inference mode made; such tensors cannot have changed in between either
        ctx.unsaved = z_t if z_t.is_inference() else None
        ctx.save_for_backward(
            z_s,
            None if z_t.is_inference() else z_t,
            weight,
            scale * row_weight * some / count,
            scale * column_weight * col_s,
            scale * column_weight * col_t,
            *total[2:4],
        )
        ctx.spec, ctx.dtype = spec, dtype
        ctx.world_size = 1 if group is None else dist.get_world_size(group)
        return ((rows + column_weight * columns) * some).to(dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # create_graph=True
            raise NotImplementedError(
                "the relation losses have no second derivative: call backward without create_graph"
            )
        if addressable(grad):
            return _student_gradient(ctx, grad), *[None] * 8
        # Several gradients at once in a vmap, or no ordinary tensor: what they multiply is one of them all.
        one = _student_gradient(ctx, torch.ones((), dtype=ctx.dtype, device=grad.device))
        return one * grad.to(one.dtype), *[None] * 8


def _student_gradient(ctx: Any, grad: Tensor) -> Tensor:
    z_s, z_t, weight, row, *columns = ctx.saved_tensors
    z_t = ctx.unsaved if z_t is None else z_t
    # DDP averages the gradients of the processes; of a sum over all of them it has to be the sum.
    scale = grad.double() * (ctx.world_size / ctx.spec.tau)
    limit = torch.finfo(ctx.dtype).max
    row, *factors = ((x * scale).clamp(-limit, limit).to(ctx.dtype) for x in (row, *columns[:2]))
    col_s, col_t, mean_s, mean_t = (x.to(ctx.dtype).unsqueeze(1) for x in (*factors, *columns[2:]))
    by = Coefficients(row, col_s, col_t, mean_s, mean_t)
    out = _backend(z_s, z_t, weight).gradient(as_maps(z_s), as_maps(z_t), weight, ctx.spec, ctx.dtype, by)
    return out[0].t() if z_s.ndim == 2 else out.view(z_s.shape)

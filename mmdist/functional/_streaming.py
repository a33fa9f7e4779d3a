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

from mmdist.functional import _blocked, _cpu
from mmdist.functional._blocked import EPS, Coefficients, Spec
from mmdist.functional._moments import Moments, merge_ranks
from mmdist.functional._plain import STILL


def streaming_relation(
    z_s: Tensor,
    z_t: Tensor,
    weight: Tensor | None,
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
        weight (Tensor, optional): (N, *spatial), 0 or above, in the dtype of computation.
        spec (Spec): How scores become correlations.
        row_weight (float): Weight of the correlations over the classes.
        column_weight (float): Weight of the correlations over the positions.
        dtype (torch.dtype): Of computation.
        group (ProcessGroup, optional): Statistics over the processes of this group.

    Returns:
        Tensor: Scalar in the dtype of computation; 0 if nothing counts.
    """
    return _StreamingRelation.apply(z_s, z_t, weight, spec, row_weight, column_weight, dtype, group)


def as_maps(z: Tensor) -> Tensor:
    """(N, C, S) view of (N, C, *spatial); (N, C) rows are the positions of one map."""
    return z.t().unsqueeze(0) if z.ndim == 2 else z.flatten(2)


def _backend(z_s: Tensor, z_t: Tensor) -> ModuleType:
    if z_s.is_cuda:
        from mmdist.functional import _triton

        if _triton.available(z_s):
            return _triton
    return _cpu if _cpu.available(z_s, z_t) else _blocked


class _StreamingRelation(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        z_s: Tensor,
        z_t: Tensor,
        weight: Tensor | None,
        spec: Spec,
        row_weight: float,
        column_weight: float,
        dtype: torch.dtype,
        group: dist.ProcessGroup | None,
    ) -> Tensor:
        if weight is not None:
            weight = weight.reshape(1, -1) if z_s.ndim == 2 else weight.flatten(1)
        total = _backend(z_s, z_t).moments(as_maps(z_s), as_maps(z_t), weight, spec, dtype)
        if group is not None:
            total = merge_ranks(total, group)
        some = total.count > 0
        count = total.count.where(some, 1)
        rows = row_weight * total.rows / count
        columns, col_s, col_t = _correlate_columns(total, spec, dtype)
        ctx.save_for_backward(
            z_s, z_t, weight, row_weight * some / count, column_weight * col_s, column_weight * col_t, *total[2:4]
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
        z_s, z_t, weight, row, *columns = ctx.saved_tensors
        # DDP averages the gradients of the processes; of a sum over all of them it has to be the sum.
        scale = grad.double() * (ctx.world_size / ctx.spec.tau)
        col_s, col_t, mean_s, mean_t = (
            x.to(ctx.dtype).unsqueeze(1) for x in (columns[0] * scale, columns[1] * scale, *columns[2:])
        )
        by = Coefficients((row * scale).to(ctx.dtype), col_s, col_t, mean_s, mean_t)
        out = _backend(z_s, z_t).gradient(as_maps(z_s), as_maps(z_t), weight, ctx.spec, ctx.dtype, by)
        return (out[0].t() if z_s.ndim == 2 else out.view(z_s.shape)), *[None] * 7


def _correlate_columns(total: Moments, spec: Spec, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Mean distance of the columns, and its derivatives by p and by q as factors of their centred values."""
    if not spec.columns:
        return total.rows * 0, torch.zeros_like(total.mean_s), torch.zeros_like(total.mean_t)
    norm_s, norm_t = total.var_s.sqrt(), total.var_t.sqrt()
    product = norm_s * norm_t + EPS
    correlation = total.cov / product
    # A teacher's spread that is rounding points nowhere: the distance is 1, whatever the student does.
    still = STILL * torch.finfo(dtype).eps
    flat = total.var_t <= still**2 * (total.var_t + total.count * total.mean_t**2)
    if spec.guard_rel:
        flat |= total.var_s <= spec.guard_rel**2 * (total.var_s + total.count * total.mean_s**2)
    col_t = -1 / product
    col_s = correlation / product * torch.where(norm_s > 0, norm_t / norm_s, 0)
    size = total.cov.numel()
    return (1 - correlation).mean(), col_s.masked_fill(flat, 0) / size, col_t.masked_fill(flat, 0) / size

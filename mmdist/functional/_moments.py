"""What the streaming relation losses carry from their forward to their backward pass: 5 C numbers and a few."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from mmdist.functional._plain import EPS, STILL


class Moments(NamedTuple):
    """Weighted statistics of the activated scores of some positions, student p and teacher q, in float64.

    Args:
        count (Tensor): Sum of the weights, scalar.
        rows (Tensor): Sum over the positions of weight times one minus the correlation of p and q over the classes.
        mean_s (Tensor): (C,) mean of p.
        mean_t (Tensor): (C,) mean of q.
        var_s (Tensor): (C,) sum of weight times (p - mean_s)^2.
        var_t (Tensor): (C,) sum of weight times (q - mean_t)^2.
        cov (Tensor): (C,) sum of weight times (p - mean_s) (q - mean_t).
    """

    count: Tensor
    rows: Tensor
    mean_s: Tensor
    mean_t: Tensor
    var_s: Tensor
    var_t: Tensor
    cov: Tensor

    def scaled(self, by: float | Tensor) -> Moments:
        """The statistics with all weights times a number."""
        return Moments(self.count * by, self.rows * by, self.mean_s, self.mean_t, *(x * by for x in self[4:]))


def merge_blocks(count: Tensor, rows: Tensor, mean: Tensor, second: Tensor) -> Moments:
    """The moments of all positions from those of disjoint blocks (Chan, Golub and LeVeque 1979).

    Args:
        count (Tensor): (B,) sum of weights a block.
        rows (Tensor): (B,) sum of row distances a block.
        mean (Tensor): (B, 2, C) means of p and q a block.
        second (Tensor): (B, 3, C) sums of weight times p^2, q^2 and pq, centred at the block's means.

    Returns:
        Moments: In float64; nothing is lost to cancellation, since only centred moments are added.
    """
    count, rows, mean, second = (x.double() for x in (count, rows, mean, second))
    total = count.sum()
    weight = count[:, None, None]
    means = (weight * mean).sum(0) / total.clamp_min(torch.finfo(torch.float64).tiny)
    shift = mean - means
    products = torch.stack([shift[:, 0] ** 2, shift[:, 1] ** 2, shift[:, 0] * shift[:, 1]], dim=1)
    seconds = second.sum(0) + (weight * products).sum(0)
    return Moments(total, rows.sum(), means[0], means[1], seconds[0], seconds[1], seconds[2])


def merge_ranks(local: Moments, group: dist.ProcessGroup) -> Moments:
    """The moments of the positions of all processes of a group; every process gets the same."""
    size = local.mean_s.numel()
    first = torch.cat([torch.stack([local.count, local.rows]), local.count * local.mean_s, local.count * local.mean_t])
    dist.all_reduce(first, group=group)
    count, rows = first[0], first[1]
    mean = first[2:].view(2, size) / count.clamp_min(torch.finfo(torch.float64).tiny)
    shift_s, shift_t = local.mean_s - mean[0], local.mean_t - mean[1]
    second = torch.cat(
        [
            local.var_s + local.count * shift_s**2,
            local.var_t + local.count * shift_t**2,
            local.cov + local.count * shift_s * shift_t,
        ]
    )
    dist.all_reduce(second, group=group)
    return Moments(count, rows, mean[0], mean[1], *second.view(3, size))


def correlate_columns(total: Moments, guard_rel: float, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Mean distance of the classes' columns, and its derivatives by p and by q as factors of their centred values.

    Args:
        total (Moments): Of all positions.
        guard_rel (float): A student column whose spread is at most this share of its norm gets no gradient.
        dtype (torch.dtype): The scores were computed in.

    Returns:
        tuple[Tensor, Tensor, Tensor]: Scalar, (C,) and (C,), float64.
    """
    norm_s, norm_t = total.var_s.sqrt(), total.var_t.sqrt()
    product = norm_s * norm_t + EPS
    # A teacher's spread that is rounding points nowhere: the distance is 1, whatever the student does.
    still = STILL * torch.finfo(dtype).eps
    flat = total.var_t <= still**2 * (total.var_t + total.count * total.mean_t**2)
    correlation = (total.cov / product).masked_fill(flat, 0)
    if guard_rel:
        flat = flat | (total.var_s <= guard_rel**2 * (total.var_s + total.count * total.mean_s**2))
    col_t = -1 / product
    col_s = correlation / product * torch.where(norm_s > 0, norm_t / norm_s, 0)
    size = total.cov.numel()
    return (1 - correlation).mean(), col_s.masked_fill(flat, 0) / size, col_t.masked_fill(flat, 0) / size

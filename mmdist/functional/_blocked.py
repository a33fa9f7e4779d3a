"""The two passes of the streaming relation losses in PyTorch, block by block, each block small enough for the cache."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from mmdist.functional._moments import Moments, merge_blocks
from mmdist.functional._plain import EPS

BLOCK = 1 << 16  # scores a block: four of them in float32 stay in a core's cache


class Spec(NamedTuple):
    """How scores become correlations.

    Args:
        activation (str): softmax over the classes, sigmoid or none.
        tau (float): Temperature.
        guard_rel (float): A student row whose spread is at most this share of its norm gets no gradient.
        rows (bool): Whether the correlations over the classes count.
        columns (bool): Whether the correlations over the positions count.
    """

    activation: str
    tau: float
    guard_rel: float
    rows: bool
    columns: bool


class Coefficients(NamedTuple):
    """What the second pass multiplies with, in the dtype of computation.

    Args:
        row (Tensor): Scalar, derivative of the loss by the sum of the row distances.
        col_s (Tensor): (C, 1) factor of p - mean_s.
        col_t (Tensor): (C, 1) factor of q - mean_t.
        mean_s (Tensor): (C, 1).
        mean_t (Tensor): (C, 1).
    """

    row: Tensor
    col_s: Tensor
    col_t: Tensor
    mean_s: Tensor
    mean_t: Tensor


def moments(z_s: Tensor, z_t: Tensor, weight: Tensor | None, spec: Spec, dtype: torch.dtype) -> Moments:
    """First pass: read both maps once.

    Args:
        z_s (Tensor): Student, (N, C, S), any strides.
        z_t (Tensor): Teacher, likewise.
        weight (Tensor, optional): (N, S), 0 or above, in the dtype of computation.
        spec (Spec): How scores become correlations.
        dtype (torch.dtype): Of computation.

    Returns:
        Moments: Of the positions of this process; those that ``spec`` leaves out are 0.
    """
    size = z_s.shape[1]
    counts, rows, means, seconds = [], [], [], []
    for n, part in _parts(z_s):
        w = None if weight is None else weight[n, part]
        p, q = _scores(z_s, z_t, n, part, w, spec, dtype)
        counts.append(p.new_tensor(p.shape[1]) if w is None else w.sum())
        if spec.rows:
            _, _, pp, qq, pq = _row_products(p, q, spec)
            distance = 1 - pq / (pp.sqrt() * qq.sqrt() + EPS)
            rows.append(distance.sum() if w is None else (distance * w).sum())
        if spec.columns:
            mean_s, mean_t = (_column_mean(x, w, counts[-1]) for x in (p, q))
            p, q = p.sub_(mean_s), q.sub_(mean_t)
            wp = p if w is None else p * w
            means.append(torch.stack([mean_s[:, 0], mean_t[:, 0]]))
            seconds.append(torch.stack([(wp * p).sum(1), (q * q if w is None else q * q * w).sum(1), (wp * q).sum(1)]))
    zeros = z_s.new_zeros(len(counts), dtype=dtype)
    return merge_blocks(
        torch.stack(counts) if counts else zeros,
        torch.stack(rows) if rows else zeros,
        torch.stack(means) if means else z_s.new_zeros(len(counts), 2, size, dtype=dtype),
        torch.stack(seconds) if seconds else z_s.new_zeros(len(counts), 3, size, dtype=dtype),
    )


def gradient(
    z_s: Tensor, z_t: Tensor, weight: Tensor | None, spec: Spec, dtype: torch.dtype, by: Coefficients
) -> Tensor:
    """Second pass: read both maps once, write the gradient by the student once.

    Args:
        z_s (Tensor): Student, (N, C, S), any strides.
        z_t (Tensor): Teacher, likewise.
        weight (Tensor, optional): (N, S), 0 or above, in the dtype of computation.
        spec (Spec): How scores become correlations.
        dtype (torch.dtype): Of computation.
        by (Coefficients): From the first pass and the gradient that arrived.

    Returns:
        Tensor: (N, C, S) in the dtype and, where it is dense, the layout of ``z_s``.
    """
    grad = torch.empty_like(z_s)
    centre_s, centre_t = (x - 1 / z_s.shape[1] if spec.activation == "softmax" else x for x in (by.mean_s, by.mean_t))
    offset = -(by.col_s * centre_s + by.col_t * centre_t)
    for n, part in _parts(z_s):
        w = None if weight is None else weight[n, part]
        p, q = _scores(z_s, z_t, n, part, w, spec, dtype)
        if spec.activation == "softmax":
            u, v = p - 1 / p.shape[0], q.sub_(1 / p.shape[0])
        else:
            u, v = p, q
        if spec.rows:
            c_s, c_t, pp, qq, pq = _row_products(p, q, spec, centred=(u, v) if spec.activation == "softmax" else None)
            norm_s, norm_t = pp.sqrt(), qq.sqrt()
            product = norm_s * norm_t + EPS
            row_t = -by.row / product
            row_s = -row_t * pq / product * (norm_t / norm_s.clamp_min(torch.finfo(dtype).tiny ** 0.5))
            if spec.guard_rel:
                mean = 1 / p.shape[0] if spec.activation == "softmax" else p.mean(0)
                flat = pp <= spec.guard_rel**2 * (pp + p.shape[0] * mean**2)
                row_s, row_t = (x.masked_fill(flat, 0) for x in (row_s, row_t))
        if spec.activation == "softmax" and spec.rows and spec.columns:  # the usual case, in as few passes as possible
            g = v.mul_(row_t + by.col_t).addcmul_(u, row_s + by.col_s).add_(offset)
        else:
            g = torch.zeros_like(p)
            if spec.rows:
                g.addcmul_(c_t, row_t).addcmul_(c_s, row_s)
            if spec.columns:
                g.addcmul_(v, by.col_t).addcmul_(u, by.col_s).add_(offset)
        if w is not None:
            g.mul_(w)
        if spec.activation == "softmax":
            g.sub_((p * g).sum(0))
        if spec.activation == "sigmoid":
            g.mul_(1 - p)
        if spec.activation != "none":
            g.mul_(p)
        grad[n, :, part] = g if spec.tau == 1 else g.div_(spec.tau)
    return grad


def _parts(z: Tensor) -> Iterator[tuple[int, slice]]:
    step = max(1, BLOCK // max(1, z.shape[1]))
    for n in range(z.shape[0]):
        for start in range(0, z.shape[2], step):
            yield n, slice(start, start + step)


def _scores(
    z_s: Tensor, z_t: Tensor, n: int, part: slice, w: Tensor | None, spec: Spec, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Activated scores of a block, (C, positions), in memory of their own."""
    return tuple(_activate(z[n, :, part], w, spec, dtype) for z in (z_s, z_t))


def _activate(z: Tensor, w: Tensor | None, spec: Spec, dtype: torch.dtype) -> Tensor:
    if w is not None:  # what does not count may hold anything, NaN too
        z = z.masked_fill(w == 0, 0)
    if spec.activation == "softmax" and spec.tau == 1:
        return z.softmax(0, dtype=dtype)
    z = z.to(dtype, copy=True)
    if spec.tau != 1:
        z.div_(spec.tau)
    if spec.activation == "softmax":
        return z.softmax(0)
    return z.sigmoid_() if spec.activation == "sigmoid" else z


def _row_products(
    p: Tensor, q: Tensor, spec: Spec, centred: tuple[Tensor, Tensor] | None = None
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Scores centred over the classes, and the sums of their squares and products."""
    if centred is None:
        # After softmax the mean over the classes is exactly 1 / C.
        centre = (lambda x: 1 / x.shape[0]) if spec.activation == "softmax" else (lambda x: x.mean(0))
        centred = p - centre(p), q - centre(q)
    u, v = centred
    return u, v, (u * u).sum(0), (v * v).sum(0), (u * v).sum(0)


def _column_mean(x: Tensor, w: Tensor | None, count: Tensor) -> Tensor:
    if w is None:
        return x.mean(1, keepdim=True)
    return (x @ w).unsqueeze(1) / count.clamp_min(torch.finfo(x.dtype).tiny)

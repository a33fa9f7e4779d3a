"""The two passes of the streaming relation losses in PyTorch, block by block, each block small enough for the cache.

Every operation works on a block of both networks' scores at once, in buffers that are made once: on the CPU the cost
is in exponentials, in calls, and in memory that is touched for the first time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mmdist.functional._moments import Moments, merge_blocks
from mmdist.functional._plain import EPS, STILL

BLOCK = 1 << 18  # scores of one network in a block: smaller ones cost calls, larger ones leave the cache

DEVICE_BLOCK = 1 << 24  # on a GPU without Triton: calls cost more than memory
LINE = 64  # positions: vector instructions are slower on rows that start anywhere


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
    """What the second pass multiplies with, in the dtype of computation, divided by the temperature.

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


class _Block(NamedTuple):
    """A block's place in the maps, its weights and its scores.

    Args:
        images (slice): Along N.
        part (slice): Along S.
        weight (Tensor | None): (positions,).
        scores (Tensor): (2, C, positions), activated, of student and teacher.
        spare (Tensor): Memory of the same shape; so is ``work``.
        work (Tensor): See ``spare``.
    """

    images: slice
    part: slice
    weight: Tensor | None
    scores: Tensor
    spare: Tensor
    work: Tensor


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
    counts, rows, means, seconds = [], [], [], []
    size = z_s.shape[1]
    for block in _blocks(z_s, z_t, weight, spec, dtype):
        scores, w = block.scores, block.weight
        counts.append(scores.new_tensor(scores.shape[2]) if w is None else w.sum())
        if spec.rows:
            _, (norm_s, norm_t), product = _correlate_rows(block, spec)
            distance = 1 - product / norm_s.mul_(norm_t).add_(EPS)
            rows.append(distance.sum() if w is None else distance @ w)
        if spec.columns:
            mean = scores.mean(2) if w is None else (scores @ w) / counts[-1].clamp_min(torch.finfo(dtype).tiny)
            centred = scores.sub_(mean.unsqueeze(2))
            means.append(mean)
            if w is None:
                squares = torch.linalg.vector_norm(centred, dim=2).square_()
                product = torch.mul(*centred, out=block.work[0]).sum(1)
            else:
                squares = torch.mul(centred, centred, out=block.work) @ w
                product = torch.mul(*centred, out=block.work[0]) @ w
            seconds.append(torch.cat([squares, product.unsqueeze(0)]))
    zeros = torch.zeros(len(counts), 3, size, dtype=dtype, device=z_s.device)
    return merge_blocks(
        torch.stack(counts) if counts else zeros[:, 0, 0],
        torch.stack(rows) if rows else zeros[:, 0, 0],
        torch.stack(means) if means else zeros[:, :2],
        torch.stack(seconds) if seconds else zeros,
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
        by (Coefficients): From the first pass and the gradient that arrived, divided by the temperature.

    Returns:
        Tensor: (N, C, S) in the dtype and, where it is dense, the layout of ``z_s``.
    """
    grad = torch.empty_like(z_s)
    # The usual case takes the fewest passes: what centres the rows after softmax, 1 / C, goes into the columns' offset.
    usual = spec.activation == "softmax" and spec.rows and spec.columns
    centre = 1 / z_s.shape[1] if usual else 0
    offset = -(by.col_s * (by.mean_s - centre) + by.col_t * (by.mean_t - centre))
    for block in _blocks(z_s, z_t, weight, spec, dtype):
        scores = block.scores
        if spec.rows:
            (u, v), norms, product = _correlate_rows(block, spec)
            row_s, row_t = _row_factors(norms, product, scores, spec, by.row)
        if usual:
            g = torch.addcmul(offset, torch.add(row_s, by.col_s, out=block.work[1]), u, out=block.work[1])
            g = torch.addcmul(g, torch.add(row_t, by.col_t, out=block.work[0]), v, out=block.work[0])
        else:
            g = torch.mul(v, row_t, out=block.work[0]).addcmul_(u, row_s) if spec.rows else block.work[0].zero_()
            if spec.columns:
                g.addcmul_(scores[0], by.col_s).addcmul_(scores[1], by.col_t)
                g.add_(offset)
        if block.weight is not None:
            g.mul_(block.weight)
        target = grad[block.images, :, block.part].transpose(0, 1)
        if spec.activation == "none":
            target.copy_(g.view(target.shape))
        else:
            inner = torch.mul(g, scores[0], out=block.work[1])
            g.sub_(inner.sum(0) if spec.activation == "softmax" else inner)
            torch.mul(g.view(target.shape), scores[0].view(target.shape), out=target)
    return grad


def _blocks(z_s: Tensor, z_t: Tensor, weight: Tensor | None, spec: Spec, dtype: torch.dtype) -> Iterator[_Block]:
    images, size, positions = z_s.shape
    limit = BLOCK if z_s.device.type == "cpu" else DEVICE_BLOCK
    step = _step(positions, max(1, limit // max(1, size)))
    together = max(1, min(images, limit // max(1, size * step)))  # several small maps make one block
    memory = torch.empty(3, 2, size * together * step, dtype=dtype, device=z_s.device)
    for n in range(0, images, together):
        for start in range(0, positions, step):
            place = slice(n, n + together), slice(start, start + step)
            w = None if weight is None else weight[place].reshape(-1)
            shape = (size, min(together, images - n), min(step, positions - start))
            count = shape[1] * shape[2]
            scores, spare, work = memory[:, :, : size * count].view(3, 2, size, count)
            raw = scores if spec.activation == "none" else spare
            for z, into in zip((z_s, z_t), raw, strict=True):
                into.view(shape).copy_(z[place[0], :, place[1]].transpose(0, 1))
            if w is not None:  # what does not count may hold anything, NaN too
                raw.masked_fill_(w == 0, 0)
            if spec.tau != 1:
                raw.div_(spec.tau)
            if spec.activation == "softmax":
                torch.softmax(raw, 1, out=scores)
            elif spec.activation == "sigmoid":
                torch.sigmoid(raw, out=scores)
            yield _Block(*place, w, scores, spare, work)


def _step(positions: int, most: int) -> int:
    """Positions a block: blocks of nearly one size, at most ``most``, whose rows start at full cache lines."""
    even = -(-positions // max(1, -(-positions // most)))
    return max(1, min(-(-even // LINE) * LINE, positions)) if most >= LINE else max(1, min(even, positions))


def _correlate_rows(block: _Block, spec: Spec) -> tuple[Tensor, Tensor, Tensor]:
    """Scores centred over the classes, (2, C, positions), their norms, (2, positions), and their products."""
    # After softmax the mean over the classes is exactly 1 / C.
    centre = 1 / block.scores.shape[1] if spec.activation == "softmax" else block.scores.mean(1, keepdim=True)
    centred = torch.sub(block.scores, centre, out=block.spare)
    norms = torch.mul(centred, centred, out=block.work).sum(1).sqrt_()
    return centred, norms, torch.mul(*centred, out=block.work[0]).sum(0)


def _row_factors(
    norms: Tensor, product: Tensor, scores: Sequence[Tensor], spec: Spec, row: Tensor
) -> tuple[Tensor, Tensor]:
    """What the centred scores of student and teacher are multiplied with in the gradient of the row distances."""
    norm_s, norm_t = norms
    both = (norm_s * norm_t).add_(EPS)
    row_t = -row / both
    row_s = product.div_(both).mul_(row_t).mul_(norm_t).div_(norm_s.clamp_min(torch.finfo(norms.dtype).tiny)).neg_()
    # A teacher's spread that is rounding points nowhere: the distance is 1, whatever the student does.
    flat = norm_t <= _share_of_norm(STILL * torch.finfo(norms.dtype).eps, scores[1], spec)
    if spec.guard_rel:
        flat |= norm_s <= _share_of_norm(spec.guard_rel, scores[0], spec)
    row_s.masked_fill_(flat, 0)
    row_t.masked_fill_(flat, 0)
    return row_s, row_t


def _share_of_norm(share: float, scores: Tensor, spec: Spec) -> float | Tensor:
    """The norm of centred scores that is this share of the scores' own: |scores|^2 = |centred|^2 + C mean^2."""
    size, share = scores.shape[0], share / max(1 - share**2, 1e-30) ** 0.5
    return share * size**-0.5 if spec.activation == "softmax" else scores.mean(0).abs_().mul_(share * size**0.5)

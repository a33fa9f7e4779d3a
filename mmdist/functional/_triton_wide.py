"""Triton kernels of the two passes, for maps with more classes than the registers of one program hold.

The classes are walked through in steps of R, again and again: the maximum and the norm of softmax come out of one walk
(online softmax), the products over the classes out of a second, and so on. After the first walk most of a tile comes
from the cache.
"""

from __future__ import annotations

import triton
import triton.language as tl

from mmdist.functional._triton_kernels import EPS, LOG2E, LOWEST, column_factors, row_factors


# fmt: off
@triton.jit(do_not_specialize=["tiles_a_map", "all_positions"])
def rows_kernel(
    z_s, z_t, weight, rows, norms,
    positions, tiles_a_map, all_positions,
    s_n, s_c, s_p, t_n, t_c, t_p, w_n, w_p,
    by_tau, by_tau_rest,
    C: tl.constexpr, R: tl.constexpr, P: tl.constexpr,
    WEIGHTED: tl.constexpr, ACTIVATION: tl.constexpr, ROWS: tl.constexpr, DTYPE: tl.constexpr,
):
    """Sum of the row distances of one tile; maximum and 1 / norm of softmax of each of its positions."""
    tile = tl.program_id(0)
    n = (tile // tiles_a_map).to(tl.int64)
    factor = tl.cast(by_tau, DTYPE) + tl.cast(by_tau_rest, DTYPE)
    p, live, w = place(tile % tiles_a_map, weight + n * w_n, w_p, positions, P, WEIGHTED, DTYPE)
    z_s += n * s_n + p * s_p
    z_t += n * t_n + p * t_p
    top_s, by_s = softmax_norm(z_s, live, s_c, factor, C, R, P, ACTIVATION, DTYPE)
    top_t, by_t = softmax_norm(z_t, live, t_c, factor, C, R, P, ACTIVATION, DTYPE)
    if ACTIVATION == "softmax":
        norms += n * positions + p
        tl.store(norms, top_s, p < positions)
        tl.store(norms + all_positions, by_s, p < positions)
        tl.store(norms + 2 * all_positions, top_t, p < positions)
        tl.store(norms + 3 * all_positions, by_t, p < positions)
    if ROWS:
        _, _, ss, tt, st = products(
            z_s, z_t, live, s_c, t_c, top_s, by_s, top_t, by_t, factor, C, R, P, ACTIVATION, DTYPE)
        tl.store(rows + tile, tl.sum((1 - st / (tl.sqrt(ss) * tl.sqrt(tt) + EPS)) * w, 0))


@triton.jit(do_not_specialize=["tiles_a_map", "tiles", "all_positions"])
def columns_kernel(
    z_s, z_t, weight, norms, counts, means, seconds,
    positions, tiles_a_map, tiles, all_positions,
    s_n, s_c, s_p, t_n, t_c, t_p, w_n, w_p,
    by_tau, by_tau_rest,
    C: tl.constexpr, R: tl.constexpr, P: tl.constexpr,
    WEIGHTED: tl.constexpr, ACTIVATION: tl.constexpr, DTYPE: tl.constexpr,
):
    """Moments of R classes over every ``num_programs``-th tile."""
    program, first = tl.program_id(0), tl.program_id(1) * R
    factor = tl.cast(by_tau, DTYPE) + tl.cast(by_tau_rest, DTYPE)
    c = first + tl.arange(0, R)
    offset: tl.constexpr = 1 / C if ACTIVATION == "softmax" else 0.0
    count = tl.sum(tl.zeros((P,), DTYPE), 0)
    mean_s, mean_t = tl.zeros((R,), DTYPE), tl.zeros((R,), DTYPE)
    var_s, var_t, cov = tl.zeros((R,), DTYPE), tl.zeros((R,), DTYPE), tl.zeros((R,), DTYPE)
    for tile in range(program, tiles, tl.num_programs(0)):
        n = (tile // tiles_a_map).to(tl.int64)
        p, live, w = place(tile % tiles_a_map, weight + n * w_n, w_p, positions, P, WEIGHTED, DTYPE)
        here = tl.sum(w, 0)
        top_s, by_s, top_t, by_t = w, w, w, w
        if ACTIVATION == "softmax":
            at = norms + n * positions + p
            top_s, by_s = tl.load(at, live, 0.0), tl.load(at + all_positions, live, 0.0)
            top_t, by_t = tl.load(at + 2 * all_positions, live, 0.0), tl.load(at + 3 * all_positions, live, 0.0)
        x_s = score(z_s + n * s_n + p * s_p, live, first, s_c, top_s, by_s, factor, C, R, ACTIVATION, DTYPE) - offset
        x_t = score(z_t + n * t_n + p * t_p, live, first, t_c, top_t, by_t, factor, C, R, ACTIVATION, DTYPE) - offset
        by_here = 1 / tl.where(here > 0, here, 1)
        new_s, new_t = tl.sum(x_s * w[None, :], 1) * by_here, tl.sum(x_t * w[None, :], 1) * by_here
        x_s, x_t = x_s - new_s[:, None], x_t - new_t[:, None]
        w_s, w_t = x_s * w[None, :], x_t * w[None, :]
        step_s, step_t = new_s - mean_s, new_t - mean_t
        both = count + here
        share = here / tl.where(both > 0, both, 1)
        mean_s, mean_t = mean_s + step_s * share, mean_t + step_t * share
        var_s += tl.sum(x_s * w_s, 1) + step_s * step_s * (count * share)
        var_t += tl.sum(x_t * w_t, 1) + step_t * step_t * (count * share)
        cov += tl.sum(x_t * w_s, 1) + step_s * step_t * (count * share)
        count = both
    tl.store(counts + program, count)
    tl.store(means + (program * 2) * C + c, mean_s + offset, c < C)
    tl.store(means + (program * 2 + 1) * C + c, mean_t + offset, c < C)
    tl.store(seconds + (program * 3) * C + c, var_s, c < C)
    tl.store(seconds + (program * 3 + 1) * C + c, var_t, c < C)
    tl.store(seconds + (program * 3 + 2) * C + c, cov, c < C)


@triton.jit(do_not_specialize=["tiles_a_map"])
def wide_gradient_kernel(
    z_s, z_t, weight, grad, row, col_s, col_t, mean_s, mean_t,
    positions, tiles_a_map,
    s_n, s_c, s_p, t_n, t_c, t_p, w_n, w_p, g_n, g_c, g_p,
    by_tau, by_tau_rest, guard_rel,
    C: tl.constexpr, R: tl.constexpr, P: tl.constexpr,
    WEIGHTED: tl.constexpr, ACTIVATION: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, DTYPE: tl.constexpr,
):
    """Gradient by the student's scores of one tile."""
    tile = tl.program_id(0)
    n = (tile // tiles_a_map).to(tl.int64)
    factor = tl.cast(by_tau, DTYPE) + tl.cast(by_tau_rest, DTYPE)
    p, live, w = place(tile % tiles_a_map, weight + n * w_n, w_p, positions, P, WEIGHTED, DTYPE)
    z_s += n * s_n + p * s_p
    z_t += n * t_n + p * t_p
    grad += n * g_n + p * g_p
    top_s, by_s = softmax_norm(z_s, live, s_c, factor, C, R, P, ACTIVATION, DTYPE)
    top_t, by_t = softmax_norm(z_t, live, t_c, factor, C, R, P, ACTIVATION, DTYPE)
    m_s, m_t, row_s, row_t = w, w, w, w
    if ROWS:
        m_s, m_t, ss, tt, st = products(
            z_s, z_t, live, s_c, t_c, top_s, by_s, top_t, by_t, factor, C, R, P, ACTIVATION, DTYPE)
        row_s, row_t = row_factors(ss, tt, st, m_s, m_t, tl.load(row), guard_rel, C)
    along = tl.zeros((P,), DTYPE)
    if ACTIVATION == "softmax":
        for first in range(0, C, R):
            p_s = score(z_s, live, first, s_c, top_s, by_s, factor, C, R, ACTIVATION, DTYPE)
            p_t = score(z_t, live, first, t_c, top_t, by_t, factor, C, R, ACTIVATION, DTYPE)
            g = by_score(p_s, p_t, first, m_s, m_t, row_s, row_t, col_s, col_t, mean_s, mean_t,
                         C, R, ACTIVATION, ROWS, COLUMNS)
            along += tl.sum(p_s * g, 0)
    for first in range(0, C, R):
        c = (first + tl.arange(0, R))[:, None]
        p_s = score(z_s, live, first, s_c, top_s, by_s, factor, C, R, ACTIVATION, DTYPE)
        p_t = score(z_t, live, first, t_c, top_t, by_t, factor, C, R, ACTIVATION, DTYPE)
        g = by_score(p_s, p_t, first, m_s, m_t, row_s, row_t, col_s, col_t, mean_s, mean_t,
                     C, R, ACTIVATION, ROWS, COLUMNS)
        if ACTIVATION == "softmax":
            g = p_s * (g - along[None, :])
        elif ACTIVATION == "sigmoid":
            g = p_s * (1 - p_s) * g
        if WEIGHTED:
            g *= w[None, :]
        tl.store(grad[None, :] + c.to(tl.int64) * g_c, g.to(grad.dtype.element_ty), (c < C) & (p < positions)[None, :])


@triton.jit
def place(tile, weight, w_p, positions, P: tl.constexpr, WEIGHTED: tl.constexpr, DTYPE: tl.constexpr):
    """Positions of a tile, (P,); which of them count; their weights."""
    p = tile * P + tl.arange(0, P)
    live = p < positions
    p = p.to(tl.int64)
    if WEIGHTED:
        w = tl.load(weight + p * w_p, live, 0.0)
        live = live & (w != 0)
    else:
        w = live.to(DTYPE)
    return p, live, w


@triton.jit
def logits(z, live, first, z_c, C: tl.constexpr, R: tl.constexpr, ACTIVATION: tl.constexpr, DTYPE: tl.constexpr):
    """(R, P) logits from class ``first`` on; nothing is read of what does not count."""
    c = (first + tl.arange(0, R))[:, None]
    nothing = 0.0 if ACTIVATION == "none" else LOWEST
    return tl.load(z[None, :] + c.to(tl.int64) * z_c, (c < C) & live[None, :], nothing).to(DTYPE)


@triton.jit
def softmax_norm(z, live, z_c, factor, C: tl.constexpr, R: tl.constexpr, P: tl.constexpr,
                 ACTIVATION: tl.constexpr, DTYPE: tl.constexpr):
    """Maximum of the logits and 1 / the sum of their exponentials, (P,) each."""
    best = tl.zeros((P,), DTYPE)
    norm = tl.zeros((P,), DTYPE)
    if ACTIVATION == "softmax":
        top = tl.full((R, P), LOWEST, DTYPE)  # of each R-th class: the threads talk to each other after the walk only
        sums = tl.zeros((R, P), DTYPE)
        for first in range(0, C, R):
            x = logits(z, live, first, z_c, C, R, ACTIVATION, DTYPE)
            new = tl.maximum(top, x)
            finite = tl.where(new == LOWEST, 0.0, new)
            sums = sums * tl.exp2((top - finite) * (factor * LOG2E)) + tl.exp2((x - finite) * (factor * LOG2E))
            top = new
        best = tl.max(top, 0)
        best = tl.where(best == LOWEST, 0.0, best)
        norm = tl.sum(sums * tl.exp2((top - best[None, :]) * (factor * LOG2E)), 0)
        norm = 1 / tl.where(norm == 0, 1, norm)
    return best, norm


@triton.jit
def score(z, live, first, z_c, top, by_norm, factor, C: tl.constexpr, R: tl.constexpr,
          ACTIVATION: tl.constexpr, DTYPE: tl.constexpr):
    """(R, P) activated scores from class ``first`` on."""
    x = logits(z, live, first, z_c, C, R, ACTIVATION, DTYPE)
    if ACTIVATION == "softmax":
        return tl.exp2((x - top[None, :]) * (factor * LOG2E)) * by_norm[None, :]
    elif ACTIVATION == "sigmoid":
        return 1 / (1 + tl.exp2(x * (-factor * LOG2E)))
    else:
        return x * factor


@triton.jit
def products(z_s, z_t, live, s_c, t_c, top_s, by_s, top_t, by_t, factor,
             C: tl.constexpr, R: tl.constexpr, P: tl.constexpr, ACTIVATION: tl.constexpr, DTYPE: tl.constexpr):
    """Means over the classes, and sums of the squares and products of the centred scores, (P,) each."""
    m_s, m_t = tl.full((P,), 1 / C, DTYPE), tl.full((P,), 1 / C, DTYPE)
    if ACTIVATION != "softmax":
        m_s, m_t = tl.zeros((P,), DTYPE), tl.zeros((P,), DTYPE)
        for first in range(0, C, R):
            m_s += tl.sum(score(z_s, live, first, s_c, top_s, by_s, factor, C, R, ACTIVATION, DTYPE), 0)
            m_t += tl.sum(score(z_t, live, first, t_c, top_t, by_t, factor, C, R, ACTIVATION, DTYPE), 0)
        m_s, m_t = m_s / C, m_t / C
    ss, tt, st = tl.zeros((R, P), DTYPE), tl.zeros((R, P), DTYPE), tl.zeros((R, P), DTYPE)
    for first in range(0, C, R):
        exists = (first + tl.arange(0, R) < C)[:, None]
        d_s = score(z_s, live, first, s_c, top_s, by_s, factor, C, R, ACTIVATION, DTYPE) - m_s[None, :]
        d_t = score(z_t, live, first, t_c, top_t, by_t, factor, C, R, ACTIVATION, DTYPE) - m_t[None, :]
        d_s, d_t = tl.where(exists, d_s, 0.0), tl.where(exists, d_t, 0.0)
        ss += d_s * d_s
        tt += d_t * d_t
        st += d_s * d_t
    return m_s, m_t, tl.sum(ss, 0), tl.sum(tt, 0), tl.sum(st, 0)


@triton.jit
def by_score(p_s, p_t, first, m_s, m_t, row_s, row_t, col_s, col_t, mean_s, mean_t,
             C: tl.constexpr, R: tl.constexpr, ACTIVATION: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Derivative of the loss by (R, P) activated scores."""
    g = p_s * 0
    if ROWS:
        g += (p_s - m_s[None, :]) * row_s[None, :] + (p_t - m_t[None, :]) * row_t[None, :]
    if COLUMNS:
        offset: tl.constexpr = 1 / C if ACTIVATION == "softmax" else 0.0
        a_s, a_t, c_s, c_t = column_factors(
            col_s, col_t, mean_s, mean_t, first + tl.arange(0, R), C, ACTIVATION)
        g += (p_s - offset - c_s[:, None]) * a_s[:, None] + (p_t - offset - c_t[:, None]) * a_t[:, None]
    return g
# fmt: on

"""Triton kernels of the two passes, for maps whose classes fit into the registers of one program.

A tile is all classes of a few positions of one map, cut into K pieces of R classes by G groups of V positions. The
number of classes is seldom a power of two, the size of a block must be: as ten pieces, 150 classes take the room of 160
and not of 256. Sums over the classes are first taken over the pieces, inside each thread, so that the threads talk
to each other once a tile and not once a piece. Sums over the positions are kept apart for each group, which lies inside
one thread, and the groups are merged once a program.
"""

from __future__ import annotations

import triton
import triton.language as tl

from mmdist.functional import _plain

EPS = tl.constexpr(_plain.EPS)
STILL = tl.constexpr(_plain.STILL)
LOG2E = tl.constexpr(1.4426950408889634)
LOWEST = tl.constexpr(float("-inf"))


# ruff: noqa: RUF005 (Triton adds tuples up, but unpacks none)
# fmt: off
@triton.jit(do_not_specialize=["tiles_a_map", "tiles"])  # or each size of picture has kernels of its own
def moments_kernel(
    z_s, z_t, weight, counts, rows, means, seconds,
    positions, tiles_a_map, tiles,
    s_n, s_c, s_p, t_n, t_c, t_p, w_n, w_p,
    by_tau, by_tau_rest,
    C: tl.constexpr, R: tl.constexpr, K: tl.constexpr, G: tl.constexpr, V: tl.constexpr,
    SPREAD: tl.constexpr, TAIL: tl.constexpr, WEIGHTED: tl.constexpr,
    ACTIVATION: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, DTYPE: tl.constexpr,
):
    """Moments of every ``num_programs``-th tile: one set of numbers a program leaves the chip, not one a tile."""
    program = tl.program_id(0)
    factor = tl.cast(by_tau, DTYPE) + tl.cast(by_tau_rest, DTYPE)
    count = tl.zeros((G,), DTYPE)
    row_sum = tl.zeros((V, G), DTYPE)
    mean_s, mean_t, var_s, var_t, cov = empty(R, K, G, DTYPE)
    for tile in range(program, tiles, tl.num_programs(0)):
        n = (tile // tiles_a_map).to(tl.int64)
        p, live, w = place(tile % tiles_a_map, weight + n * w_n, w_p, positions, G, V, SPREAD, WEIGHTED, DTYPE)
        p_s = scores(z_s + n * s_n, p, w, live, s_c, s_p, factor, C, R, K, TAIL, WEIGHTED, ACTIVATION, DTYPE)
        p_t = scores(z_t + n * t_n, p, w, live, t_c, t_p, factor, C, R, K, TAIL, WEIGHTED, ACTIVATION, DTYPE)
        c_s = centre(p_s, C, R, K, ACTIVATION)
        c_t = centre(p_t, C, R, K, ACTIVATION)
        if ROWS:
            distance = 1 - dot(c_s, c_t, K) / (tl.sqrt(dot(c_s, c_s, K)) * tl.sqrt(dot(c_t, c_t, K)) + EPS)
            row_sum += distance * w if TAIL or WEIGHTED else distance
        if COLUMNS and ACTIVATION == "softmax":  # a constant less in every column, which is more exact
            count, mean_s, mean_t, var_s, var_t, cov = merge(
                c_s, c_t, w, count, mean_s, mean_t, var_s, var_t, cov, K, TAIL or WEIGHTED)
        elif COLUMNS:
            count, mean_s, mean_t, var_s, var_t, cov = merge(
                p_s, p_t, w, count, mean_s, mean_t, var_s, var_t, cov, K, TAIL or WEIGHTED)
        else:
            count += tl.sum(w, 0)

    total = tl.sum(count, 0)
    tl.store(counts + program, total)
    tl.store(rows + program, tl.sum(tl.sum(row_sum, 1), 0))
    if COLUMNS:
        offset: tl.constexpr = 1 / C if ACTIVATION == "softmax" else 0.0
        for k in tl.static_range(K):
            c = k * R + tl.arange(0, R)
            share = (count / tl.where(total > 0, total, 1))[None, :]
            m_s, m_t = tl.sum(mean_s[k] * share, 1), tl.sum(mean_t[k] * share, 1)
            d_s, d_t = mean_s[k] - m_s[:, None], mean_t[k] - m_t[:, None]
            tl.store(means + (program * 2) * C + c, m_s + offset, c < C)
            tl.store(means + (program * 2 + 1) * C + c, m_t + offset, c < C)
            tl.store(seconds + (program * 3) * C + c, tl.sum(var_s[k] + count[None, :] * d_s * d_s, 1), c < C)
            tl.store(seconds + (program * 3 + 1) * C + c, tl.sum(var_t[k] + count[None, :] * d_t * d_t, 1), c < C)
            tl.store(seconds + (program * 3 + 2) * C + c, tl.sum(cov[k] + count[None, :] * d_s * d_t, 1), c < C)


@triton.jit(do_not_specialize=["tiles_a_map"])
def gradient_kernel(
    z_s, z_t, weight, grad, row, col_s, col_t, mean_s, mean_t,
    positions, tiles_a_map,
    s_n, s_c, s_p, t_n, t_c, t_p, w_n, w_p, g_n, g_c, g_p,
    by_tau, by_tau_rest, guard_rel,
    C: tl.constexpr, R: tl.constexpr, K: tl.constexpr, G: tl.constexpr, V: tl.constexpr,
    SPREAD: tl.constexpr, TAIL: tl.constexpr, WEIGHTED: tl.constexpr,
    ACTIVATION: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, DTYPE: tl.constexpr,
):
    """Gradient by the student's scores of one tile."""
    tile = tl.program_id(0)
    n = (tile // tiles_a_map).to(tl.int64)
    factor = tl.cast(by_tau, DTYPE) + tl.cast(by_tau_rest, DTYPE)
    p, live, w = place(tile % tiles_a_map, weight + n * w_n, w_p, positions, G, V, SPREAD, WEIGHTED, DTYPE)
    p_s = scores(z_s + n * s_n, p, w, live, s_c, s_p, factor, C, R, K, TAIL, WEIGHTED, ACTIVATION, DTYPE)
    p_t = scores(z_t + n * t_n, p, w, live, t_c, t_p, factor, C, R, K, TAIL, WEIGHTED, ACTIVATION, DTYPE)
    c_s = centre(p_s, C, R, K, ACTIVATION)
    c_t = centre(p_t, C, R, K, ACTIVATION)
    if ROWS:
        mean = tl.full((V, G), 1 / C, DTYPE) if ACTIVATION == "softmax" else over_classes(p_s, K) / C
        mean_of_t = mean if ACTIVATION == "softmax" else over_classes(p_t, K) / C
        row_s, row_t = row_factors(
            dot(c_s, c_s, K), dot(c_t, c_t, K), dot(c_s, c_t, K), mean, mean_of_t, tl.load(row), guard_rel, C)
    by_score = ()
    for k in tl.static_range(K):
        g = tl.zeros((V, R, G), DTYPE)
        if ROWS:
            g = c_s[k] * row_s[:, None, :] + c_t[k] * row_t[:, None, :]
        if COLUMNS:
            c = k * R + tl.arange(0, R)
            a_s, a_t, m_s, m_t = column_factors(col_s, col_t, mean_s, mean_t, c, C, ACTIVATION)
            d_s = (c_s[k] if ACTIVATION == "softmax" else p_s[k]) - m_s[None, :, None]
            d_t = (c_t[k] if ACTIVATION == "softmax" else p_t[k]) - m_t[None, :, None]
            g += d_s * a_s[None, :, None] + d_t * a_t[None, :, None]
        by_score = by_score + (g,)
    if ACTIVATION == "softmax":
        along = dot(p_s, by_score, K)[:, None, :]
    for k in tl.static_range(K):
        c = k * R + tl.arange(0, R)
        g = by_score[k]
        if ACTIVATION == "softmax":
            g = p_s[k] * (g - along)
        elif ACTIVATION == "sigmoid":
            g = p_s[k] * (1 - p_s[k]) * g
        if WEIGHTED:
            g *= w[:, None, :]
        where = grad + n * g_n + c.to(tl.int64)[None, :, None] * g_c + (p.to(tl.int64) * g_p)[:, None, :]
        # A position that does not count is written too: its gradient is 0.
        tl.store(where, g.to(grad.dtype.element_ty), (c < C)[None, :, None] & (p < positions)[:, None, :])


@triton.jit
def place(tile, weight, w_p, positions, G: tl.constexpr, V: tl.constexpr,
          SPREAD: tl.constexpr, WEIGHTED: tl.constexpr, DTYPE: tl.constexpr):
    """Positions of a tile, (V, G); which of them count; their weights."""
    group, step = tl.arange(0, G)[None, :], tl.arange(0, V)[:, None]
    # Threads lie along what is contiguous in memory. The positions of a group shall lie inside one thread: neighbours
    # where a thread loads several at a time, as far apart as the threads reach where it does not.
    p = tile * (G * V) + (step * G + group if SPREAD else group * V + step)
    live = p < positions
    w = tl.load(weight + p.to(tl.int64) * w_p, live, 0.0) if WEIGHTED else live.to(DTYPE)
    return p, live, w


@triton.jit
def scores(z, p, w, live, z_c, z_p, factor, C: tl.constexpr, R: tl.constexpr, K: tl.constexpr,
           TAIL: tl.constexpr, WEIGHTED: tl.constexpr, ACTIVATION: tl.constexpr, DTYPE: tl.constexpr):
    """Activated scores of a tile, in pieces; finite where nothing counts, whatever the logits there hold."""
    z += p.to(tl.int64) * z_p
    nothing = 0.0 if ACTIVATION == "none" else LOWEST
    x = ()
    for k in tl.static_range(K):
        c = (k * R + tl.arange(0, R))[None, :, None]
        where = z[:, None, :] + c.to(tl.int64) * z_c
        if (k + 1) * R > C:
            part = tl.load(where, (c < C) & live[:, None, :], nothing) if TAIL else tl.load(where, c < C, nothing)
        else:
            part = tl.load(where, live[:, None, :], nothing) if TAIL else tl.load(where)
        part = part.to(DTYPE)
        if WEIGHTED:  # not in the mask of the load, which has to allow for loading several positions at a time
            part = tl.where(w[:, None, :] != 0, part, nothing)
        x = x + (part,)
    y = ()
    if ACTIVATION == "softmax":
        top = x[0]
        for k in tl.static_range(1, K):
            top = tl.maximum(top, x[k])
        top = tl.max(top, 1)
        top = tl.where(top == LOWEST, 0.0, top)
        factor = factor * LOG2E
        shift = (-top * factor)[:, None, :]
        e = ()
        for k in tl.static_range(K):
            e = e + (tl.exp2(tl.fma(x[k], factor, shift)),)
        norm = over_classes(e, K)
        norm = (1 / tl.where(norm == 0, 1, norm))[:, None, :]
        for k in tl.static_range(K):
            y = y + (e[k] * norm,)
    elif ACTIVATION == "sigmoid":
        for k in tl.static_range(K):
            y = y + (1 / (1 + tl.exp2(x[k] * (-factor * LOG2E))),)
    else:
        for k in tl.static_range(K):
            y = y + (x[k] * factor,)
    return y


@triton.jit
def centre(y, C: tl.constexpr, R: tl.constexpr, K: tl.constexpr, ACTIVATION: tl.constexpr):
    """Scores less their mean over the classes; 0 for classes that do not exist."""
    if ACTIVATION != "softmax":
        mean = (over_classes(y, K) / C)[:, None, :]
    out = ()
    for k in tl.static_range(K):
        # A constant in a variable of its own would be of float32.
        d = y[k] - 1 / C if ACTIVATION == "softmax" else y[k] - mean
        if (k + 1) * R > C:
            d = tl.where((k * R + tl.arange(0, R) < C)[None, :, None], d, 0.0)
        out = out + (d,)
    return out


@triton.jit
def over_classes(x, K: tl.constexpr):
    """Sum over the classes: over the pieces first."""
    out = x[0]
    for k in tl.static_range(1, K):
        out += x[k]
    return tl.sum(out, 1)


@triton.jit
def dot(x, y, K: tl.constexpr):
    """Sum of the products over the classes."""
    out = x[0] * y[0]
    for k in tl.static_range(1, K):
        out += x[k] * y[k]
    return tl.sum(out, 1)


@triton.jit
def empty(R: tl.constexpr, K: tl.constexpr, G: tl.constexpr, DTYPE: tl.constexpr):
    """Moments of no positions."""
    zeros = ()
    for _ in tl.static_range(K):
        zeros = zeros + (tl.zeros((R, G), DTYPE),)
    return zeros, zeros, zeros, zeros, zeros


@triton.jit
def merge(x_s, x_t, w, count, mean_s, mean_t, var_s, var_t, cov, K: tl.constexpr, MASKED: tl.constexpr):
    """Moments with those of a tile added, group by group (Chan, Golub and LeVeque 1979).

    Only centred squares are added up, so nothing is lost to cancellation, however long the sum.
    """
    here = tl.sum(w, 0)
    both = count + here
    by_here = (1 / tl.where(here > 0, here, 1))[None, :]
    share = (here / tl.where(both > 0, both, 1))[None, :]
    joint = count[None, :] * share
    w = w[:, None, :]
    m_s, m_t, v_s, v_t, v_st = (), (), (), (), ()
    for k in tl.static_range(K):
        new_s = tl.sum(x_s[k] * w if MASKED else x_s[k], 0) * by_here
        new_t = tl.sum(x_t[k] * w if MASKED else x_t[k], 0) * by_here
        d_s, d_t = x_s[k] - new_s[None, :, :], x_t[k] - new_t[None, :, :]
        w_s, w_t = (d_s * w, d_t * w) if MASKED else (d_s, d_t)
        step_s, step_t = new_s - mean_s[k], new_t - mean_t[k]
        m_s = m_s + (mean_s[k] + step_s * share,)
        m_t = m_t + (mean_t[k] + step_t * share,)
        v_s = v_s + (var_s[k] + tl.sum(d_s * w_s, 0) + step_s * step_s * joint,)
        v_t = v_t + (var_t[k] + tl.sum(d_t * w_t, 0) + step_t * step_t * joint,)
        v_st = v_st + (cov[k] + tl.sum(d_t * w_s, 0) + step_s * step_t * joint,)
    return both, m_s, m_t, v_s, v_t, v_st


@triton.jit
def row_factors(ss, tt, st, mean_s, mean_t, by_row, guard_rel, C: tl.constexpr):
    """Derivative of a row's distance by its centred scores: factors of the student's and of the teacher's."""
    norm_s, norm_t = tl.sqrt(ss), tl.sqrt(tt)
    product = norm_s * norm_t + EPS
    by_product = 1 / product
    row_t = -by_row * by_product
    # Where the student is constant its centred scores are 0, and so is what this factor multiplies.
    row_s = -row_t * (st * by_product) * (norm_t / tl.where(norm_s > 0, norm_s, 1))
    flat = ss <= guard_rel * guard_rel * (ss + C * mean_s * mean_s)
    flat = flat & (guard_rel > 0)
    # A teacher's spread that is rounding points nowhere: the distance is 1, whatever the student does.
    still: tl.constexpr = STILL * (2.220446049250313e-16 if ss.dtype == tl.float64 else 1.1920929e-07)
    flat = flat | (tt <= still * still * (tt + C * mean_t * mean_t))
    return tl.where(flat, 0.0, row_s), tl.where(flat, 0.0, row_t)


@triton.jit
def column_factors(col_s, col_t, mean_s, mean_t, c, C: tl.constexpr, ACTIVATION: tl.constexpr):
    """What the second pass needs of some classes."""
    exists = c < C
    offset: tl.constexpr = 1 / C if ACTIVATION == "softmax" else 0.0
    a_s, a_t = tl.load(col_s + c, exists, 0.0), tl.load(col_t + c, exists, 0.0)
    return a_s, a_t, tl.load(mean_s + c, exists, 0.0) - offset, tl.load(mean_t + c, exists, 0.0) - offset
# fmt: on

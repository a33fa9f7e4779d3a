"""DIST written out in plain Python and float64, as its definition reads. Slow, and independent of mmdist."""

from __future__ import annotations

import math


def correlation(u: list[float], v: list[float], w: list[float] | None = None, eps: float = 1e-8) -> float:
    """Weighted Pearson correlation, eps added to the product of the norms."""
    w = w or [1.0] * len(u)
    total = math.fsum(w)
    mean_u = math.fsum(a * b for a, b in zip(w, u, strict=True)) / total
    mean_v = math.fsum(a * b for a, b in zip(w, v, strict=True)) / total
    dot = math.fsum(a * (b - mean_u) * (c - mean_v) for a, b, c in zip(w, u, v, strict=True))
    norm_u = math.sqrt(math.fsum(a * (b - mean_u) ** 2 for a, b in zip(w, u, strict=True)))
    norm_v = math.sqrt(math.fsum(a * (b - mean_v) ** 2 for a, b in zip(w, v, strict=True)))
    return dot / (norm_u * norm_v + eps)


def activate(row: list[float], tau: float, activation: str) -> list[float]:
    """Softmax, sigmoid or nothing, of one row of logits."""
    scaled = [z / tau for z in row]
    if activation == "none":
        return scaled
    if activation == "sigmoid":
        return [1 / (1 + math.exp(-z)) for z in scaled]
    top = max(scaled)
    exps = [math.exp(z - top) for z in scaled]
    total = math.fsum(exps)
    return [e / total for e in exps]


def dist(
    rows_s: list[list[float]],
    rows_t: list[list[float]],
    beta: float = 1.0,
    gamma: float = 1.0,
    tau: float = 1.0,
    activation: str = "softmax",
    weights: list[float] | None = None,
) -> float:
    """tau^2 (beta inter + gamma intra) over rows of logits; rows of weight 0 are left out."""
    weights = weights or [1.0] * len(rows_s)
    kept = [i for i, w in enumerate(weights) if w > 0]
    w = [weights[i] for i in kept]
    y_s = [activate(rows_s[i], tau, activation) for i in kept]
    y_t = [activate(rows_t[i], tau, activation) for i in kept]
    rows = [1 - correlation(a, b) for a, b in zip(y_s, y_t, strict=True)]
    inter = math.fsum(a * b for a, b in zip(w, rows, strict=True)) / math.fsum(w)
    columns = [1 - correlation([row[j] for row in y_s], [row[j] for row in y_t], w) for j in range(len(y_s[0]))]
    intra = math.fsum(columns) / len(columns)
    return tau**2 * (beta * inter + gamma * intra)

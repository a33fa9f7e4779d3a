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


def channel_relation(rows_s: list[list[float]], rows_t: list[list[float]]) -> float:
    """DIST+ L_cr over rows of channels, one a position."""
    distances = [1 - correlation(u, v) for u, v in zip(rows_s, rows_t, strict=True)]
    return math.fsum(distances) / len(distances)


def acclimation(rows_t: list[list[float]], rows_s: list[list[float]], target: list[int], tau: float = 1.0) -> float:
    """DIST+ L_ta over rows of logits: probabilities without the target's, correlated row by row."""
    distances = []
    for z_t, z_s, y in zip(rows_t, rows_s, target, strict=True):
        others = [[p for c, p in enumerate(activate(z, tau, "softmax")) if c != y] for z in (z_t, z_s)]
        distances.append(1 - correlation(*others))
    return math.fsum(distances) / len(distances)

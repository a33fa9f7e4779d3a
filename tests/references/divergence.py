"""KD, DKD, NKD and DCKD written out in plain Python, one value a sample. Slow, and independent of mmdist.

Decimal numbers with 100 digits: the formulas can stand as they are defined, with probabilities and 1 - p, where float64
would lose everything.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, localcontext

DIGITS = 100
Row = Sequence[float]


def softmax(row: Sequence[Decimal]) -> list[Decimal]:
    """exp(z) / sum of exp(z)."""
    top = max(row)
    exps = [(z - top).exp() for z in row]
    return [e / sum(exps) for e in exps]


def scaled(row: Row, tau: float) -> list[Decimal]:
    """z / tau."""
    return [Decimal(z) / Decimal(tau) for z in row]


def kl(p: Sequence[Decimal], q: Sequence[Decimal]) -> Decimal:
    """KL(p || q)."""
    return sum((a * (a.ln() - b.ln()) for a, b in zip(p, q, strict=True)), Decimal(0))


def without(row: Sequence[Decimal], y: int) -> list[Decimal]:
    """The other classes."""
    return [z for c, z in enumerate(row) if c != y]


def kd(s: Row, t: Row, tau: float = 1.0, activation: str = "softmax") -> float:
    """tau^2 KL(p_t || p_s)."""
    with localcontext(prec=DIGITS):
        z_s, z_t = scaled(s, tau), scaled(t, tau)
        if activation == "softmax":
            value = kl(softmax(z_t), softmax(z_s))
        else:
            value = Decimal(0)
            for a, b in zip(z_t, z_s, strict=True):
                p, q = 1 / (1 + (-a).exp()), 1 / (1 + (-b).exp())
                value += kl([p, 1 - p], [q, 1 - q])
        return float(Decimal(tau) ** 2 * value)


def dkd(s: Row, t: Row, y: int, alpha: float = 1.0, beta: float = 8.0, tau: float = 4.0) -> float:
    """tau^2 (alpha KL(b_t || b_s) + beta KL(q_t || q_s))."""
    with localcontext(prec=DIGITS):
        z_s, z_t = scaled(s, tau), scaled(t, tau)
        p_s, p_t = softmax(z_s)[y], softmax(z_t)[y]
        of_target = kl([p_t, 1 - p_t], [p_s, 1 - p_s])
        of_others = kl(softmax(without(z_t, y)), softmax(without(z_s, y)))
        return float(Decimal(tau) ** 2 * (Decimal(alpha) * of_target + Decimal(beta) * of_others))


def nkd(s: Row, t: Row, y: int, gamma: float = 1.5, tau: float = 1.0, legacy_mask: bool = False) -> float:
    """-p_t(y) log p_s(y) - gamma tau^2 sum q_t log q_s."""
    with localcontext(prec=DIGITS):
        of_target = -softmax(scaled(t, 1))[y] * softmax(scaled(s, 1))[y].ln()
        z_s, z_t = scaled(s, tau), scaled(t, tau)
        if not legacy_mask:
            z_s, z_t = without(z_s, y), without(z_t, y)
        q_s, q_t = softmax(z_s), softmax(z_t)
        of_others = -sum((a * b.ln() for a, b in zip(q_t, q_s, strict=True)), Decimal(0))
        return float(of_target + Decimal(gamma) * Decimal(tau) ** 2 * of_others)


def dckd(
    s: Row,
    t: Row,
    y: int,
    alpha: float = 1.0,
    beta: float = 8.0,
    tau: float = 4.0,
    target_reference: str = "best",
    non_target: str = "wrong",
) -> float:
    """DKD with b of the better network, and with the non-target part where the student is wrong."""
    with localcontext(prec=DIGITS):
        p_s, p_t = (softmax(scaled(z, tau))[y] for z in (s, t))
    if target_reference == "best" and p_s >= p_t:
        alpha = 0.0
    right = max(range(len(s)), key=lambda c: s[c]) == y
    if non_target == "none" or (non_target == "wrong" and right):
        beta = 0.0
    return dkd(s, t, y, alpha, beta, tau)

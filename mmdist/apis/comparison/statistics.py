"""Paired differences, and whether they are more than noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

LEVEL = 0.95  # of the intervals
RATE = 0.05  # of false discoveries among a comparison's arms
POWER = 0.8
ROUNDING = 1e-12  # of values that were subtracted, in their size


@dataclass(frozen=True)
class Difference:
    """A paired difference to the plain student.

    Args:
        mean (float): Mean over the seeds, in points.
        low (float): Lower end of the interval.
        high (float): Upper end.
        p (float): Of a paired t-test.
        significant (bool): Whether it stays a discovery among all arms. Defaults to False.
    """

    mean: float
    low: float
    high: float
    p: float
    significant: bool = False

    def verdict(self, higher: bool = True) -> str:
        """``better``, ``worse`` or ``not beyond noise``; ``higher`` says whether more is better."""
        if not self.significant:
            return "not beyond noise"
        return "better" if (self.mean > 0) == higher else "worse"


def paired(values: Sequence[float], reference: Sequence[float]) -> Difference:
    """Mean of the differences, with the interval of a paired t-test.

    Args:
        values (Sequence[float]): (seeds,).
        reference (Sequence[float]): (seeds,) of the same seeds.

    Returns:
        Difference: Not yet set against the others.

    Raises:
        ValueError: Fewer than two pairs.

    Example:
        >>> paired([3.0, 5.0], [1.0, 2.0]).mean
        2.5
    """
    if len(values) != len(reference) or len(values) < 2:
        raise ValueError(f"expected at least two pairs, got {len(values)} and {len(reference)} values")
    differences = np.subtract(values, reference)
    mean = float(np.mean(differences))
    rounding = ROUNDING * float(np.max(np.abs([values, reference])))
    if abs(mean) <= rounding:
        mean = 0.0
    if np.ptp(differences) <= rounding:  # every difference is the same: the test divides by their spread
        return Difference(mean, mean, mean, 1.0 if mean == 0 else 0.0)
    found = stats.ttest_rel(values, reference)
    interval = found.confidence_interval(LEVEL)
    return Difference(mean, float(interval.low), float(interval.high), float(found.pvalue))


def discoveries(differences: Mapping[str, Difference]) -> dict[str, Difference]:
    """Mark the differences that stay when the false discovery rate over all of them is held at 5 %.

    Example:
        >>> alone = Difference(1.0, 0.1, 1.9, p=0.03)
        >>> discoveries({'a': alone})['a'].significant
        True
        >>> discoveries({'a': alone, 'b': replace(alone, p=0.9)})['a'].significant
        False
    """
    if not differences:
        return {}
    adjusted = stats.false_discovery_control([found.p for found in differences.values()])
    return {
        name: replace(found, significant=bool(value <= RATE))
        for (name, found), value in zip(differences.items(), adjusted, strict=True)
    }


def detectable(deviation: float, seeds: int) -> float:
    """The smallest true difference that so many seeds show in four of five comparisons.

    Of a paired, two-sided t-test at 5 %: the non-central t distribution has 80 % of its mass beyond the critical value.

    Args:
        deviation (float): Standard deviation of the paired differences.
        seeds (int): How many pairs; at least two.

    Returns:
        float: In the unit of ``deviation``.

    Example:
        >>> round(detectable(1.0, 5), 2)
        1.68
    """
    return deviation * _standardised(seeds)


def seeds_for(difference: float, deviation: float, most: int = 1000) -> int:
    """How many seeds it takes to show a difference in four of five comparisons.

    Args:
        difference (float): The true one.
        deviation (float): Standard deviation of the paired differences.
        most (int): Returned where even so many are not enough. Defaults to 1000.

    Example:
        >>> seeds_for(1.0, 1.0), seeds_for(2.0, 1.0)
        (10, 5)
    """
    low, high = 2, most
    while low < high:  # what so many seeds show falls with their number
        middle = (low + high) // 2
        if detectable(deviation, middle) <= abs(difference):
            high = middle
        else:
            low = middle + 1
    return low


def _standardised(seeds: int) -> float:
    from scipy.optimize import brentq

    if seeds < 2:
        raise ValueError(f"expected at least two seeds, got {seeds}")
    free = seeds - 1
    critical = stats.t.ppf(1 - (1 - LEVEL) / 2, free)

    def power(effect: float) -> float:
        return float(stats.nct.sf(critical, free, effect * np.sqrt(seeds))) - POWER

    return float(brentq(power, 1e-3, 1e3 / np.sqrt(seeds)))

"""Statistics against scipy, printed formulas and simulated comparisons."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from scipy import stats

from mmdist.apis.comparison.statistics import Difference, detectable, discoveries, paired, seeds_for


def power(effect: float, seeds: int, draws: int = 200_000) -> float:
    """The share of simulated comparisons in which a paired t-test at 5 % sees a difference of the right sign."""
    rng = np.random.default_rng(seeds)
    differences = rng.normal(effect, 1.0, size=(draws, seeds))
    t = differences.mean(axis=1) / (differences.std(axis=1, ddof=1) / math.sqrt(seeds))
    return float(np.mean(t > stats.t.ppf(0.975, seeds - 1)))


@pytest.mark.parametrize("seeds", [2, 3, 5, 8])
def test_a_paired_difference_is_a_one_sample_t_test_of_the_differences(seeds):
    rng = np.random.default_rng(seeds)
    values, reference = rng.normal(70, 2, seeds), rng.normal(69, 2, seeds)
    found = paired(values.tolist(), reference.tolist())
    test = stats.ttest_1samp(values - reference, 0.0)
    interval = test.confidence_interval(0.95)
    assert found.mean == pytest.approx(float(np.mean(values - reference)))
    assert (found.p, found.low, found.high) == pytest.approx((test.pvalue, interval.low, interval.high))
    assert not found.significant


def test_the_interval_is_that_of_the_printed_formula():
    differences = np.array([1.0, 2.0, 4.5])
    found = paired((10 + differences).tolist(), [10.0] * 3)
    half = 4.302653 * differences.std(ddof=1) / math.sqrt(3)  # Student's t with two degrees of freedom
    assert (found.low, found.high) == pytest.approx((differences.mean() - half, differences.mean() + half), rel=1e-6)


@pytest.mark.parametrize("values", [[1.0, 2.0, 3.0], [76.1, 75.4, 3.0]])
def test_equal_values_are_no_difference(values):
    assert paired(values, values) == Difference(0.0, 0.0, 0.0, 1.0)


def test_what_differs_by_rounding_alone_is_equal():
    assert paired([0.1 + 0.2, 0.3], [0.3, 0.1 + 0.2]) == Difference(0.0, 0.0, 0.0, 1.0)
    assert paired([0.1 + 0.2] * 2, [0.3] * 2) == Difference(0.0, 0.0, 0.0, 1.0)


@pytest.mark.parametrize("shift", [1.0, 0.3])  # 0.3 is not exact: the differences differ by rounding
def test_differences_that_are_all_the_same_leave_no_doubt_and_no_warning(shift):
    reference = [75.8, 75.1, 2.7]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = paired([value + shift for value in reference], reference)
    assert found.p < 1e-10
    assert (found.low, found.mean, found.high) == pytest.approx((shift, shift, shift))


@pytest.mark.parametrize(("values", "reference"), [([1.0], [2.0]), ([], []), ([1.0, 2.0], [1.0, 2.0, 3.0])])
def test_fewer_than_two_pairs_are_refused(values, reference):
    with pytest.raises(ValueError, match="two pairs"):
        paired(values, reference)


def test_discoveries_are_those_of_benjamini_and_hochberg():
    rng = np.random.default_rng(0)
    for _ in range(50):
        chances = np.concatenate([rng.uniform(0, 1, 5), rng.uniform(0, 0.03, 4)])
        rank = np.argsort(np.argsort(chances)) + 1
        below = chances <= rank / len(chances) * 0.05
        limit = chances[below].max(initial=0.0)
        found = discoveries({str(i): Difference(1.0, 0.0, 2.0, p) for i, p in enumerate(chances)})
        assert [found[str(i)].significant for i in range(9)] == [bool(p <= limit and below.any()) for p in chances]
    assert discoveries({}) == {}


@pytest.mark.parametrize(
    ("mean", "significant", "higher", "verdict"),
    [
        (1.0, True, True, "better"),
        (-1.0, True, True, "worse"),
        (-1.0, True, False, "better"),
        (1.0, True, False, "worse"),
        (9.0, False, True, "not beyond noise"),
    ],
)
def test_the_verdict_follows_the_direction_of_the_metric(mean, significant, higher, verdict):
    assert Difference(mean, 0.0, 0.0, 0.01, significant).verdict(higher) == verdict


@pytest.mark.parametrize("seeds", [2, 3, 5, 10, 30])
def test_a_detectable_difference_is_seen_in_four_of_five_simulated_comparisons(seeds):
    assert power(detectable(1.0, seeds), seeds) == pytest.approx(0.8, abs=0.005)


def test_a_detectable_difference_has_the_unit_of_the_deviation():
    assert detectable(2.5, 4) == pytest.approx(2.5 * detectable(1.0, 4))
    with pytest.raises(ValueError, match="two seeds"):
        detectable(1.0, 1)


@pytest.mark.parametrize("effect", [0.6, 1.0, 1.7, 4.0])
def test_as_many_seeds_as_are_said_are_enough_and_one_fewer_is_not(effect):
    seeds = seeds_for(effect, 1.0)
    assert power(effect, seeds) > 0.795
    assert seeds == 2 or power(effect, seeds - 1) < 0.8
    assert seeds_for(-effect, 1.0) == seeds


def test_seeds_have_an_upper_limit_and_no_spread_needs_two():
    assert seeds_for(0.0, 1.0) == seeds_for(1e-6, 1.0) == 1000
    assert seeds_for(0.0, 1.0, most=50) == 50
    assert seeds_for(1.0, 0.0) == 2

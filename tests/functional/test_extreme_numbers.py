"""Temperatures, weights and factors at the ends of float32: right as in float64, or refused by name; never NaN."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch
from helpers.every import assert_each
from references import dist as reference
from torch import Tensor

from mmdist import functional as F

GENERATOR = torch.Generator().manual_seed(0)
SHAPE = (2, 5, 3, 4)
STUDENT, TEACHER = torch.randn(2, *SHAPE, generator=GENERATOR)
TARGET = torch.randint(0, 5, (2, 3, 4), generator=GENERATOR)
WEIGHT = torch.rand(2, 3, 4, generator=GENERATOR) + 0.5
REGIONS = torch.randint(0, 5, (2, 12), generator=GENERATOR)
Loss = Callable[..., Tensor]


def sdd(base: str) -> Loss:
    return lambda s, t, **kw: F.sdd_loss(s.flatten(2), t.flatten(2), REGIONS, base=base, **kw)


LOSSES: dict[str, tuple[Loss, tuple[str, ...], bool]] = {  # the loss, its factors, whether it takes weights
    **{
        f"dist-{activation}": (
            lambda s, t, activation=activation, **kw: F.dist_loss(s, t, activation=activation, **kw),
            ("inter_weight", "intra_weight"),
            True,
        )
        for activation in ("softmax", "sigmoid", "none")
    },
    "channel relation": (F.channel_relation_loss, (), True),
    "acclimation": (lambda s, t, **kw: F.acclimation_loss(s, t, TARGET, **kw), (), False),
    "kd": (F.kd_loss, (), True),
    "kd-sigmoid": (lambda s, t, **kw: F.kd_loss(s, t, activation="sigmoid", **kw), (), True),
    "dkd": (lambda s, t, **kw: F.dkd_loss(s, t, TARGET, **kw), ("alpha", "beta"), True),
    "nkd": (lambda s, t, **kw: F.nkd_loss(s, t, TARGET, **kw), ("gamma",), True),
    "dckd": (lambda s, t, **kw: F.dckd_loss(s, t, TARGET, **kw), ("alpha", "beta"), True),
    **{f"sdd-{base}": (sdd(base), ("complementary_weight",), False) for base in ("kd", "dkd", "nkd", "dckd")},
}
WITH_TAU = [name for name in LOSSES if name != "channel relation"]
WITH_WEIGHT = [name for name, (_, _, weighted) in LOSSES.items() if weighted]
FACTORS = [(name, factor) for name, (_, factors, _) in LOSSES.items() for factor in factors]
ONE_FORM = [name for name in LOSSES if name.startswith(("kd", "dkd", "nkd", "dckd", "sdd"))]
NUMBERS = [1e-45, 1e-40, 1e-30, 1e-6, 1e-3, 1e3, 1e6, 1e12, 1e30, 3e38, 1e300]


def of(form: str, names: list[str]) -> list[str]:
    """The losses to try in a form: those that have one form alone are tried once."""
    return [name for name in names if form == "plain" or name not in ONE_FORM]


def outcome(name: str, dtype: torch.dtype = torch.float32, **arguments: Any) -> tuple[Tensor, Tensor]:
    student = STUDENT.detach().clone().to(dtype).requires_grad_()
    value = LOSSES[name][0](student, TEACHER.to(dtype), **arguments)
    value.sum().backward()
    return value.detach(), student.grad


def finite_or_refused(name: str, argument: str, number: Any, **arguments: Any) -> bool:
    """Whether it was computed; if not, the message names the argument."""
    try:
        value, gradient = outcome(name, **{argument: number}, **arguments)
    except ValueError as error:
        assert (argument in str(error) and "expected a number from" in str(error)) or "weight must be" in str(error)
        return False
    assert value.isfinite().all() and gradient.isfinite().all()
    return True


def test_any_temperature_is_computed_with_or_refused(form):
    def check(name):
        done = {tau: finite_or_refused(name, "tau", tau) for tau in NUMBERS}
        assert [tau for tau in NUMBERS if done[tau]] == [1e-6, 1e-3, 1e3, 1e6]

    assert_each(of(form, WITH_TAU), check)


def test_any_factor_is_computed_with_or_refused(form):
    def check(pair):
        done = {number: finite_or_refused(*pair, number) for number in [0.0, *NUMBERS]}
        assert [number for number in done if not done[number]] == [1e12, 1e30, 3e38, 1e300]

    assert_each([(name, factor) for name, factor in FACTORS if name in of(form, list(LOSSES))], check)


@pytest.mark.parametrize("factor", ["inter_weight", "intra_weight"])
def test_the_ends_of_all_ranges_go_together(factor, form):
    for tau in (1e-6, 1e6):
        for weight in (1e-45, 1e12):
            for guard_rel in (0.0, 1e-4):
                arguments = {factor: 1e8, "guard_rel": guard_rel, "weight": torch.full((2, 3, 4), weight)}
                for activation in ("softmax", "sigmoid", "none"):
                    assert finite_or_refused(f"dist-{activation}", "tau", tau, **arguments)


def test_a_mean_does_not_depend_on_the_size_of_the_weights(form):
    def check(case):
        name, size = case
        weight = WEIGHT * size
        expected = outcome(name, weight=weight / weight.max())
        torch.testing.assert_close(outcome(name, weight=weight), expected, rtol=1e-4, atol=1e-6)

    names = of(form, [name for name in WITH_WEIGHT if not name.startswith("dist")])
    assert_each(product(names, [1e-45, 1e-38, 1e-30, 1e-10, 1e10, 6e11]), check)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", "none"])
def test_dist_with_small_and_large_weights_is_the_formula(activation, form):
    def check(size):
        weight = WEIGHT * size
        rows = [z.double().movedim(1, -1).reshape(-1, 5).tolist() for z in (STUDENT, TEACHER)]
        expected = reference.dist(*rows, activation=activation, weights=weight.double().flatten().tolist())
        value, gradient = outcome(f"dist-{activation}", weight=weight)
        assert value.item() == pytest.approx(expected, rel=1e-5)
        exact = outcome(f"dist-{activation}", torch.float64, weight=weight.double())[1]
        torch.testing.assert_close(gradient.double(), exact, rtol=1e-3, atol=1e-6)

    assert_each([1e-45, 1e-38, 1e-12, 1e-8, 1e-4, 1e5, 6e11], check)


def test_a_weight_that_cannot_be_is_refused_with_its_value(form):
    def check(case):
        name, weight = case
        weights = torch.ones(2, 3, 4)
        weights[0, 1, 2] = weight
        wanted = r"weight must be finite and 0 or above, at most 1e\+12, .* got values from"
        with pytest.raises(ValueError, match=wanted):
            outcome(name, weight=weights)

    assert_each(product(of(form, WITH_WEIGHT), [1.1e12, 1e30, 3.4e38, torch.inf, torch.nan, -1e-40, -1.0]), check)


@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_sums_of_weighted_values_are_finite(reduction):
    def check(case):
        name, weight = case
        assert finite_or_refused(name, "tau", 4.0, weight=torch.full((2, 3, 4), weight), reduction=reduction)

    names = [name for name in WITH_WEIGHT if name != "channel relation" and "dist" not in name]
    assert_each(product(names, [1e-45, 1e-38, 1e12]), check)


@pytest.mark.parametrize("number", [1e-40, 1e30])
def test_the_losses_of_configs_refuse_what_the_functions_refuse(number):
    from mmdist.models.losses import DISTLoss, KDLoss

    with pytest.raises(ValueError, match=re.escape(f"DISTLoss.tau = {number!r}: expected a number from 1e-06")):
        DISTLoss(tau=number)
    if number > 1:
        with pytest.raises(ValueError, match=re.escape(f"KDLoss.loss_weight = {number!r}: expected a number from 0")):
            KDLoss(loss_weight=number)

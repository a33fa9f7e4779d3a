"""Findings follow from numbers."""

from __future__ import annotations

import math

import pytest
import torch

from mmdist.apis.diagnosis.findings import of_losses, of_student, of_time
from mmdist.apis.diagnosis.losses import Losses, LossRow
from mmdist.apis.diagnosis.measures import Measured
from mmdist.apis.diagnosis.steps import Steps
from mmdist.apis.diagnosis.teacher_findings import best_variant


def losses(value: float, norm: float, **options: float) -> Losses:
    rows = {"task": LossRow("task", [2.0, 2.0], [1.0, 1.0])}
    rows["distill.loss_kd"] = LossRow("distill.loss_kd", [value] * 2, [norm] * 2, **options)
    return Losses(rows, reached={"a"}, trainable=1, batches=2)


@pytest.mark.parametrize(
    ("value", "norm", "expected"),
    [
        (2.0, 1.0, []),
        (3.0, 100.0, []),  # a correlation at a random start
        (2000.0, 1000.0, [("loss-too-large", True)]),
        (40.0, 20.0, [("loss-too-large", False)]),
        (0.1, 1e-4, [("loss-too-small", False)]),
        (0.0, 0.0, [("loss-without-gradient", False)]),
        (math.nan, 1.0, [("loss-not-finite", True)]),
        (1.0, math.inf, [("loss-not-finite", True)]),
    ],
)
def test_a_loss_is_judged_by_size_and_gradient(value: float, norm: float, expected: list) -> None:
    assert [(finding.name, finding.serious) for finding in of_losses(losses(value, norm))] == expected


def test_the_weight_that_evens_the_gradients_out_is_told() -> None:
    found = next(of_losses(losses(5000.0, 1600.0, weight=8.0)))
    assert "loss_weight=0.005" in found.advice


def test_a_task_without_gradient_makes_no_loss_too_large() -> None:
    found = losses(2.0, 1.0)
    found.rows["task"].norms = [0.0, 0.0]
    assert found.ratio("distill.loss_kd") is None
    assert list(of_losses(found)) == []


def test_a_frozen_part_is_named_and_not_serious_and_a_frozen_student_is() -> None:
    moved = {"backbone.a": "its learning rate is 0", "head.a": "moved", "head.b": "no loss has a gradient for it"}
    found = list(of_student(Steps(fates=moved), "student"))
    assert [(finding.name, finding.serious) for finding in found] == [("frozen-part", False)]
    assert "backbone" in found[0].what
    moved["head.a"] = "its learning rate is 0"
    assert [(f.name, f.serious) for f in of_student(Steps(fates=moved), "student")] == [("frozen-student", True)]


def test_parameters_that_the_optimizer_does_not_have_are_named() -> None:
    moved = {"head.a": "moved", "head.b": "the optimizer does not have it"}
    found = list(of_student(Steps(fates=moved), "student"))
    assert [finding.name for finding in found] == ["not-optimized"] and "head.b" in found[0].what


@pytest.mark.parametrize(
    ("data", "workers", "slow"), [(0.1, 0, False), (2.0, 0, True), (2.0, 4, False), (8.0, 4, True)]
)
def test_data_is_slow_where_an_iteration_waits_for_it(data: float, workers: int, slow: bool) -> None:
    steps = Steps(seconds={"data": data, "teacher": 0.4, "backward and step": 0.6}, workers=workers)
    found = list(of_time(steps))
    assert [finding.name for finding in found] == ["data-bottleneck"] * slow


def detector(ap: float, score: float) -> Measured:
    return Measured("AP50", ap, 0.0, (torch.zeros(2, 2), torch.zeros(2, 2)), [score + 0.01 * i for i in range(16)])


@pytest.mark.parametrize(
    ("as_it_is", "reversed_", "found"),
    [
        (0.55, 0.62, True),  # a real teacher loses some points
        (0.02, 0.60, True),
        (0.02, 0.11, False),  # hardly trained, and lucky
        (0.60, 0.55, False),
        (0.60, 0.61, False),
    ],
)
def test_another_way_has_to_be_better_and_good(as_it_is: float, reversed_: float, found: bool) -> None:
    variants = {"channels reversed": detector(reversed_, reversed_)}
    expected = "channels reversed" if found else None
    assert best_variant(detector(as_it_is, as_it_is), variants, 16) == expected


def test_a_way_that_is_better_on_some_images_alone_is_none() -> None:
    one, other = detector(0.5, 0.5), detector(0.6, 0.5)
    other.scores = [score + (0.2 if index % 2 else -0.19) for index, score in enumerate(one.scores)]
    assert best_variant(one, {"channels reversed": other}, 16) is None

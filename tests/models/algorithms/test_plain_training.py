"""Distillation that weighs nothing is the task library's own training, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.task_runs import Start, differing, distilled, plain_run, student_state, train
from mmengine.config import Config
from mmengine.runner import Runner

SCOPES = ("mmseg", "mmdet", "mmpretrain")


def assert_same_training(cfg: Config, *hows: dict[str, Any]) -> list[Runner]:
    """All runs end with the weights, statistics and random numbers of the plain one, and its weights have moved."""
    start = Start()
    plain = student_state(train(cfg, start))
    numbers = torch.rand(3)
    assert all(value.isfinite().all() for value in plain.values())
    assert len(differing(plain, start.state)) > len(plain) // 2
    runs = []
    for how in hows:
        runs.append(train(distilled(cfg, **how)))
        assert torch.equal(torch.rand(3), numbers)
        assert not differing(student_state(runs[-1]), plain)
    return runs


@pytest.mark.parametrize("scope", SCOPES)
def test_twenty_iterations_at_weight_zero_are_those_of_plain_training(scope: str, tmp_path: Path) -> None:
    _, run = assert_same_training(plain_run(scope, tmp_path), dict(), dict(features=True))
    assert sum(p.numel() for p in run.model.distiller.connectors.parameters())


def test_a_distillation_that_weighs_something_is_another_training(tmp_path: Path) -> None:
    cfg = plain_run("mmseg", tmp_path, iters=2)
    assert differing(student_state(train(distilled(cfg, weight=1.0))), student_state(train(cfg)))


@pytest.mark.parametrize(
    "paramwise",
    [
        dict(norm_decay_mult=0.0),
        dict(norm_decay_mult=0.0, bias_decay_mult=0.0, flat_decay_mult=0.0),
        dict(custom_keys={"backbone": dict(lr_mult=0.1), ".pos_embed": dict(decay_mult=0.0)}),
    ],
    ids=["norm", "norm-bias-flat", "custom_keys"],
)
def test_rules_for_single_parameters_reach_the_student_as_in_plain_training(
    paramwise: dict[str, Any], tmp_path: Path
) -> None:
    optimizer = dict(type="AdamW", lr=1e-3, weight_decay=0.3)
    cfg = plain_run("mmpretrain", tmp_path, optim_wrapper=dict(optimizer=optimizer, paramwise_cfg=paramwise))
    assert_same_training(cfg, dict(features=True))


def test_clipped_gradients_are_those_of_plain_training(tmp_path: Path) -> None:
    optimizer = dict(type="SGD", lr=0.01, momentum=0.9)
    wrapper = dict(optimizer=optimizer, clip_grad=dict(max_norm=0.01))
    assert_same_training(plain_run("mmpretrain", tmp_path, optim_wrapper=wrapper), dict(features=True))


def test_layerwise_learning_rates_are_those_of_plain_training(tmp_path: Path) -> None:
    wrapper = dict(
        optimizer=dict(type="AdamW", lr=1e-3, weight_decay=0.05),
        constructor="mmpretrain.LearningRateDecayOptimWrapperConstructor",
        paramwise_cfg=dict(layer_decay_rate=0.5),
    )
    assert_same_training(plain_run("mmpretrain", tmp_path, optim_wrapper=wrapper), dict(features=True))

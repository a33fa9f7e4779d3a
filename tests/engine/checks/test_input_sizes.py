"""Classifiers of one input size are found before the first iteration, with both sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers.fixed_sizes import fixed
from helpers.task_runs import distilled, plain_run, train
from mmengine.config import Config

from mmdist.engine.hooks.run_checks import RunCheckHook
from mmdist.errors import ConfigError


def run(folder: Path, **changes: Any) -> Config:
    """A student on images of 16x16."""
    return plain_run("mmpretrain", folder, iters=1, **changes)


@pytest.mark.parametrize("name", ["TinyViT", "MlpMixer", "BEiT", "TNT"])
def test_a_teacher_of_another_size_is_refused_with_both_and_then_takes_its_own(name: str, tmp_path: Path) -> None:
    teacher, size = fixed(name)
    cfg = distilled(run(tmp_path), weight=1.0)
    cfg.model.teacher = teacher
    wanted = rf"model\.teacher_input_size = None: expected \[{size[0]}, {size[1]}\].*gives 16x16"
    with pytest.raises(ConfigError, match=wanted):
        train(cfg, RunCheckHook())
    cfg.model.teacher_input_size = size
    assert train(cfg, RunCheckHook()).iter == 1


@pytest.mark.parametrize("distils", [False, True], ids=["plain", "distilled"])
def test_a_student_of_another_size_than_its_pipeline_makes_is_refused_with_both(distils: bool, tmp_path: Path) -> None:
    cfg = run(tmp_path)
    cfg.model = fixed("MlpMixer")[0]
    cfg = distilled(cfg) if distils else cfg
    key = r"model\.architecture\.backbone" if distils else r"model\.backbone"
    with pytest.raises(ConfigError, match=f"{key}.*48x48.*gives 16x16"):
        train(cfg, RunCheckHook())


def test_what_fails_for_another_reason_is_left_to_the_run(tmp_path: Path) -> None:
    cfg = run(tmp_path)
    cfg.model.head.in_channels = 5
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        train(cfg, RunCheckHook())

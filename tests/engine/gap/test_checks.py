"""Mistakes are answered before anything is built, with the key, the value and what is allowed."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.tiny_run import write_run

from mmdist.engine.gap import checks
from mmdist.engine.gap.checks import GapOptions, prepare
from mmdist.errors import CheckpointError, ConfigError, MissingPackageError, MMDistError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_run(tmp_path)
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {"architecture.head.fc.weight": torch.zeros(2, 32)}}, tmp_path / "student.pth")
    torch.save({"state_dict": {"head.fc.weight": torch.zeros(2, 32)}}, tmp_path / "teacher.pth")
    return tmp_path


ASKED = GapOptions("distill.py", "student.pth", teacher="teacher.pth")


def test_what_is_in_order_is_not_refused(folder: Path) -> None:
    cfg, content = prepare(ASKED)
    assert cfg.model.teacher_ckpt == "teacher.pth"
    assert "architecture.head.fc.weight" in content["state_dict"]
    assert sorted(path.name for path in folder.iterdir()) == [
        "data",
        "distill.py",
        "plain.py",
        "student.pth",
        "teacher.pth",
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (dict(config="plain.py"), r"model\.type = 'ImageClassifier': expected 'mmdist.SingleTeacherDistill'"),
        (dict(config="distil.py"), r"config = 'distil\.py': .*did you mean 'distill\.py'"),
        (
            dict(teacher=None, options={"model.random_teacher": False}),
            r"model\.teacher_ckpt = None: .*--teacher-ckpt CKPT",
        ),
        (
            dict(teacher=None, options={"model.random_teacher": False, "model.teacher_trainable": True}),
            r"model\.teacher_ckpt = None: .*--teacher-ckpt CKPT",
        ),
        (dict(split="tain"), r"--split = 'tain': did you mean 'train'"),
        (dict(batches=0), r"--batches = 0: expected a number above 0"),
        (dict(gradient_batches=-1), r"--gradient-batches = -1"),
        (dict(score_threshold=1.5), r"--score-thr = 1\.5"),
        (dict(boundary=0), r"--boundary = 0"),
        (dict(out="plain.py/gap"), r"--out = 'plain\.py/gap': expected a folder; 'plain\.py' is a file"),
        (dict(options={"val_dataloader": None}), r"val_dataloader = None: expected a dataloader"),
        (dict(options={"train_dataloader": None}), r"train_dataloader = None: .*--gradient-batches 0"),
        (
            dict(options={"model.type": "mmrazor.SingleTeacherDistill"}),
            r"model\.type = 'mmrazor.*write the prefix `mmd",
        ),
        (
            dict(options={"model.distiller.distill_losses.loss_dist.type": "mmdist.DISTLos"}),
            r"loss_dist\.type = 'mmdist\.DISTLos'.*did you mean 'mmdist\.DISTLoss'",
        ),
    ],
)
def test_a_mistake_is_answered_with_its_key(folder: Path, change: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        prepare(dataclasses.replace(ASKED, **change))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (dict(checkpoint="studnt.pth"), r"CKPT = 'studnt\.pth': .*does not exist.*student\.pth"),
        (dict(checkpoint="student.safetensors"), r"CKPT = 'student\.safetensors': .*does not exist.*student\.pth"),
        (dict(checkpoint="https://host/a.pth"), r"expected a file of this machine"),
        (dict(teacher="teacher.pt"), r"model\.teacher_ckpt = 'teacher\.pt'"),
    ],
)
def test_weights_that_are_not_there_name_the_nearest(folder: Path, change: dict[str, Any], said: str) -> None:
    pytest.importorskip("safetensors")
    with pytest.raises(CheckpointError, match=said):
        prepare(dataclasses.replace(ASKED, **change))


def test_missing_data_is_named(folder: Path) -> None:
    options = {"val_dataloader.dataset.data_root": "gone"}
    with pytest.raises(MMDistError, match=r"val_dataloader\.dataset\.data_root: 'gone' does not exist"):
        prepare(dataclasses.replace(ASKED, options=options))


def test_a_config_without_training_data_will_do_without_gradients(folder: Path) -> None:
    cfg, _ = prepare(dataclasses.replace(ASKED, gradient_batches=0, options={"train_dataloader": None}))
    assert cfg.train_dataloader is None


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "find_spec", lambda name: None if name == "torchmetrics" else object())
    with pytest.raises(MissingPackageError, match=r"torchmetrics missing.*pip install mmdist\[analysis\]"):
        prepare(ASKED)

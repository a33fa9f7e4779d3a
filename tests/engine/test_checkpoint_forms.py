"""A run never starts from weights of which it could load nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.run_content import run_content
from helpers.tiny_run import write_run
from mmengine.config import Config

from mmdist.cli import train
from mmdist.engine.preflight.checkpoints import check_checkpoints
from mmdist.errors import CheckpointError

PLAIN = {"backbone.conv1.weight": torch.zeros(1), "head.fc.bias": torch.zeros(1)}
DISTILLED = {f"architecture.{name}": value for name, value in PLAIN.items()}


def start_from(cfg: Config, weights: dict[str, Any], *, resume: bool = False, run: bool = True) -> None:
    """Check a run that starts from a checkpoint beside its config."""
    path = Path(cfg.filename).with_name("start.pth")
    torch.save(run_content(weights) if run else {"state_dict": weights}, path)
    cfg.load_from, cfg.resume = str(path), resume
    check_checkpoints(cfg)


@pytest.mark.parametrize("wrapped", ["", "module."])
@pytest.mark.parametrize("resume", [False, True])
def test_weights_of_the_configs_own_form_are_taken(plain: Config, distill: Config, resume: bool, wrapped: str) -> None:
    start_from(plain, {f"{wrapped}{name}": value for name, value in PLAIN.items()}, resume=resume)
    start_from(distill, {f"{wrapped}{name}": value for name, value in DISTILLED.items()}, resume=resume)


@pytest.mark.parametrize("run", [False, True])
def test_a_plain_checkpoint_starts_a_student_by_its_own_option(distill: Config, run: bool) -> None:
    with pytest.raises(CheckpointError, match=r"load_from = '.*' is of a plain model.*--student-ckpt \S+start\.pth "):
        start_from(distill, PLAIN, run=run)


@pytest.mark.parametrize("run", [False, True])
def test_a_plain_run_is_not_resumed_as_a_distillation(distill: Config, run: bool) -> None:
    message = r"--resume: '.*' is of a plain model.*cannot be resumed as a distillation.*--student-ckpt \S+start\.pth"
    with pytest.raises(CheckpointError, match=message) as caught:
        start_from(distill, PLAIN, resume=True, run=run)
    assert "load_from" not in str(caught.value)


@pytest.mark.parametrize("run", [False, True])
def test_a_distillers_checkpoint_is_exported_before_it_starts_a_plain_model(plain: Config, run: bool) -> None:
    with pytest.raises(CheckpointError, match=r"load_from = '.*' is of a distiller.*mmdist export \S+start\.pth OUT"):
        start_from(plain, DISTILLED, run=run)


@pytest.mark.parametrize("run", [False, True])
def test_a_distillation_is_not_resumed_as_a_plain_run(plain: Config, run: bool) -> None:
    message = r"--resume: '.*' is of a distiller.*resume with the config of the distillation.*mmdist export \S+ OUT"
    with pytest.raises(CheckpointError, match=message):
        start_from(plain, DISTILLED, resume=True, run=run)


def test_the_latest_checkpoint_of_a_work_dir_is_looked_at_too(distill: Config, tmp_path: Path) -> None:
    torch.save(run_content(PLAIN), tmp_path / "epoch_1.pth")
    (tmp_path / "last_checkpoint").write_text(str(tmp_path / "epoch_1.pth"))
    distill.work_dir, distill.resume = str(tmp_path), True
    with pytest.raises(CheckpointError, match=r"--resume: '.*epoch_1\.pth' is of a plain model"):
        check_checkpoints(distill)


def test_parts_of_a_distiller_are_weights_to_start_from(distill: Config) -> None:
    start_from(distill, {"distiller.connectors.align.weight": torch.zeros(1)})
    with pytest.raises(CheckpointError, match="is of a plain model"):  # the teacher is no part of mmdist's
        start_from(distill, {"teacher.head.fc.bias": torch.zeros(1)})
    distill.model.type = "mmrazor.SingleTeacherDistill"
    start_from(distill, {"teacher.head.fc.bias": torch.zeros(1)})


def test_an_algorithm_without_a_teacher_has_an_architecture_of_its_own(plain: Config) -> None:
    plain.model = dict(type="mmrazor.SelfDistill", architecture=plain.model, distiller={})
    start_from(plain, DISTILLED)


@pytest.mark.parametrize("option", ["--resume", "load_from"])
@pytest.mark.parametrize("config", ["plain.py", "distill.py"])
def test_a_run_from_the_other_form_ends_with_exit_code_2(
    config: str, option: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOCAL_RANK", "0")
    write_run(tmp_path)
    weights = PLAIN if config == "distill.py" else DISTILLED
    torch.save({"state_dict": weights, "meta": {}, "message_hub": {}}, "other.pth")
    args = ["--resume", "other.pth"] if option == "--resume" else ["--cfg-options", "load_from=other.pth"]
    assert train.main([config, *args]) == 2
    assert "'other.pth' is of a" in capfd.readouterr().err
    assert not (tmp_path / "work_dirs").exists()

"""A bare --resume passes over what is damaged."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers.run_content import run_content
from helpers.tiny_run import write_run
from mmengine.config import Config

from mmdist.cli import train
from mmdist.engine.hooks import fallback
from mmdist.engine.hooks.fallback import fall_back, older_checkpoints


def content(step: int) -> dict:
    return run_content({"weight": torch.full((5000,), float(step))}, step)


@pytest.fixture
def run(tmp_path: Path) -> Config:
    for step in (1, 2, 3):
        path = tmp_path / f"iter_{step}.pth"
        torch.save(content(step), path)
        os.utime(path, (step, step))
    (tmp_path / "last_checkpoint").write_text(str(tmp_path / "iter_3.pth"))
    return Config(dict(work_dir=str(tmp_path), resume=True, load_from=None))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def blot(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2 : len(whole) // 2 + 512] = bytes(512)
    path.write_bytes(whole)


def replace(path: Path) -> None:
    path.write_text("<html>not found</html>")


@pytest.mark.parametrize("damage", [cut, empty, blot, replace])
def test_a_damaged_newest_checkpoint_is_named_and_the_one_before_taken(
    run: Config, damage: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[tuple[str, int]] = []
    monkeypatch.setattr(fallback, "print_log", lambda text, logger, level: said.append((text, level)))
    damage(tmp_path / "iter_3.pth")
    assert fall_back(run) == tmp_path / "iter_2.pth"
    assert (run.load_from, run.resume) == (str(tmp_path / "iter_2.pth"), True)
    ((text, level),) = said
    assert level == logging.WARNING
    assert str(tmp_path / "iter_3.pth") in text and f"Resuming from {tmp_path / 'iter_2.pth'}" in text


def test_a_whole_newest_checkpoint_is_left_to_mmengine(run: Config) -> None:
    assert fall_back(run) is None
    assert run.load_from is None


def test_several_damaged_ones_are_passed_over(run: Config, tmp_path: Path) -> None:
    cut(tmp_path / "iter_3.pth")
    empty(tmp_path / "iter_2.pth")
    assert fall_back(run) == tmp_path / "iter_1.pth"


def test_best_and_published_files_are_not_resumed(run: Config, tmp_path: Path) -> None:
    cut(tmp_path / "iter_3.pth")
    torch.save(content(3), tmp_path / "best_mIoU_iter_3.pth")
    torch.save({"state_dict": {}}, tmp_path / "iter_3-0a1b2c3d.pth")
    assert older_checkpoints(tmp_path / "iter_3.pth", tmp_path)[0].name == "iter_3-0a1b2c3d.pth"
    assert fall_back(run) == tmp_path / "iter_2.pth"


def test_checkpoints_in_a_folder_of_their_own_are_found(run: Config, tmp_path: Path) -> None:
    run.work_dir = str(tmp_path / "work" / tmp_path.name)
    run.default_hooks = dict(checkpoint=dict(type="CheckpointHook", out_dir=str(tmp_path.parent)))
    Path(run.work_dir).mkdir(parents=True)
    (tmp_path / "last_checkpoint").rename(Path(run.work_dir, "last_checkpoint"))
    cut(tmp_path / "iter_3.pth")
    assert fall_back(run) == tmp_path / "iter_2.pth"


def test_without_one_that_can_be_loaded_nothing_is_chosen(run: Config, tmp_path: Path) -> None:
    for step in (1, 2, 3):
        cut(tmp_path / f"iter_{step}.pth")
    assert fall_back(run) is None


def test_the_command_goes_on_from_the_one_before_and_refuses_a_damaged_one_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path, epochs=2)
    args = ["plain.py", "--work-dir", "run", "--no-validate"]
    assert train.main(args) == 0
    cut(tmp_path / "run" / "epoch_2.pth")
    assert train.main([*args, "--resume", "run/epoch_2.pth"]) == 2
    assert "run/epoch_2.pth is cut short or damaged" in capfd.readouterr().err
    assert train.main([*args, "--resume"]) == 0
    assert torch.load(tmp_path / "run" / "epoch_2.pth", weights_only=False)["meta"]["iter"] == 8
    for epoch in (1, 2):
        cut(tmp_path / "run" / f"epoch_{epoch}.pth")
    capfd.readouterr()
    assert train.main([*args, "--resume"]) == 2
    assert "epoch_2.pth is cut short or damaged" in capfd.readouterr().err

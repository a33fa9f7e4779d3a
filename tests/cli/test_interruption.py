"""Ctrl-C in a training: the hint goes on when it is typed as printed, and is left out where nothing can go on."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.tiny_run import ROOT, environment, write_run

from mmdist.cli import train
from mmdist.engine.config import load_config

# It waits in the second epoch, or in the first one.
HOOK = """
import os, time
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

@HOOKS.register_module()
class Waiting(Hook):
    def before_train_epoch(self, runner):
        if runner.epoch == int(os.environ.get('WAIT_IN', '-1')):
            open(os.path.join(os.getcwd(), 'waiting'), 'w').close()
            time.sleep(120)
"""


def interrupted(folder: Path, *arguments: str, wait_in: int) -> list[str]:
    """The lines of stderr of a training that was interrupted in an epoch."""
    (folder / "waiting").unlink(missing_ok=True)
    env = environment(WAIT_IN=str(wait_in), PYTHONPATH=f"{ROOT}:{folder}")
    command = [sys.executable, str(ROOT / "tools" / "train.py"), "my run.py", *arguments]
    process = subprocess.Popen(
        command, cwd=folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    while process.poll() is None and not (folder / "waiting").exists():
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    return error.splitlines()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    config = write_run(tmp_path, epochs=2)
    hooks = "\ncustom_imports = dict(imports=['waiting_hook'])\ncustom_hooks = [dict(type='mmengine.Waiting')]\n"
    (tmp_path / "my run.py").write_text(config.read_text() + hooks)
    (tmp_path / "waiting_hook.py").write_text(HOOK)
    return tmp_path


def test_ctrl_c_in_a_training_names_the_command_that_goes_on(folder: Path) -> None:
    hint = interrupted(folder, "--no-validate", wait_in=1)[-1]
    assert hint.startswith("interrupted; go on with: ")
    env = environment(PYTHONPATH=f"{ROOT}:{folder}", PATH="/usr/bin:/bin")
    command = hint.partition("go on with: ")[2]
    done = subprocess.run(command, shell=True, cwd=folder, env=env, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert "resumed epoch: 1, iter: 4" in done.stdout and (folder / "work_dirs" / "my run" / "epoch_2.pth").is_file()


def test_ctrl_c_before_the_first_checkpoint_promises_nothing(folder: Path) -> None:
    (folder / "work_dirs" / "my run").mkdir(parents=True)
    old = folder / "work_dirs" / "my run" / "epoch_1.pth"  # of another run, which this one does not go on from
    old.touch()
    old.with_name("last_checkpoint").write_text(str(old))
    error = interrupted(folder, wait_in=0)[-1]
    assert error.startswith("interrupted; ") and "--resume" not in error and "go on with" not in error


def told(cfg_options: dict, before: object, command: list[str], work_dir: Path) -> str:
    cfg = load_config(str(work_dir / "plain.py"))
    cfg.merge_from_dict({"work_dir": str(work_dir), "launcher": "none", **cfg_options})
    return train._after_interruption(cfg, before, command)


def test_a_resumed_run_that_saved_nothing_new_starts_from_where_it_had(tmp_path: Path) -> None:
    write_run(tmp_path)
    command = ["python", "train.py", "a.py", "--resume", "my file.pth"]
    resumed = {"resume": True, "load_from": "my file.pth"}
    assert told(resumed, None, command, tmp_path).endswith("with: python train.py a.py --resume 'my file.pth'")
    # --resume without a checkpoint began anew
    assert "train.py" not in told({"resume": True}, None, [*command[:3], "--resume"], tmp_path)
    saved = tmp_path / "epoch_1.pth"
    saved.touch()
    (tmp_path / "last_checkpoint").write_text(str(saved))
    assert told(resumed, None, command, tmp_path) == "go on with: python train.py a.py --resume"
    worker = ["python", "-u", "train.py", "a.py", "--launcher", "pytorch"]
    assert "train.py" not in told({"launcher": "pytorch"}, None, worker, tmp_path)
    saved.unlink()
    assert "train.py" not in told({}, None, command[:3], tmp_path)

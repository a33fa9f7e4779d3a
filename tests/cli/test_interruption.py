"""Ctrl-C in a training: the hint goes on when it is typed as printed, and is left out where nothing can go on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.tiny_run import ROOT, environment, write_run

from mmdist.cli import train
from mmdist.engine.config import load_config

# It waits in an epoch, or presses Ctrl-C itself.
HOOK = """
import os, signal, time
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

@HOOKS.register_module(force=True)
class Waiting(Hook):
    def before_train_epoch(self, runner):
        if runner.epoch == int(os.environ.get('WAIT_IN', '-1')):
            open(os.path.join(os.getcwd(), 'waiting'), 'w').close()
            time.sleep(120)
        if runner.epoch == int(os.environ.get('INTERRUPT_IN', '-1')):
            os.kill(os.getpid(), signal.SIGINT)
"""
# In place of all that Python runs: what it was started with, word by word.
WORDS = """
import json, os, sys
with open(os.environ['WORDS_TO'], 'w') as file:
    json.dump(sys.orig_argv, file)
os._exit(0)
"""


def interrupted(folder: Path, *arguments: str, wait_in: int) -> list[str]:
    """The lines of stderr of a training that was interrupted in an epoch."""
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


def typed(command: str, folder: Path) -> list[str]:
    """The words of a Python that a shell starts; nothing of what it would do is done."""
    (folder / "words").mkdir()
    (folder / "words" / "sitecustomize.py").write_text(WORDS)
    path = {"PYTHONPATH": str(folder / "words"), "PATH": "/usr/bin:/bin", "WORDS_TO": str(folder / "words.json")}
    done = subprocess.run(command, shell=True, cwd=folder, env=environment(**path), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "words.json").read_text())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of two epochs, in the current folder."""
    config = write_run(tmp_path, epochs=2)
    hooks = "\ncustom_imports = dict(imports=['waiting_hook'])\ncustom_hooks = [dict(type='mmengine.Waiting')]\n"
    (tmp_path / "my run.py").write_text(config.read_text() + hooks)
    (tmp_path / "waiting_hook.py").write_text(HOOK)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOCAL_RANK", "0")
    return tmp_path


def test_ctrl_c_in_a_training_names_the_command_that_goes_on(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    hint = interrupted(folder, "--no-validate", wait_in=1)[-1]
    assert hint.startswith("interrupted; go on with: ")
    program, script, *arguments = typed(hint.partition("go on with: ")[2], folder)
    assert Path(program).samefile(sys.executable) and Path(script).samefile(ROOT / "tools" / "train.py")
    assert train.main(arguments) == 0
    assert "resumed epoch: 1, iter: 4" in capfd.readouterr().out
    assert (folder / "work_dirs" / "my run" / "epoch_2.pth").is_file()


def test_ctrl_c_before_the_first_checkpoint_promises_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / "work_dirs" / "my run").mkdir(parents=True)
    old = folder / "work_dirs" / "my run" / "epoch_1.pth"  # of another run, which this one does not go on from
    old.touch()
    old.with_name("last_checkpoint").write_text(str(old))
    monkeypatch.setenv("INTERRUPT_IN", "0")
    assert train.main(["my run.py"]) == 130
    error = capfd.readouterr().err.splitlines()[-1]
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

"""``tools/train.py`` and ``tools/test.py`` as a user starts them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers.tiny_run import ROOT, environment, run_tool, write_run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_run(tmp_path)
    return tmp_path


def checkpoint(path: Path) -> dict:
    return torch.load(path, weights_only=False, map_location="cpu")


@pytest.mark.slow
def test_a_student_is_trained_and_resumed(folder: Path) -> None:
    done = run_tool("train.py", "distill.py", "--work-dir", "run", cwd=folder)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "distill.loss_dist" in done.stdout + done.stderr
    assert checkpoint(folder / "run" / "epoch_1.pth")["meta"]["epoch"] == 1
    done = run_tool(
        "train.py", "distill.py", "--work-dir", "run", "--resume", "--cfg-options", "train_cfg.max_epochs=2", cwd=folder
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert checkpoint(folder / "run" / "epoch_2.pth")["meta"]["iter"] == 8


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="two processes would need two GPUs")
def test_two_processes_train_a_config_for_gpus_on_the_cpu(folder: Path) -> None:
    write_run(folder, norm="SyncBN")
    done = run_tool("dist_train.sh", "distill.py", 2, "--work-dir", "run", cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    output = done.stdout + done.stderr
    assert "SyncBN cannot run on the CPU" in output
    state = checkpoint(folder / "run" / "epoch_1.pth")
    assert state["meta"]["iter"] == 2  # 8 images, 2 processes of 2
    assert "accuracy/top1" in output
    # the number of threads is said once, and mmengine changes nothing of it
    assert output.count("CPU threads: 1 (OMP_NUM_THREADS)") == 1
    assert "MKL_NUM_THREADS environment variable" not in output


@pytest.mark.skipif(torch.cuda.is_available(), reason="two processes would need two GPUs")
def test_a_mistake_in_many_processes_is_printed_once(folder: Path) -> None:
    done = run_tool("dist_train.sh", "distil.py", 2, cwd=folder)
    assert done.returncode != 0
    assert [line for line in done.stderr.splitlines() if line.startswith("error")] == [
        "error: config = 'distil.py': expected an existing config file; did you mean 'distill.py'?"
    ]
    assert sorted(entry.name for entry in folder.iterdir()) == ["data", "distill.py", "plain.py"]


@pytest.mark.parametrize("name", ["train.py", "test.py"])
def test_without_mmdist_one_line_says_what_to_do(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-E", str(ROOT / "tools" / name)],  # -S: no site-packages
        cwd=tmp_path,
        env={key: value for key, value in environment().items() if key != "PYTHONPATH"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "pip install" in done.stderr
    assert len(done.stderr.splitlines()) == 1

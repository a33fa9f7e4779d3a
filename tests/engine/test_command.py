"""Hints name a command that works: the user's own, or none."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.tiny_run import ROOT

from mmdist.engine import command
from mmdist.engine.command import AGAIN, how_to_go_on, mmdist_command, typed


def test_the_command_is_this_processs_where_it_ends_with_the_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    own = ["/env/bin/python", "-W", "ignore", "tools/train.py", "my config.py", "--amp"]
    monkeypatch.setattr(sys, "orig_argv", own)
    monkeypatch.setattr(sys, "argv", own[3:])
    assert typed(["my config.py", "--amp"], ["mmdist", "train"]) == own
    # Called from somebody's own program.
    assert typed(["other.py"], ["mmdist", "train"]) == ["mmdist", "train", "other.py"]
    assert typed([], ["demo"]) == ["demo"]
    monkeypatch.setattr(sys, "orig_argv", ["python", "demo.py"])
    monkeypatch.setattr(sys, "argv", ["demo.py"])
    assert typed([], ["demo"]) == ["python", "demo.py"]


def test_mmdist_is_called_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "bin" / "mmdist"
    script.parent.mkdir()
    script.touch(mode=0o755)
    monkeypatch.setattr(sys, "argv", [str(script), "new"])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert mmdist_command() == [str(script)]
    monkeypatch.setenv("PATH", str(script.parent))
    assert mmdist_command() == ["mmdist"]
    monkeypatch.setattr(sys, "argv", [str(ROOT / "mmdist" / "cli" / "main.py"), "new"])
    assert mmdist_command() == [sys.executable, "-m", "mmdist.cli.main"]


@pytest.mark.parametrize("launcher", ["pytorch", "slurm", "mpi"])
def test_no_command_is_made_up_for_a_process_that_a_launcher_started(
    launcher: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(AGAIN, raising=False)
    monkeypatch.setattr(sys, "orig_argv", ["python", "-u", "tools/train.py", "a.py", "--launcher", launcher])
    assert "tools/train.py" not in how_to_go_on(launcher) and "--resume" in how_to_go_on(launcher)
    monkeypatch.setenv(AGAIN, r"env PORT=29501 bash tools/dist_train.sh my\ config.py 2 --resume old.pth")
    expected = "go on with: env PORT=29501 bash tools/dist_train.sh 'my config.py' 2 --resume"
    assert how_to_go_on(launcher) == expected
    monkeypatch.setenv("GROUP_WORLD_SIZE", "2")  # the other machine's command is another one
    assert "bash" not in how_to_go_on(launcher)


def test_what_started_another_process_is_not_this_ones_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(AGAIN, "make demo")
    assert how_to_go_on("none", ["python", "train.py", "a.py"]) == "go on with: python train.py a.py --resume"
    assert AGAIN not in command.without_again({AGAIN: "make demo", "HOME": "/"})


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["mmdist", "train", "--", "a.py"], "mmdist train --resume -- a.py"),
        (["mmdist", "train", "--resume", "b.pth", "--amp", "--", "a.py"], "mmdist train --amp --resume -- a.py"),
        (["mmdist", "train", "--", "--resume"], "mmdist train --resume -- --resume"),
    ],
)
def test_an_option_goes_before_the_end_of_the_options(argv: list[str], expected: str) -> None:
    assert command.command_to_go_on(argv) == expected


TRAINER = """#!/usr/bin/env bash
[ "$1" = -c ] && exec "$REAL" "$@"
printf '%s\\n' "${MMDIST_AGAIN:-}" >> "$RECORD"
"""


@pytest.mark.parametrize("name", ["my config.py", "configs/é.py", "a\nb\tc.py", "it's.py", "''", "$a`b`\\"])
@pytest.mark.parametrize("script", ["dist_train.sh", "slurm_train.sh"])
def test_the_launch_scripts_say_what_was_typed_and_it_does_the_same_once_more(
    script: str, name: str, tmp_path: Path
) -> None:
    for program in ("srun", "python"):
        (tmp_path / program).write_text(TRAINER)
        (tmp_path / program).chmod(0o755)
    record = tmp_path / "record"
    env = {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "RECORD": str(record),
        "PORT": "29501",
        "SRUN_ARGS": "-x n1",
        "GPUS": "2",
        "REAL": sys.executable,
        "LC_ALL": "C",
        "OMP_NUM_THREADS": "3",
        "CUDA_VISIBLE_DEVICES": "",
        "MMDIST_CACHE": "/big disk",
    }
    before = ["part", "job"] if script.startswith("slurm") else []
    after = ["work dir"] if script.startswith("slurm") else ["2"]
    typed_words = ["bash", str(ROOT / "tools" / script), *before, name, *after, "--cfg-options", "a='b;c'"]
    subprocess.run(typed_words, env=env, cwd=tmp_path, check=True)
    again = record.read_text().removesuffix("\n")
    assert shlex.split(again)[-len(typed_words) :] == typed_words
    variables = {word for word in shlex.split(again)[1 : -len(typed_words)]}
    assert {"OMP_NUM_THREADS=3", "MMDIST_CACHE=/big disk"} <= variables
    assert script.startswith("slurm") or {"CUDA_VISIBLE_DEVICES=", "PORT=29501"} <= variables
    bare = {name: env[name] for name in ("PATH", "RECORD", "REAL", "LC_ALL")}
    subprocess.run(again, shell=True, env=bare, cwd=tmp_path, check=True)
    assert record.read_text() == f"{again}\n{again}\n" and again.startswith("env ")


def test_the_launch_node_needs_no_python(tmp_path: Path) -> None:
    for name in ("srun", "my python"):
        (tmp_path / name).write_text(TRAINER if name == "srun" else 'touch "$RECORD.run"\n')
        (tmp_path / name).chmod(0o755)
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin", "RECORD": str(tmp_path / "record"), "LC_ALL": "C"}
    env["PYTHON"] = str(tmp_path / "my python")
    words = ["bash", str(ROOT / "tools" / "slurm_train.sh"), "part", "job", "é.py", "work"]
    subprocess.run(words, env=env, check=True)
    assert shlex.split((tmp_path / "record").read_text()) == ["env", f"PYTHON={env['PYTHON']}", *words]
    assert not (tmp_path / "record.run").exists()


def test_a_batch_job_is_not_started_again_by_the_script_inside_it(tmp_path: Path) -> None:
    (tmp_path / "srun").write_text(TRAINER)
    (tmp_path / "srun").chmod(0o755)
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin", "RECORD": str(tmp_path / "record")}
    env |= {"ENVIRONMENT": "BATCH", "SLURM_JOB_ID": "1", AGAIN: "make demo"}
    script = str(ROOT / "tools" / "slurm_train.sh")
    subprocess.run(["bash", script, "part", "job", "a.py", "work"], env=env, check=True)
    assert (tmp_path / "record").read_text() == "\n"

"""tools/misc/slurm_cluster.py: what it says without slurm, and that nothing is left of a cluster."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.tiny_run import ROOT, environment


@pytest.fixture
def state() -> Iterator[Path]:
    """A folder's name, short enough for a socket in it."""
    with tempfile.TemporaryDirectory(prefix="slurm") as folder:
        os.chmod(folder, 0o755)  # munge wants its socket to be in reach of everybody
        yield Path(folder, "state")
        call("down", Path(folder, "state"))


def start(command: str, state: Path, *options: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(ROOT / "tools" / "misc" / "slurm_cluster.py"), command, "--state", str(state), *options],
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def call(command: str, state: Path, *options: str, **variables: str) -> tuple[int, str, str]:
    process = start(command, state, *options, **variables)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def processes(state: Path) -> list[str]:
    """Command lines of all processes that name the folder, but for a call of the tool itself."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if any(str(state) in word for word in words) and "--state" not in words:
            found.append(" ".join(words))
    return found


def stand_in(folder: Path, text: str) -> str:
    """A PATH with another slurmd in front."""
    (folder / "slurmd").write_text(f"#!/bin/sh\n{text}\n")
    (folder / "slurmd").chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def test_without_slurm_the_message_says_what_to_install(state: Path, tmp_path: Path) -> None:
    code, out, err = call("up", state, PATH=str(tmp_path))
    assert (code, out) == (69, "")
    assert "not installed: " in err and "sinfo" in err
    assert "apt-get install slurm-wlm munge" in err
    assert not state.exists()
    # What it says to type starts and knows its arguments; it is not let near a package manager here.
    again = err.strip().rpartition(", or ")[2]
    assert shlex.split(again)[-4:] == ["up", "--install", "--state", str(state)]
    assert subprocess.run(f"{again} --help", shell=True, capture_output=True).returncode == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may install")
def test_only_root_installs(state: Path, tmp_path: Path) -> None:
    code, _, err = call("up", state, "--install", PATH=str(tmp_path))
    assert code == 69
    assert "--install needs root" in err


def test_a_cluster_that_is_not_there_is_down_and_stays_so(state: Path) -> None:
    assert call("status", state)[::2] == (1, "slurm_cluster: down\n")
    assert call("down", state)[::2] == (0, "slurm_cluster: down\n")


def test_a_folder_with_other_files_is_left_alone(state: Path) -> None:
    state.mkdir()
    (state / "thesis.txt").write_text("mine")
    code, _, err = call("down", state)
    assert code == 1
    assert "other files" in err
    assert (state / "thesis.txt").read_text() == "mine"
    (state / "thesis.txt").unlink()


def link(state: Path) -> None:
    state.with_name("other").mkdir(mode=0o700)
    state.symlink_to(state.with_name("other"))


def link_to_nowhere(state: Path) -> None:
    state.symlink_to(state.with_name("gone"))


def make_a_file(state: Path) -> None:
    state.touch(0o600)


def make_for_another(state: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    state.mkdir(mode=0o700)
    os.chown(state, 12345, 12345)


def make_open(state: Path) -> None:
    state.mkdir()
    state.chmod(0o770)


@pytest.mark.parametrize("make", [link, link_to_nowhere, make_a_file, make_for_another, make_open])
@pytest.mark.parametrize("command", ["up", "status", "down"])
def test_a_folder_that_somebody_else_may_have_made_is_not_believed(state: Path, make, command: str) -> None:
    make(state)
    if state.is_dir():
        (state / "slurm.conf").write_text("ClusterName=evil\n")
        (state / "pids").write_text(f"{os.getpid()}\n")
    code, out, err = call(command, state)
    assert (code, out) == (1, "")
    assert err.startswith("slurm_cluster: error: --state ") and err.count("\n") == 1
    assert not state.is_dir() or {path.name for path in state.iterdir()} == {"slurm.conf", "pids"}
    if not state.is_symlink() and state.is_dir():
        shutil.rmtree(state)
    else:
        state.unlink()


def test_a_path_too_long_for_a_socket_is_refused(conf: str, state: Path) -> None:
    code, _, err = call("up", state.with_name("x" * 100))
    assert code == 1
    assert "too long" in err


def test_a_cluster_comes_and_goes(conf: str, state: Path) -> None:
    code, out, _ = call("up", state)
    assert (code, out) == (0, f"export SLURM_CONF={state}/slurm.conf\n")
    before = sorted(processes(state))
    assert len(before) == 4
    code, again, err = call("up", state)
    assert (code, again, err) == (0, out, "slurm_cluster: n1 idle, n2 idle\n")
    assert sorted(processes(state)) == before
    # A job that would outlive its cluster.
    mark = f"31{os.getpid()}"
    env = environment(SLURM_CONF=f"{state}/slurm.conf")
    subprocess.run(["sbatch", "--output=/dev/null", f"--wrap=srun sleep {mark}"], env=env, check=True)
    subprocess.run(["srun", "--nodes=2", "true"], env=env, check=True)
    assert call("down", state)[0] == 0
    assert not state.exists()
    assert not processes(state)
    assert subprocess.run(["pgrep", "-f", f"sleep {mark}"], capture_output=True).returncode == 1


def test_a_cluster_half_of_which_died_is_started_anew(conf: str, state: Path) -> None:
    assert call("up", state)[0] == 0
    os.kill(int((state / "pids").read_text().split()[-1]), signal.SIGKILL)
    assert call("status", state)[0] == 1
    assert call("up", state)[0] == 0
    assert len(processes(state)) == 4


def test_nothing_is_left_of_a_start_that_failed_and_its_log_is_shown(conf: str, state: Path, tmp_path: Path) -> None:
    code, out, err = call("up", state, PATH=stand_in(tmp_path, "echo no such processor; exit 1"))
    assert (code, out) == (1, "")
    assert "slurmd ended" in err and "no such processor" in err
    assert not state.exists()
    assert not processes(state)


def test_nothing_is_left_of_a_start_that_was_given_up(conf: str, state: Path, tmp_path: Path) -> None:
    process = start("up", state, PATH=stand_in(tmp_path, "while :; do sleep 0.1; done"))
    end = time.monotonic() + 30
    while len(processes(state)) < 4:
        assert time.monotonic() < end
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 130
    assert not state.exists()
    assert not processes(state)

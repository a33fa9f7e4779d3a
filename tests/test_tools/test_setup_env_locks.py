"""Set-ups that meet: in one checkout, after one was killed, and beside ``make clean``."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from environment import cache
from helpers.env_checkout import KEY, PROJECT, Checkout


def is_held(lock: Path) -> bool:
    """Whether another process, or another open file of this one, has a lock."""
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


class Gate:
    """What the build in a checkout waits for.

    Args:
        checkout: Whose build.
        path: A file, made when the build may go on.
    """

    def __init__(self, checkout: Checkout, path: Path) -> None:
        self.path, self.reached = path, path.with_name(f"{path.name}.reached")
        checkout.change(gate=str(path))

    def wait(self, process: subprocess.Popen[str]) -> None:
        """Until the build has begun."""
        deadline = time.monotonic() + 60
        while not self.reached.exists():
            assert process.poll() is None and time.monotonic() < deadline, process.communicate(timeout=10)
            time.sleep(0.02)

    def open(self) -> None:
        self.path.touch()


@pytest.fixture
def gate(checkout: Checkout, tmp_path: Path) -> Iterator[Gate]:
    gate = Gate(checkout, tmp_path / "gate")
    yield gate
    gate.open()  # whatever happened: nothing waits for it any more


def test_a_second_set_up_of_a_checkout_begins_when_the_first_has_ended(checkout: Checkout, gate: Gate) -> None:
    first = checkout.start()
    gate.wait(first)
    second = checkout.start()
    assert "[1/9]" not in second.stdout.readline()
    gate.open()
    outputs = [process.communicate(timeout=60) for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], outputs
    assert outputs[1][0].count("already there\n") == 9
    assert len(checkout.calls_with("pip wheel")) == 1


def test_what_a_killed_set_up_had_started_keeps_its_locks(checkout: Checkout, gate: Gate, user_cache: Path) -> None:
    process = checkout.start()
    gate.wait(process)
    process.kill()
    process.wait()
    locks = [checkout.root / ".cache" / "setup" / "lock", user_cache / "locks" / f"{KEY}.lock"]
    assert [is_held(lock) for lock in locks] == [True, True]
    gate.open()
    assert checkout.set_up()[0] == 0  # waits for the build, and needs none of it
    assert not any(map(is_held, locks))


def test_under_nohup_a_set_up_outlives_its_terminal(checkout: Checkout, gate: Gate) -> None:
    process = checkout.start(preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    gate.wait(process)
    process.send_signal(signal.SIGHUP)
    gate.open()
    output = process.communicate(timeout=60)
    assert process.returncode == 0, output


@pytest.mark.parametrize("number", [13, 30], ids=["another user's checkout", "a read-only file system"])
def test_where_no_lock_can_be_made_a_complete_environment_is_still_found(
    checkout: Checkout, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert checkout.set_up()[0] == 0
    before, open_file = checkout.state, os.open

    def refuse(path: str | Path, *arguments: int) -> int:
        if Path(path).name == "lock":
            raise OSError(number, os.strerror(number), str(path))
        return open_file(path, *arguments)

    monkeypatch.setattr(cache.os, "open", refuse)
    status, said = checkout.set_up()
    assert status == 0 and said.count("already there\n") == 9 and checkout.state == before


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize("held", [True, False])
def test_make_clean_keeps_the_lock_and_removes_all_else_in_its_folder(held: bool, tmp_path: Path) -> None:
    shutil.copy(PROJECT / "Makefile", tmp_path)
    lock = tmp_path / ".cache" / "setup" / "lock"
    for path in (lock, lock.with_name("torch 2.log"), tmp_path / ".cache" / "other" / "lock"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    with cache.exclusive(lock, lambda: None) if held else open(os.devnull):
        subprocess.run(["make", "clean"], cwd=tmp_path, check=True, capture_output=True)
        assert is_held(lock) == held
    assert [path.name for path in (tmp_path / ".cache").rglob("*")] == ["setup", "lock"]


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_clean_has_nothing_to_say_where_there_is_nothing(tmp_path: Path) -> None:
    shutil.copy(PROJECT / "Makefile", tmp_path)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}  # of `make test`
    options = dict(cwd=tmp_path, env=environment, check=True, capture_output=True, text=True)
    done = subprocess.run(["make", "clean"], **options)
    assert done.stdout == done.stderr == "" and not (tmp_path / ".cache").exists()

"""A run that is told to stop ends with a checkpoint and exit code 75, and goes on exactly."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from helpers.processes import run_ranks
from helpers.tiny_run import ROOT, environment
from helpers.toy_runner import SEED, SignalAt, preempted_rank, stop_workers, toy

from mmdist.compat.checkpoint import load_checkpoint_file
from mmdist.engine.hooks import PreemptHook
from mmdist.errors import ConfigError

RUN = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import mmdist
from helpers.toy_runner import toy
from mmengine.hooks import Hook

class Slow(Hook):
    def before_train_iter(self, runner, batch_idx, data_batch=None):
        print("iteration", flush=True)
        time.sleep(float(sys.argv[3]))

toy(Path(sys.argv[1]), iters=1000, checkpoint=dict(interval=500, by_epoch=False), hooks=[Slow()]).train()
"""


def start(folder: Path, pause: float) -> subprocess.Popen[str]:
    """A run in a process of its own, once it is in an iteration."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", RUN, str(folder), str(ROOT / "tests"), str(pause)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("iteration"):
            return process
    raise AssertionError(f"the run ended with {process.wait()}")


def until_it_blocks(process: int, number: int) -> None:
    """Wait for a process that is starting."""
    for _ in range(600):
        status = Path(f"/proc/{process}/status").read_text()
        blocked = next(line for line in status.splitlines() if line.startswith("SigBlk:"))
        if int(blocked.split()[1], 16) & 1 << number - 1:
            return
        time.sleep(0.05)
    raise AssertionError(f"process {process} does not block signal {number}")


def end(runner: Any) -> int:
    with pytest.raises(SystemExit) as caught:
        runner.train()
    stop_workers(runner)
    return caught.value.code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
@pytest.mark.parametrize("kind", ["iters", "epochs"])
def test_after_a_signal_a_run_saves_and_goes_on_exactly(
    tmp_path: Path, kind: str, number: int, capfd: pytest.CaptureFixture[str]
) -> None:
    run: dict[str, Any] = dict(iters=9) if kind == "iters" else dict(epochs=2)
    whole = toy(tmp_path / "whole", **run, seed=SEED)
    whole.train()
    first = toy(tmp_path / "parts", **run, seed=SEED, hooks=[SignalAt(7, number)], checkpoint=dict(interval=1))
    assert end(first) == 75
    lines = [line for line in capfd.readouterr().out.splitlines() if "go on with" in line]
    assert len(lines) == 1 and lines[0].endswith("--resume")
    assert (tmp_path / "parts" / "last_checkpoint").read_text() == str(tmp_path / "parts" / "preempted.pth")
    second = toy(tmp_path / "parts", **run, seed=SEED, resume=True)
    second.train()
    assert first.model.losses + second.model.losses == whole.model.losses
    # A regular checkpoint is newer now.
    assert not (tmp_path / "parts" / "preempted.pth").exists()


def test_a_checkpoint_of_the_very_iteration_is_not_saved_twice(tmp_path: Path) -> None:
    every = dict(interval=1, by_epoch=False)
    assert end(toy(tmp_path, iters=5, checkpoint=every, hooks=[SignalAt(3)])) == 75
    assert (tmp_path / "last_checkpoint").read_text() == str(tmp_path / "iter_3.pth")
    assert not (tmp_path / "preempted.pth").exists()


def test_a_run_without_a_checkpoint_hook_saves_all_the_same(tmp_path: Path) -> None:
    runner = toy(tmp_path, iters=5, hooks=[SignalAt(3)])
    runner._hooks = [hook for hook in runner.hooks if "CheckpointHook" not in type(hook).__name__]
    assert end(runner) == 75
    assert load_checkpoint_file(tmp_path / "preempted.pth")["meta"]["iter"] == 3


def test_a_run_with_workers_saves_and_goes_on_exactly(tmp_path: Path) -> None:
    run: dict[str, Any] = dict(iters=8, seed=SEED, loader=dict(num_workers=2), checkpoint=dict(interval=100))
    whole = toy(tmp_path / "whole", **run)
    whole.train()
    first = toy(tmp_path / "parts", **run, hooks=[SignalAt(4)])
    assert end(first) == 75
    second = toy(tmp_path / "parts", **run, resume=True)
    second.train()
    assert first.model.losses + second.model.losses == whole.model.losses


def test_workers_that_get_the_signals_too_go_on_delivering(tmp_path: Path) -> None:
    run: dict[str, Any] = dict(iters=6, seed=SEED, loader=dict(num_workers=2))
    whole = toy(tmp_path / "whole", **run)
    whole.train()

    def to_all_workers(runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        workers = runner.train_loop.dataloader_iterator._iterator._workers
        assert len(workers) == 2
        for worker in workers:  # one that is only just being started cannot know of signals
            until_it_blocks(worker.pid, signal.SIGTERM)
        for name in ("USR1", "TERM"):  # by another process: the main one ends its workers with SIGTERM
            subprocess.run(["kill", f"-{name}", *(str(worker.pid) for worker in workers)], check=True)
        time.sleep(0.2)
        assert all(worker.is_alive() for worker in workers)

    hook = SignalAt(0)
    hook.before_train_iter = to_all_workers
    signalled = toy(tmp_path / "signalled", **run, hooks=[hook])
    signalled.train()
    assert signalled.model.losses == whole.model.losses
    # The dataloader's own SIGTERM, which stops a worker that hangs, still works.
    iterator = iter(signalled.train_dataloader)
    for worker in iterator._workers:
        until_it_blocks(worker.pid, signal.SIGTERM)
        worker.terminate()
        worker.join(timeout=5)
        assert not worker.is_alive()
    del iterator


def test_the_process_ends_with_75_and_at_once_at_a_second_signal(tmp_path: Path) -> None:
    quick = start(tmp_path / "quick", 0.01)
    quick.send_signal(signal.SIGUSR1)
    out, _ = quick.communicate(timeout=60)
    assert quick.returncode == 75
    assert "go on with: " in out
    assert (tmp_path / "quick" / "preempted.pth").is_file()
    slow = start(tmp_path / "slow", 60)
    slow.send_signal(signal.SIGTERM)
    time.sleep(1)
    assert slow.poll() is None  # it waits for the end of the iteration
    slow.send_signal(signal.SIGTERM)
    assert slow.wait(timeout=10) == -signal.SIGTERM
    slow.communicate()


def test_all_processes_end_together_when_one_is_told_to_and_go_on_exactly(tmp_path: Path) -> None:
    ranks = run_ranks(preempted_rank, 2, tmp_path, str(tmp_path))
    assert [rank["code"] for rank in ranks] == [75, 75]
    assert [rank["saved"] for rank in ranks] == [2, 2]
    for rank in ranks:
        whole, first, rest = rank["losses"]
        assert len(first) == 3
        assert first + rest == whole
    assert ranks[0]["losses"][0] != ranks[1]["losses"][0]


def test_handlers_are_as_before_when_the_run_is_over(tmp_path: Path) -> None:
    def own(number: int, frame: Any) -> None:
        pass

    before = signal.signal(signal.SIGUSR1, own)
    try:
        seen = []
        hook = SignalAt(0)
        hook.before_train_iter = lambda *_, **__: seen.append(signal.getsignal(signal.SIGUSR1))
        toy(tmp_path / "a", iters=1, hooks=[hook]).train()
        assert seen[0] is not own
        assert signal.getsignal(signal.SIGUSR1) is own
        assert end(toy(tmp_path / "b", iters=3, hooks=[SignalAt(1)])) == 75
        assert signal.getsignal(signal.SIGUSR1) is own
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_outside_the_main_thread_nothing_is_installed(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    during = []
    hook = SignalAt(0)
    hook.before_train_iter = lambda *_, **__: during.append(signal.getsignal(signal.SIGTERM))
    thread = threading.Thread(target=toy(tmp_path, iters=1, hooks=[hook]).train)
    thread.start()
    thread.join()
    assert during == [before]


def test_a_misspelt_signal_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"signals = 'SIGTREM': did you mean 'SIGTERM'"):
        PreemptHook(signals=["SIGTREM"])

"""A run that is told to stop saves a checkpoint first."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Sequence
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmdist.engine.command import how_to_go_on
from mmdist.engine.hooks.checkpoint import CheckpointHook
from mmdist.errors import ConfigError
from mmdist.registry import HOOKS

EXIT_CODE = 75  # EX_TEMPFAIL of sysexits.h: try again later
SIGNALS = tuple(name for name in ("SIGTERM", "SIGUSR1", "SIGUSR2", "SIGHUP", "SIGINT") if hasattr(signal, name))
# Under torchrun one request can arrive twice: from whoever asked, and passed on by torchrun.
REPEAT_S = 0.3


class Preempted(SystemExit):
    """A run ended early because it was told to, with a checkpoint to go on from; exit code 75."""

    def __init__(self, checkpoint: str) -> None:
        super().__init__(EXIT_CODE)
        self.checkpoint = checkpoint


@HOOKS.register_module()
class PreemptHook(Hook):
    """Ends the run at the end of the running iteration after a signal, with a checkpoint and exit code 75.

    All processes of a run end together, also when only one of them got the signal. A second signal ends the process at
    once. mmdist's tools add this hook to every run.

    Args:
        signals (Sequence[str]): What to listen to.

    Raises:
        ConfigError: A name is not that of a signal that can be listened to.

    Example:
        >>> PreemptHook(signals=['SIGUSR1']).signals
        ('SIGUSR1',)
    """

    priority = "LOWEST"

    def __init__(self, signals: Sequence[str] = ("SIGTERM", "SIGUSR1")) -> None:
        for name in signals:
            if name not in SIGNALS:
                raise ConfigError("mmdist.PreemptHook.signals", name, SIGNALS)
        self.signals = tuple(signals)
        self._received = 0
        self._received_at = 0.0
        self._former: dict[int, Any] = {}
        self._group: Any = None
        self._process = 0

    def before_train(self, runner: Runner) -> None:
        """Listen, in the main thread of the main process."""
        if get_world_size() > 1 and self._group is None:
            # On the CPU, so that asking all processes after every iteration does not wait for the GPU.
            self._group = dist.group.WORLD if dist.get_backend() == "gloo" else dist.new_group(backend="gloo")
        if threading.current_thread() is not threading.main_thread():  # Python allows handlers nowhere else
            return
        self._received, self._process = 0, os.getpid()
        for name in self.signals:
            number = getattr(signal, name)
            self._former.setdefault(number, signal.signal(number, self._note))

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """End the run if any process was told to."""
        number = self._agree()
        if not number:
            return
        name = signal.Signals(number).name
        runner.logger.warning(f"{name}: saving a checkpoint after iteration {runner.iter + 1}, then this run ends")
        hooks = [hook for hook in runner.hooks if isinstance(hook, CheckpointHook)]
        if not hooks:
            hooks = [CheckpointHook()]
            hooks[0].before_train(runner)
        checkpoint = hooks[0].save_preempted(runner)
        if self._group is not None:
            # A launcher ends the others with SIGTERM when the first is gone: none goes before the file is there, and
            # none is ended on its way out, with a code that is not 75.
            if threading.current_thread() is threading.main_thread():
                self._former.pop(signal.SIGTERM, None)
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            dist.barrier(group=self._group)
        self._stop_listening()
        if get_rank() == 0:
            print(f"{name}: saved {checkpoint}; {how_to_go_on(getattr(runner, 'launcher', 'none'))}", flush=True)
        raise Preempted(checkpoint)

    def after_train(self, runner: Runner) -> None:
        """Listen no longer."""
        self._stop_listening()

    def _note(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if os.getpid() != self._process:  # a process forked from this one, a data worker: the main process ends it
            if number == signal.SIGTERM:
                signal.signal(number, signal.SIG_DFL)
            return
        if not self._received:
            self._received, self._received_at = number, now
        elif now - self._received_at > REPEAT_S:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def _agree(self) -> int:
        if self._group is None:
            return self._received
        flag = torch.tensor([self._received])
        dist.all_reduce(flag, op=dist.ReduceOp.MAX, group=self._group)
        return int(flag)

    def _stop_listening(self) -> None:
        for number, former in self._former.items():
            # None: not set from Python, and then Python cannot set it back.
            signal.signal(number, signal.SIG_DFL if former is None else former)
        self._former.clear()

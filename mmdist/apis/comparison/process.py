"""Runs a tool: all that it writes goes into a log, and the terminal shows how far it is."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from mmdist.engine.command import without_again

ITERATION = re.compile(r"Iter\(train\)\s*\[\s*(\d+)/(\d+)\].*?\bloss: ([\d.eE+-]+|nan|inf)")
PAUSE = 20.0  # seconds between two lines where there is no terminal
TAIL = 15
SUPERVISE = Path(__file__).with_name("supervise.py")


class StageFailed(Exception):
    """A tool ended with an error.

    Args:
        what (str): The stage.
        status (int): Its exit status.
        log (Path): Where all that it wrote is.
        tail (Sequence[str]): The last lines of it.
    """

    def __init__(self, what: str, status: int, log: Path, tail: Sequence[str]) -> None:
        super().__init__(f"{what} ended with exit status {status}")
        self.log, self.tail = log, list(tail)


class Progress:
    """The line of a stage: rewritten in place on a terminal, a new one now and then elsewhere.

    Args:
        label (str): What stands at its beginning.
        stream (TextIO, optional): stdout by default.
    """

    def __init__(self, label: str, stream: TextIO | None = None) -> None:
        self.label = label
        self.stream = stream or sys.stdout
        self.live = self.stream.isatty()
        self.start = self.last = time.monotonic()
        if self.live:
            self._write(f"{label} ...")

    def _write(self, text: str, end: str = "") -> None:
        self.stream.write(f"\r\x1b[K{text}{end}" if self.live else f"{text}\n")
        self.stream.flush()

    def line(self, line: str) -> None:
        """Look at a line that the tool wrote."""
        found = ITERATION.search(line)
        now = time.monotonic()
        if found and (self.live or now - self.last >= PAUSE):
            iteration, total, loss = found.groups()
            self._write(f"{self.label} ... iteration {iteration} of {total}, loss {float(loss):.3g}")
            self.last = now

    def end(self, result: str, *, skipped: bool = False) -> None:
        """Leave the line behind, with the stage's result and time."""
        took = "done before" if skipped else f"{time.monotonic() - self.start:.0f} s"
        self._write(f"{self.label}: {result}, {took}", end="\n")

    def break_off(self) -> None:
        """Leave a half-written line behind, before a message."""
        if self.live:
            self._write(f"{self.label} ...", end="\n")


class Processes:
    """The tools that are at work, so that all of them can be ended from another thread."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()

    def add(self, process: subprocess.Popen[str]) -> None:
        with self._lock:
            self._running.add(process)
            late = self.stopped.is_set()
        if late:
            _end(process)

    def remove(self, process: subprocess.Popen[str]) -> None:
        with self._lock:
            self._running.discard(process)

    def end(self) -> None:
        """End all of them, and those that are still to begin."""
        with self._lock:
            self.stopped.set()
            running = list(self._running)
        for process in running:
            _end(process)


def run(
    command: Sequence[str | Path],
    what: str,
    log: Path,
    *,
    cwd: Path,
    on_line: Callable[[str], None],
    keep: Sequence[int] = (),
    environment: Mapping[str, str] | None = None,
    processes: Processes | None = None,
) -> None:
    """Run a tool to its end; it ends too when this process is killed.

    Args:
        command (Sequence): Program and arguments.
        what (str): The stage, for messages.
        log (Path): What the tool writes is added to it.
        cwd (Path): Where it runs.
        on_line (Callable): Called with each line as it comes.
        keep (Sequence[int]): File descriptors that the tool inherits.
        environment (Mapping[str, str], optional): Variables that it gets beside those of this process.
        processes (Processes, optional): Where it is listed while it runs.

    Raises:
        StageFailed: It did not end with 0. An exception from elsewhere, an interruption among them, ends the tool.
    """
    tail: deque[str] = deque(maxlen=TAIL)
    watched, held = os.pipe()  # the other end closes with this process, however that ends
    with log.open("a", encoding="utf-8", errors="backslashreplace") as out:
        out.write("$ " + " ".join(map(str, command)) + "\n")
        out.flush()
        try:
            # a session of its own, so that its workers end with it
            process = subprocess.Popen(
                [sys.executable, str(SUPERVISE), str(watched), *map(str, command)],
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                # how the asking command was started is not how the tool was
                env={**without_again(os.environ), "PYTHONUNBUFFERED": "1", **(environment or {})},
                pass_fds=(watched, *keep),
                start_new_session=True,
            )
        except BaseException:
            os.close(held)
            raise
        finally:
            os.close(watched)
        processes = processes or Processes()
        processes.add(process)
        try:
            for line in process.stdout or ():
                out.write(line)
                out.flush()
                if line.strip():
                    tail.append(line.rstrip())
                on_line(line)
            status = process.wait()
        except BaseException:
            _end(process)
            raise
        finally:
            processes.remove(process)
            os.close(held)
    if status != 0:
        raise StageFailed(what, status, log, tail)


def _end(process: subprocess.Popen[str]) -> None:
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
            process.wait(timeout=10)
            return
        except ProcessLookupError:
            process.wait()
            return
        except subprocess.TimeoutExpired:
            continue

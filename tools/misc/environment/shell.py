"""Run a command, keep what it writes in a log, and show the steps with their times."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from environment.cache import HELD
from environment.failure import explain

# These would send packages elsewhere, or bring other packages into the environment.
FOREIGN = (
    "PYTHONPATH",
    "PYTHONHOME",
    "PIP_USER",
    "PIP_TARGET",
    "PIP_PREFIX",
    "PIP_ROOT",
    "PIP_CONSTRAINT",
    "VIRTUAL_ENV",
)
# The messages are searched for English words; and pip.conf may ask for an installation into the user's own folder.
OURS = {"LC_ALL": "C.UTF-8", "LANGUAGE": "", "PIP_USER": "0"}
COMPILERS = ("CC", "CXX")  # empty ones are none


def clean_environment() -> dict[str, str]:
    """The variables for what is started here."""
    kept = {key: value for key, value in os.environ.items() if key not in COMPILERS or value.strip()}
    return {key: value for key, value in kept.items() if key not in FOREIGN} | OURS


def run(
    command: Sequence[str | Path],
    log: Path,
    what: str,
    *,
    env: Mapping[str, str] | None = None,
    on_line: Callable[[str | None], None] | None = None,
) -> float:
    """Run a command to its end, with all that it writes in ``log``.

    Args:
        command: The program and its arguments.
        log: Written anew.
        what: What is being done, for the message of a failure.
        env: Variables to set on top of the environment.
        on_line: Called with each line as it comes, and with None every second in which none comes.

    Returns:
        The seconds that pip spent on downloads, where the command is one of pip's.

    Raises:
        SetupFailure: The command failed; the message says why.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    downloads = Downloads()
    with log.open("w", encoding="utf-8") as out:
        out.write("$ " + " ".join(map(str, command)) + "\n")
        # a session of its own, so that an interrupt also ends the compilers below pip
        process = subprocess.Popen(
            list(map(str, command)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=clean_environment() | dict(env or {}),
            start_new_session=True,
            pass_fds=HELD,  # whatever ends this process, the locks are held for as long as the command runs
        )
        try:
            for line in _lines(process):
                if line is not None:
                    out.write(line)
                    downloads.line(line)
                if on_line is not None:
                    on_line(line)
            status = process.wait()
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
            raise
    if status != 0:
        raise explain(log, what)
    return downloads.end()


def _lines(process: subprocess.Popen[str]) -> Iterator[str | None]:
    """The lines of a process as they come, and None every second in which none comes."""
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read() -> None:
        for line in process.stdout or ():
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=1.0)
        except queue.Empty:
            yield None
            continue
        if line is None:
            return
        yield line


class Downloads:
    """Tells from what pip writes how long it was busy finding and downloading packages.

    pip says ``Installing collected packages`` or ``Building wheels`` once it has all that it needs.
    """

    def __init__(self) -> None:
        self.begun = time.monotonic()
        self.ended: float | None = None

    def line(self, line: str) -> None:
        if self.ended is None and line.startswith(("Installing collected packages", "Building wheels", "Saved ")):
            self.ended = time.monotonic()

    def end(self) -> float:
        """Seconds; 0 for what does not download."""
        return 0.0 if self.ended is None else self.ended - self.begun


class Steps:
    """Prints ``[3/9] torch 2.13.0 ... 12.3 s and 4.5 s of downloads``, one line a step.

    Args:
        total: How many steps there are.
        stream: Where to print.
    """

    def __init__(self, total: int, stream: TextIO | None = None) -> None:
        self.total, self.count, self.changed = total, 0, False
        self.stream = stream or sys.stdout
        self.open_line = False
        self.begun, self.downloads = time.monotonic(), 0.0

    def write(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()
        self.open_line = not text.endswith("\n")

    def step(self, label: str, action: Callable[[], bool]) -> None:
        """Run one step; ``action`` returns whether there was anything to do."""
        self.count += 1
        self.write(f"[{self.count}/{self.total}] {label} ...")
        start, before = time.monotonic(), self.downloads
        if action():
            self.changed = True
            self.write(f" {self.took(time.monotonic() - start, self.downloads - before)}\n")
        else:
            self.write(" already there\n")

    def add_download(self, seconds: float) -> None:
        """Count seconds that went into a download, not into work on this machine."""
        self.downloads += seconds

    def summary(self) -> str:
        """How long everything took."""
        return self.took(time.monotonic() - self.begun, self.downloads)

    @staticmethod
    def took(seconds: float, downloads: float) -> str:
        text = f"{max(0.0, seconds - downloads):.1f} s"
        return f"{text} and {downloads:.1f} s of downloads" if downloads >= 0.05 else text

    def end_line(self) -> None:
        """Leave a half-written line behind, before a message."""
        if self.open_line:
            self.write("\n")

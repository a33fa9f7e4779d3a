"""Run a command, keep what it writes in a log, and show the steps with their times."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from environment.failure import SetupFailure, explain

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


def run(
    command: Sequence[str | Path],
    log: Path,
    what: str,
    *,
    env: Mapping[str, str] | None = None,
    on_line: Callable[[str], None] | None = None,
) -> None:
    """Run a command to its end, with all that it writes in ``log``.

    Args:
        command: The program and its arguments.
        log: Written anew.
        what: What is being done, for the message of a failure.
        env: Variables to set on top of the environment.
        on_line: Called with each line as it comes.

    Raises:
        SetupFailure: The command failed; the message says why.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {key: value for key, value in os.environ.items() if key not in FOREIGN} | dict(env or {})
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
            env=environment,
            start_new_session=True,
        )
        try:
            for line in process.stdout or ():
                out.write(line)
                if on_line is not None:
                    on_line(line)
            status = process.wait()
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
            raise
    if status != 0:
        raise SetupFailure(explain(log, what))


class Steps:
    """Prints ``[3/9] torch 2.13.0 ... 12.3 s``, one line a step.

    Args:
        total: How many steps there are.
        stream: Where to print.
    """

    def __init__(self, total: int, stream: TextIO | None = None) -> None:
        self.total, self.count, self.changed = total, 0, False
        self.stream = stream or sys.stdout
        self.open_line = False

    def write(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()
        self.open_line = not text.endswith("\n")

    def step(self, label: str, action: Callable[[], bool]) -> None:
        """Run one step; ``action`` returns whether there was anything to do."""
        self.count += 1
        self.write(f"[{self.count}/{self.total}] {label} ...")
        start = time.monotonic()
        if action():
            self.changed = True
            self.write(f" {time.monotonic() - start:.1f} s\n")
        else:
            self.write(" already there\n")

    def end_line(self) -> None:
        """Leave a half-written line behind, before a message."""
        if self.open_line:
            self.write("\n")

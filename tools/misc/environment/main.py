"""Brings ``.venv`` to the pinned state, step by step, and does only what is not done yet."""

from __future__ import annotations

import errno
import sys
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from environment.failure import FREE_SPACE, SetupFailure, command_again
from environment.shell import Steps
from environment.virtual import Environment

PROJECT = Path(__file__).resolve().parents[3]


def message_of(error: OSError) -> str:
    """One line for an error of the file system."""
    where = f"{error.filename}: " if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{where}the disk is full: {FREE_SPACE}"
    return f"{where}{error.strerror or error}; put that right and run again"


def main(project: Path = PROJECT, stream: TextIO | None = None, asked: str = "") -> int:
    """Set the environment up.

    Args:
        project: The folder that gets ``.venv``.
        stream: Where the steps are printed; errors go to stderr.
        asked: The interpreter that the user named; this is one.

    Returns:
        The exit status: 0 when everything is in place.
    """
    steps = Steps(total=9, stream=stream)
    try:
        Environment(project, steps, asked).set_up()
        return 0
    except SetupFailure as failure:
        message, status = str(failure), 1
    except OSError as error:
        message, status = message_of(error), 1
    except KeyboardInterrupt:
        message, status = f"interrupted; go on from here with: {command_again()}", 130
    with suppress(OSError):  # whoever reads the steps may be gone, as behind `make env | head`
        steps.end_line()
    print(f"error: {message}", file=sys.stderr)
    return status

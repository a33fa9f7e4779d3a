"""How a command ends: a user's mistake in one line, everything else in full."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from mmdist.errors import MMDistError

MISTAKE, INTERRUPTED = 2, 130


def run_reported(command: Callable[[], None]) -> int:
    """Run a command and turn the mistakes that it meets into a line on stderr.

    Args:
        command (Callable): Takes nothing, returns nothing. A ``KeyboardInterrupt`` may have a hint as its argument.

    Returns:
        int: The exit code: 0, 2 after a mistake, 130 after an interruption. ``MMDIST_DEBUG=1`` lets the exception
        through, with its traceback.

    Example:
        >>> run_reported(lambda: None)
        0
    """
    try:
        command()
    except MMDistError as error:
        if os.environ.get("MMDIST_DEBUG") == "1":
            raise
        report(error)
        return MISTAKE
    except KeyboardInterrupt as interruption:
        if _first_of_machine():
            print("; ".join(["interrupted", *map(str, interruption.args)]), file=sys.stderr, flush=True)
        return INTERRUPTED
    return 0


def report(error: MMDistError) -> None:
    """Print a mistake once a machine: what is missing on one need not be missing on another."""
    rank = next((os.environ[name] for name in ("RANK", "SLURM_PROCID") if name in os.environ), "0")
    if _first_of_machine():
        place = f" (rank {rank})" if int(rank) else ""
        print(f"error{place}: {' '.join(str(error).split())}", file=sys.stderr, flush=True)


def _first_of_machine() -> bool:
    return int(next((os.environ[name] for name in ("LOCAL_RANK", "SLURM_LOCALID") if name in os.environ), "0")) == 0

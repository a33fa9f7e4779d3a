"""MMRazor's ``tools/train.py`` knows one spelling of the local rank.

Reason: torch 2.0's launcher passes ``--local-rank`` where torch 1 passed
``--local_rank``, and ``torchrun`` passes none and sets an environment variable.

Window: torch >= 2.0. mmdist's tools take all three.
"""

from __future__ import annotations

import argparse
import os

NUMBER = 9
NAME = "--local_rank and --local-rank"
REASON = "the launcher's spelling of the argument differs between torch 1 and 2"
WINDOW = "torch >= 2.0"
WHEN = "mmdist's tools"


def needed() -> bool:
    """Always: which launcher starts the tools is known only when it does."""
    return True


def active() -> bool:
    """Never by itself: the tools call the functions below."""
    return False


def apply() -> None:
    """Nothing to do for the process as a whole."""


def add_local_rank_argument(parser: argparse.ArgumentParser) -> None:
    """Let a parser take both spellings.

    Args:
        parser (argparse.ArgumentParser): Gets ``--local_rank``, also spelt ``--local-rank``.
    """
    parser.add_argument(
        "--local_rank",
        "--local-rank",
        dest="local_rank",
        type=int,
        default=None,
        metavar="N",
        help="number of this process on its machine; passed by torch.distributed.launch, unused with torchrun",
    )


def export_local_rank(args: argparse.Namespace) -> None:
    """Set ``LOCAL_RANK`` from the arguments, unless the launcher has set it.

    Args:
        args (argparse.Namespace): What the parser returned.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> add_local_rank_argument(parser)
        >>> export_local_rank(parser.parse_args([]))
    """
    value = getattr(args, "local_rank", None)
    if value is None:
        # mpirun says it in a variable of its own, which mmengine uses for the device but not for the wrapper.
        value = os.environ.get("OMPI_COMM_WORLD_LOCAL_RANK", "0")
    os.environ.setdefault("LOCAL_RANK", str(value))

"""The command that the user typed, for hints that work as they are printed."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

# Set by what starts Python for the user, `make` and the launch scripts: the command to type again.
AGAIN = "MMDIST_AGAIN"


def typed(arguments: Sequence[str], program: Sequence[str]) -> list[str]:
    """The words of the command line that this process works on.

    Args:
        arguments (Sequence[str]): What the command has parsed.
        program (Sequence[str]): What takes these arguments, for a caller that is no command line itself.

    Returns:
        list[str]: Those of this process, where they end with the arguments.

    Example:
        >>> typed(['a.py'], ['mmdist', 'train'])
        ['mmdist', 'train', 'a.py']
    """
    own, given = sys.orig_argv, list(arguments)
    ours = own[-len(given) :] == given if given else not sys.argv[1:]
    return own if ours else [*program, *given]


def mmdist_command() -> list[str]:
    """How to call ``mmdist`` again: as this process was called, and by the bare name where that leads here."""
    script = Path(sys.argv[0])
    if script.name == "mmdist":
        found = shutil.which("mmdist")
        return ["mmdist"] if found and Path(found).resolve() == script.resolve() else [str(script)]
    if script.parts[-3:] == ("mmdist", "cli", "main.py"):
        return [sys.executable, "-m", "mmdist.cli.main"]
    return ["mmdist"]


def without_again(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for a process that the user did not start."""
    return {name: value for name, value in environment.items() if name != AGAIN}


def command_to_go_on(argv: Sequence[str] | None = None) -> str:
    """The command line of a run, with ``--resume`` for the latest checkpoint in place of another one.

    Args:
        argv (Sequence[str], optional): The command; this process's by default.

    Returns:
        str: For a shell.

    Example:
        >>> command_to_go_on(['python', 'tools/train.py', 'my config.py', '--resume', 'a.pth', '--amp'])
        "python tools/train.py 'my config.py' --amp --resume"
    """
    given = list(sys.orig_argv if argv is None else argv)
    end = given.index("--") if "--" in given else len(given)  # behind it nothing is an option
    kept: list[str] = []
    words = iter(given[:end])
    for word in words:
        if word == "--resume":
            word = next(words, "")
            if not word.startswith("-"):
                continue
        if word and not word.startswith("--resume="):
            kept.append(word)
    return shlex.join([*kept, "--resume", *given[end:]])


def how_to_go_on(launcher: str, argv: Sequence[str] | None = None) -> str:
    """What to say of a run that has saved a checkpoint and ends early.

    A process that a launcher has started cannot be started by its own command line. The launch scripts say what the
    user typed; where they cannot (several machines, batch jobs, a launcher by itself) no command is made up.

    Args:
        launcher (str): What started the process: none, pytorch, slurm or mpi.
        argv (Sequence[str], optional): The command of a process without launcher; this process's by default.

    Returns:
        str: A phrase, with a command for a shell where one is known to work.

    Example:
        >>> how_to_go_on('none', ['mmdist', 'train', 'a.py'])
        'go on with: mmdist train a.py --resume'
    """
    if launcher == "none":
        return f"go on with: {command_to_go_on(argv)}"
    script = os.environ.get(AGAIN)
    if script and os.environ.get("GROUP_WORLD_SIZE", "1") == "1":
        return f"go on with: {command_to_go_on(shlex.split(script))}"
    where = " on each machine" if os.environ.get("GROUP_WORLD_SIZE", "1") != "1" else ""
    return f"to go on, start it{where} as before, with --resume"

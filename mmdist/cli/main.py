"""``mmdist``: one command for what the scripts in ``tools/`` do."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from mmdist.errors import spelling_hint
from mmdist.version import __version__

COMMANDS = {
    "new": "write a config that distils a teacher into a student of your own",
    "train": "train a model: a plain one, or a student under a teacher",
    "test": "evaluate a model on the test data of its config",
    "compare": "did it help? train with and without a teacher, with seeds and tuned learning rates, and report",
    "export": "write the student of a distillation run into a file of its own",
    "doctor": "say what is installed and whether it works; with a config, what is wrong with a distillation",
}


def usage() -> str:
    """The help text.

    Example:
        >>> usage().startswith('usage: mmdist')
        True
    """
    lines = [f"  {name:8} {what}" for name, what in COMMANDS.items()]
    return "\n".join(
        [
            "usage: mmdist [--help] [--version] COMMAND ...",
            "",
            "Knowledge distillation for OpenMMLab.",
            "",
            "commands:",
            *lines,
            "",
            "`mmdist COMMAND --help` explains each.",
        ]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv (Sequence[str], optional): Arguments; those of the process by default.

    Returns:
        int: Exit code: 0, 1 (doctor found something), 2 (a mistake of the user's), 130 (interrupted).

    Example:
        >>> main(['--version'])  # doctest: +ELLIPSIS
        mmdist ...
        0
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    name, rest = (argv[0], argv[1:]) if argv else ("", [])
    if name in ("", "-h", "--help"):
        print(usage(), file=sys.stdout if name else sys.stderr)
        return 0 if name else 2
    if name in ("-V", "--version"):
        print(f"mmdist {__version__}")
        return 0
    if name not in COMMANDS:
        print(f"error: mmdist {name}: unknown command; {spelling_hint(name, COMMANDS)}", file=sys.stderr)
        return 2
    return import_module(f"mmdist.cli.{name}").main(rest, prog=f"mmdist {name}")


if __name__ == "__main__":
    sys.exit(main())

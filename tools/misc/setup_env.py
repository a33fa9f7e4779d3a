"""Set up everything that mmdist needs, in ``.venv``: run by ``make env``, ``make demo`` and ``make test``.

This file must parse on Python 3.6: an interpreter that cannot run the rest has to be
able to say so, or to hand over to one that can.
"""

import os
import shutil
import signal
import subprocess
import sys

OLDEST, NEWEST = (3, 10), (3, 12)
PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# first the one of an environment that is there already
CANDIDATES = (os.path.join(PROJECT, ".venv", "bin", "python"), "python3.11", "python3.12", "python3.10")


def is_supported(version: tuple) -> bool:
    """Whether (major, minor) is an interpreter that torch, mmcv and mmdist share."""
    return OLDEST <= tuple(version) <= NEWEST


def version_of(executable: str) -> tuple:
    """(major, minor) of an interpreter, or (0, 0) where it does not run."""
    code = "import sys; print(*sys.version_info[:2])"
    try:
        answer = subprocess.check_output([executable, "-c", code], stderr=subprocess.DEVNULL)
        return tuple(int(part) for part in answer.split())
    except (OSError, subprocess.CalledProcessError, ValueError):
        return (0, 0)


def find_supported() -> str:
    """Path of a suitable interpreter, that of ``.venv`` or one on PATH, or an empty string."""
    for name in CANDIDATES:
        path = shutil.which(name)
        if path and is_supported(version_of(path)):
            return path
    return ""


def main(version: tuple = sys.version_info[:2], asked: str = "") -> int:
    """Set up with this interpreter, or with a suitable one from PATH; returns the exit status.

    Args:
        version: (major, minor) of this interpreter.
        asked: How the user named this interpreter; then no other one takes its place.
    """
    if os.name != "posix":
        print("error: this set-up runs on Linux and macOS; on Windows use WSL", file=sys.stderr)
        return 1
    if not is_supported(version):
        other = "" if asked else find_supported()
        if other:
            sys.stdout.flush()
            os.execv(other, [other, os.path.abspath(__file__)] + sys.argv[1:])  # noqa: RUF005
        print(
            "error: Python {}.{} is too {}: mmdist runs on 3.10 to 3.12 (tested: 3.11); install one of them, "
            "or name it: make PYTHON=/path/to/python3.11 env".format(*version, "old" if version < OLDEST else "new"),
            file=sys.stderr,
        )
        return 1
    # as an interrupt, so that the compilers below pip end too; a terminal that is closed is ignored under nohup
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    from environment.main import main as set_up

    return set_up(asked=asked)


if __name__ == "__main__":
    # `make PYTHON=...` says so; without it the interpreter is just the one that happens to be python3
    sys.exit(main(asked=sys.argv[2] if sys.argv[1:2] == ["--asked"] else ""))

"""What went wrong, in one line that says what to do."""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path

INSTALL_COMPILER = (
    "install them (Debian and Ubuntu: apt install g++ python3-dev; Fedora: dnf install gcc-c++ python3-devel) "
    "and run again"
)
FREE_SPACE = "free some and run again; what is done is kept"

# The first pattern found wins. A lost connection comes late: pip warns of it, and may then recover and fail otherwise.
CAUSES = (
    (r"No space left on device|Errno 28|Disk quota exceeded|Errno 122", f"the disk is full: {FREE_SPACE}"),
    (
        r"ensurepip is not available|No module named '?ensurepip|No module named '?venv",
        "this Python cannot make virtual environments: install its venv package (Debian and Ubuntu: "
        "apt install python3-venv) and run again",
    ),
    (
        r"[Kk]illed signal terminated|internal compiler error: Killed|g\+\+: fatal error: Killed|"
        r"virtual memory exhausted|Cannot allocate memory|MemoryError",
        "the memory is too small for so many compilers at once: go on with one: MAX_JOBS=1 {again}",
    ),
    (
        r"Python\.h: No such file|c\+\+: (?:command )?not found|g\+\+: (?:command )?not found|"
        r"command '?\S*(?:gcc|g\+\+|c\+\+|cc)'? failed: No such file",
        f"the C++ compiler or the headers of Python are missing: {INSTALL_COMPILER}",
    ),
    (r"Ninja is required|ninja: (?:command )?not found", "ninja is missing: run again, it is put back"),
    (r"DO NOT MATCH THE HASHES", "a download was damaged: run again"),
    (
        r"NameResolutionError|name resolution|Name or service not known|nodename nor servname|NewConnectionError|"
        r"Failed to establish a new connection|Network is unreachable|No route to host|Connection refused|"
        r"ConnectTimeout|Read timed out|Cannot connect to proxy|RemoteDisconnected|Connection reset by peer",
        "the package index cannot be reached: connect to the network (or set PIP_INDEX_URL, HTTPS_PROXY) and run again",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED",
        "the package index's certificate is not trusted here: set PIP_CERT to the certificate bundle and run again",
    ),
    (
        r"Permission denied|Errno 13|Read-only file system",
        "a folder cannot be written to: check its permissions and run again",
    ),
)


def command_again() -> str:
    """What the user typed, to be typed again: the Makefile knows it."""
    return os.environ.get("MMDIST_AGAIN") or shlex.join([sys.executable, *sys.argv])


class SetupFailure(Exception):
    """A failure whose message is the whole story: what is wrong and what to do.

    Args:
        message: One line.
        is_explained: Whether the cause is known, and trying otherwise would be in vain.
    """

    def __init__(self, message: str, *, is_explained: bool = True) -> None:
        super().__init__(message)
        self.is_explained = is_explained


def explain(log: Path, what: str) -> SetupFailure:
    """What went wrong in a command that failed, from what it wrote.

    Args:
        log: Everything that the command wrote.
        what: What was being done, such as ``torch 2.13.0``.

    Returns:
        One line: what is wrong, what to do, and where the log is.
    """
    text = log.read_text(encoding="utf-8", errors="replace")
    for pattern, remedy in CAUSES:
        if re.search(pattern, text):
            return SetupFailure(f"{what}: {remedy.replace('{again}', command_again())} (log: {log})")
    missing = re.findall(r"No matching distribution found for (\S+)", text)
    if missing:
        where = "for this Python and platform; is PIP_INDEX_URL right?"
        return SetupFailure(f"{what}: the package index has no {missing[-1]} {where} (log: {log})")
    errors = re.findall(r"^\s*((?:ERROR|error|fatal error|FAILED|\w*Error): ?.+)$", text, re.MULTILINE)
    reason = errors[-1].strip() if errors else "the command failed"
    return SetupFailure(f"{what}: {reason[:200]}; the log has the rest: {log}", is_explained=False)

"""What went wrong, in one line that says what to do."""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path

RUNNING = "python{}.{}".format(*sys.version_info[:2])
FREE_SPACE = "free some and run again; what is done is kept"


def install_compiler(python: str = RUNNING) -> str:
    """How to get a C++ compiler and the headers of an interpreter, such as ``python3.12``."""
    return (
        f"install them (Debian and Ubuntu: apt install g++ {python}-dev; Fedora: dnf install gcc-c++ {python}-devel) "
        "and run again"
    )


MEMORY = (
    r"[Kk]illed signal terminated|internal compiler error: Killed|g\+\+: fatal error: Killed|"
    r"virtual memory exhausted|Cannot allocate memory|MemoryError"
)
# The first pattern found wins. A lost connection comes late: pip warns of it, and may then recover and fail otherwise.
CAUSES = (
    (r"No space left on device|Errno 28|Disk quota exceeded|Errno 122", f"the disk is full: {FREE_SPACE}"),
    (  # Debian breaks the line
        r"ensurepip is not\s+available|No module named '?ensurepip|No module named '?venv",
        "this Python cannot make virtual environments: install its venv package (Debian and Ubuntu: "
        f"apt install {RUNNING}-venv) and run again",
    ),
    (MEMORY, "the memory is too small for so many compilers at once: go on with one: {again_with_one_job}"),
    (
        r"(?<=ValueError: )Unknown CUDA arch[^\n]*|Unsupported gpu architecture[^\n]*",
        "{said}: set TORCH_CUDA_ARCH_LIST to the compute capabilities of your GPUs, such as 8.0 or 8.0;9.0",
    ),
    (
        r"unsupported (?:GNU|clang) version![^!\n]*",
        "nvcc refuses this C++ compiler ({said}): name one that it takes, such as CC=gcc-13 CXX=g++-13, and run again",
    ),
    (
        r"Python\.h: No such file|c\+\+: (?:command )?not found|g\+\+: (?:command )?not found|"
        r"command '?\S*(?:gcc|g\+\+|c\+\+|cc)'? failed: No such file",
        f"the C++ compiler or the headers of Python are missing: {install_compiler()}",
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

# g++ and clang: FILE:LINE:COLUMN: error; nvcc: FILE(LINE): error, and nvcc fatal; the linker
COMPILER_ERROR = re.compile(
    r"^\s*(?:\S+(?::\d+(?::\d+)?|\(\d+\)): (?:fatal |catastrophic )?error: .+|nvcc fatal *: .+|"
    r"(?:\S*/)?ld(?:\.\w+)?: (?!warning).+)$",
    re.MULTILINE,
)
ERROR = re.compile(r"^\s*((?:ERROR|error|fatal error|FAILED|\w*Error): ?.+)$", re.MULTILINE)
SUMMARY = re.compile(r"ERROR: Failed (?:building|to build)|error: [a-z]+(?:-[a-z]+)+$")


def command_again() -> str:
    """What the user typed, to be typed again: the Makefile knows it."""
    return os.environ.get("MMDIST_AGAIN") or shlex.join([sys.executable, *sys.argv])


def command_with_one_job() -> str:
    """The same, with ``MAX_JOBS=1`` in place of another number: what is behind ``make`` wins over what is in front."""
    if not os.environ.get("MMDIST_AGAIN"):
        return f"MAX_JOBS=1 {command_again()}"
    words = [word for word in shlex.split(command_again()) if not word.startswith("MAX_JOBS=")]
    return shlex.join([*words, "MAX_JOBS=1"])


class SetupFailure(Exception):
    """A failure whose message is the whole story: what is wrong and what to do.

    Args:
        message: One line.
        is_explained: Whether the cause is known, and trying otherwise would be in vain.
        is_memory: Whether the cause is the memory.
    """

    def __init__(self, message: str, *, is_explained: bool = True, is_memory: bool = False) -> None:
        super().__init__(message)
        self.is_explained, self.is_memory = is_explained, is_memory


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
        found = re.search(pattern, text)
        if found:
            remedy = remedy.replace("{again_with_one_job}", command_with_one_job()).replace("{said}", found[0].strip())
            return SetupFailure(f"{what}: {remedy} (log: {log})", is_memory=pattern == MEMORY)
    missing = re.findall(r"No matching distribution found for (\S+)", text)
    if missing:
        where = "for this Python and platform; is PIP_INDEX_URL right?"
        return SetupFailure(f"{what}: the package index has no {missing[-1]} {where} (log: {log})")
    return SetupFailure(f"{what}: {reason_in(text)[:200]}; the log has the rest: {log}", is_explained=False)


def reason_in(text: str) -> str:
    """The line that says most: a compiler's first error, else the last error that is not pip's summary of others."""
    compiler = COMPILER_ERROR.search(text)
    if compiler:
        return compiler[0].strip()
    errors = [line.strip() for line in ERROR.findall(text)]
    return next((line for line in reversed(errors) if not SUMMARY.match(line)), "the command failed")

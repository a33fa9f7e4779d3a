"""What the machine must offer, asked before the long steps and not after them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from environment.failure import FREE_SPACE, RUNNING, SetupFailure, install_compiler
from environment.shared import cpus

GIB = 1024**3


def require_space(folder: Path, gib: float, what: str) -> None:
    """Raise where the disk that will hold ``folder`` has less than ``gib`` GiB to spare."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free / GIB
    if free < gib:
        raise SetupFailure(f"{what} needs {gib:g} GiB of disk, {existing} has {free:.1f} GiB: {FREE_SPACE}")


def require_compiler(has_headers: bool, python: str = RUNNING) -> None:
    """Raise where mmcv's operators cannot be compiled for an interpreter, such as ``python3.12``."""
    compiler = [*os.environ.get("CXX", "").split(), "c++"][0]
    if shutil.which(compiler) is None:
        raise SetupFailure(
            f"mmcv has to be compiled once, and there is no C++ compiler {compiler!r}: {install_compiler(python)}"
        )
    if not has_headers:
        raise SetupFailure(
            f"mmcv has to be compiled once, and the headers of Python are missing: {install_compiler(python)}"
        )


def count_jobs() -> int:
    """How many compilers may run at a time: ``MAX_JOBS``, or as many as this process may use CPUs.

    Raises:
        SetupFailure: ``MAX_JOBS`` is no number above 0; for ninja 0 would be any number.
    """
    asked = os.environ.get("MAX_JOBS", "").strip()
    if asked and not cpus.positive(asked):
        raise SetupFailure(f"MAX_JOBS={asked}: expected a number above 0")
    return cpus.positive(asked) or cpus.available_cpus()

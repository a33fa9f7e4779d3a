"""What the machine must offer, asked before the long steps and not after them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from environment.failure import FREE_SPACE, INSTALL_COMPILER, SetupFailure

GIB = 1024**3


def require_space(folder: Path, gib: float, what: str) -> None:
    """Raise where the disk that will hold ``folder`` has less than ``gib`` GiB to spare."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free / GIB
    if free < gib:
        raise SetupFailure(f"{what} needs {gib:g} GiB of disk, {existing} has {free:.1f} GiB: {FREE_SPACE}")


def require_compiler(has_headers: bool) -> None:
    """Raise where mmcv's operators cannot be compiled."""
    compiler = os.environ.get("CXX", "c++").split()[0]
    if shutil.which(compiler) is None:
        raise SetupFailure(
            f"mmcv has to be compiled once, and there is no C++ compiler {compiler!r}: {INSTALL_COMPILER}"
        )
    if not has_headers:
        raise SetupFailure(f"mmcv has to be compiled once, and the headers of Python are missing: {INSTALL_COMPILER}")


def count_cpus() -> int:
    """How many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

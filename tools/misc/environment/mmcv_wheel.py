"""mmcv with its operators: compiled once against one torch, then kept in the per-user cache.

A wheel is reused only under exactly its key: another Python or another build of torch has
another binary interface, and would crash or refuse to load.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from environment.cache import cache_folder, exclusive
from environment.failure import SetupFailure
from environment.machine import count_cpus, find_nvcc, require_compiler, require_space
from environment.shell import run

BUILD_GIB = 1.0


def wheel_key(probe: dict[str, Any], with_cuda: bool) -> str:
    """Python tag, full torch version, platform and kind of operators.

    Example:
        >>> wheel_key({'tag': 'cp311', 'torch': {'version': '2.13.0+cpu'}, 'platform': 'linux_x86_64'}, False)
        'cp311-torch2.13.0+cpu-linux_x86_64-cpu'
    """
    kind = "cuda" if with_cuda else "cpu"
    return f"{probe['tag']}-torch{probe['torch']['version']}-{probe['platform']}-{kind}"


def wants_cuda(probe: dict[str, Any]) -> bool:
    """Whether the operators are compiled for CUDA too: torch has it, and there is an nvcc."""
    return probe["torch"]["cuda"] is not None and find_nvcc() is not None


def is_usable(wheel: Path) -> bool:
    """Whether a wheel is whole and holds compiled operators."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            has_operators = any(re.fullmatch(r"mmcv/_ext\..*(so|pyd)", name) for name in archive.namelist())
            return has_operators and archive.testzip() is None
    except (OSError, zipfile.BadZipFile):
        return False


def find_wheel(folder: Path, pin: str) -> Path | None:
    """The usable wheel of ``pin`` (``mmcv==2.1.0``) in a folder, if there is one."""
    pattern = pin.replace("==", "-") + "-*.whl"
    return next((wheel for wheel in sorted(folder.glob(pattern)) if is_usable(wheel)), None)


def is_cached(tag: str, torch_pin: str, mmcv_pin: str) -> bool:
    """Whether some wheel for this Python and torch is there, whatever the build of torch."""
    prefix = f"{tag}-{torch_pin.replace('==', '')}"
    wheels = cache_folder() / "wheels"
    return any(find_wheel(folder, mmcv_pin) for folder in wheels.glob(f"{prefix}*"))


def obtain_wheel(
    python: Path, probe: dict[str, Any], pin: str, log: Path, *, write: Callable[[str], None]
) -> tuple[str, Path]:
    """The key and the wheel, from the cache or compiled now.

    Args:
        python: The interpreter of the environment, which has torch.
        probe: What ``probe.py`` said about it.
        pin: ``mmcv==2.1.0``.
        log: Where the compiler's output goes.
        write: Shows progress.

    Raises:
        SetupFailure: It cannot be compiled here; the message says why.
    """
    with_cuda = wants_cuda(probe)
    key = wheel_key(probe, with_cuda)
    folder = cache_folder() / "wheels" / key
    lock = cache_folder() / "locks" / f"{key}.lock"
    with exclusive(lock, lambda: write(" another process compiles it, waiting ...")):
        found = find_wheel(folder, pin)
        if found is None:
            require_compiler(probe["headers"])
            require_space(folder, BUILD_GIB, "compiling mmcv")
            found = build_wheel(python, folder, pin, log, with_cuda=with_cuda, write=write)
        return key, found


def build_wheel(
    python: Path, folder: Path, pin: str, log: Path, *, with_cuda: bool, write: Callable[[str], None]
) -> Path:
    """Compile mmcv; ``folder`` gets the wheel in one rename, or nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    for abandoned in folder.glob(".build-*"):  # of a killed process: the lock is ours
        shutil.rmtree(abandoned, ignore_errors=True)
    jobs = os.environ.get("MAX_JOBS") or str(count_cpus())
    env = {
        "MMCV_WITH_OPS": "1",
        "FORCE_CUDA": "1" if with_cuda else "0",
        "MAX_JOBS": jobs,
        "PATH": os.pathsep.join([str(python.parent), os.environ.get("PATH", "")]),  # for ninja
    }
    if not with_cuda:
        env["CUDA_VISIBLE_DEVICES"] = ""  # mmcv asks for nvcc as soon as it sees a GPU
    write(f" compiling, about {max(2, 20 // int(jobs))} minutes ...")
    with tempfile.TemporaryDirectory(dir=folder, prefix=".build-") as temporary:
        # --no-cache-dir: pip's own cache of built wheels does not know which torch they were built for
        flags = ["--no-deps", "--no-build-isolation", "--no-cache-dir", "--no-binary", "mmcv", "--retries", "2", "-v"]
        command = [python, "-I", "-m", "pip", "wheel", *flags, "-w", temporary, pin]
        run(command, log, pin.replace("==", " "), env=env | {"TMPDIR": temporary}, on_line=Percentage(write))
        built = find_wheel(Path(temporary), pin)
        if built is None:
            raise SetupFailure(f"mmcv was built without its operators; the log says why: {log}")
        target = folder / built.name
        os.replace(built, target)
    return target


class Percentage:
    """Shows ``10% 20% ...`` from ninja's ``[12/95]`` lines."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self.write, self.shown = write, 0

    def __call__(self, line: str) -> None:
        found = re.match(r"\s*\[(\d+)/(\d+)\]", line)
        if found is None:
            return
        tens = 10 * int(found[1]) // int(found[2])
        if tens > self.shown:
            self.shown = tens
            self.write(f" {10 * tens}%")

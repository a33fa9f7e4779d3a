"""A checkout with a stand-in for ``.venv``, for the tests of ``setup_env.py``; import the fixtures by name."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[2]
MISC = PROJECT / "tools" / "misc"
FAKE = PROJECT / "tests" / "helpers" / "fake_python.py"
sys.path.insert(0, str(MISC))

from environment import machine, main  # noqa: E402

PINS = {
    "pip": "26.3", "setuptools": "80.10.2", "wheel": "0.48.0", "ninja": "1.13.2", "torch": "2.13.0", "numpy": "1.26.4",
    "mmcv": "2.1.0", "mmengine": "0.10.7", "mmdet": "3.3.0",
}  # fmt: skip
KEY = "cp311-torch2.13.0+cpu-linux_x86_64-cpu"
Usage = namedtuple("Usage", "total used free")


class Checkout:
    """A checkout with a fake ``.venv``, and a way to run the set-up in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "requirements").mkdir(parents=True)
        (root / "mmdist" / ".mim").mkdir(parents=True)
        lines = "".join(f"{name}=={version}\n" for name, version in PINS.items())
        (root / "requirements" / "constraints.txt").write_text(lines, "utf-8")
        (root / "requirements" / "cpu.txt").write_text("triton==3.9.0\n", "utf-8")
        for name in ("setup.py", "pyproject.toml", "mmdist/version.py"):
            (root / name).write_text("", "utf-8")
        for name in ("configs", "tools", "model-index.yml"):
            (root / "mmdist" / ".mim" / name).touch()
        python = root / ".venv" / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(f"#!{sys.executable}\n{FAKE.read_text('utf-8')}", "utf-8")
        python.chmod(0o755)
        self.change(installed={"pip": "26.3"}, torch="2.13.0+cpu", cuda=None, calls=[], variables={})
        self.change(wheel_ops=True, build_seconds=0, gate="", fail={})

    @property
    def state(self) -> dict[str, Any]:
        path = self.root / ".venv" / "state.json"
        return json.loads(path.read_text("utf-8")) if path.exists() else {}

    def change(self, **changes: Any) -> None:
        (self.root / ".venv" / "state.json").write_text(json.dumps(self.state | changes), "utf-8")

    def set_up(self, asked: str = "") -> tuple[int, str]:
        """The exit status, and what was printed on stdout."""
        out = io.StringIO()
        return main.main(self.root, out, asked), out.getvalue()

    def start(self, **options: Any) -> subprocess.Popen[str]:
        """The set-up in a process of its own, as ``make env`` starts it."""
        code = (
            "import sys, pathlib, setup_env; from environment import main as steps\n"
            "steps.main.__defaults__ = (pathlib.Path(sys.argv[1]), None, '')\n"
            "sys.exit(setup_env.main())"
        )
        return subprocess.Popen(
            [sys.executable, "-c", code, str(self.root)], env=os.environ | {"PYTHONPATH": str(MISC)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
        )  # fmt: skip

    @property
    def note(self) -> dict[str, str]:
        """What the set-up has noted of the environment."""
        return json.loads((self.root / ".venv" / "mmdist-env.json").read_text("utf-8"))

    def calls_with(self, part: str) -> list[str]:
        return [call for call in self.state["calls"] if part in call]


@pytest.fixture
def user_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MMDIST_CACHE", str(tmp_path / "cache"))
    cuda = ("FORCE_CUDA", "TORCH_CUDA_ARCH_LIST", "CUDA_HOME", "CUDA_PATH")
    for name in ("CC", "CXX", "CFLAGS", "MAX_JOBS", "MMDIST_AGAIN", *cuda):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: Usage(100 * machine.GIB, 0, 100 * machine.GIB))
    return tmp_path / "cache"


@pytest.fixture
def compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A compiler that can be found, for machines that have none."""
    path = tmp_path / "bin" / "c++"
    path.parent.mkdir()
    path.write_text("#!/bin/sh\n", "utf-8")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")
    return path


@pytest.fixture
def checkout(tmp_path: Path, user_cache: Path, compiler: Path) -> Checkout:
    return Checkout(tmp_path / "checkout")


def one_line(text: str) -> str:
    """The only line of an error message."""
    assert text.startswith("error: ") and text.count("\n") == 1, text
    assert "Traceback" not in text
    return text

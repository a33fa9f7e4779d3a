"""What the probe of the environment sees, in a real package folder."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
import sys
from pathlib import Path

import pytest
from environment import probe, state
from helpers.env_checkout import PROJECT


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment's package folder with one small package in it."""
    package = tmp_path / "site" / "toy"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    info = tmp_path / "site" / "toy-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n", "utf-8")
    (info / "RECORD").write_text("toy/__init__.py,,\ntoy-1.0.dist-info/METADATA,,\n", "utf-8")
    monkeypatch.setattr(probe.sysconfig, "get_path", lambda _: str(tmp_path / "site"))
    return tmp_path / "site"


def test_a_whole_package_at_its_pin_is_ok(site: Path) -> None:
    assert probe.check("toy==1.0", probe.installed())["ok"]
    assert not probe.check("toy==1.1", probe.installed())["ok"]
    assert not probe.check("other==1.0", probe.installed())["ok"]
    assert probe.check("toy==1.1 ; python_version < '3'", probe.installed()) is None


def test_a_local_part_of_the_version_fits_a_pin_without_one(site: Path) -> None:
    metadata = site / "toy-1.0.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text("utf-8").replace("1.0", "1.0+cpu"), "utf-8")
    assert probe.check("toy==1.0", probe.installed())["ok"]


@pytest.mark.parametrize("gone", ["toy/__init__.py", "toy-1.0.dist-info/RECORD"])
def test_a_package_with_files_missing_is_not_ok(site: Path, gone: str) -> None:
    (site / gone).unlink()
    answer = probe.check("toy==1.0", probe.installed())
    assert not answer["ok"]
    assert answer["leftovers"] == ([str(site / "toy-1.0.dist-info")] if "RECORD" in gone else [])


def test_two_versions_of_one_package_are_leftovers(site: Path) -> None:
    shutil.copytree(site / "toy-1.0.dist-info", site / "toy-0.9.dist-info")
    answer = probe.check("toy==1.0", probe.installed())
    assert not answer["ok"] and len(answer["leftovers"]) == 2


def test_the_probe_reads_the_build_of_torch_without_importing_it(site: Path) -> None:
    (site / "torch").mkdir()
    text = "from typing import Optional\n__version__ = '2.13.0+cu130'\ncuda: Optional[str] = '13.0'\n"
    (site / "torch" / "version.py").write_text(text, "utf-8")
    assert probe.torch_build(str(site)) == {"version": "2.13.0+cu130", "cuda": "13.0"}


def test_the_probe_answers_in_this_environment() -> None:
    current = state.State(PROJECT)
    current.python, current.venv = Path(sys.executable), Path(sys.prefix)
    assert current.look()
    torch = pytest.importorskip("torch")
    assert current.probe["torch"]["version"] == torch.__version__
    assert current.pin("torch")["version"] == importlib.metadata.version("torch")

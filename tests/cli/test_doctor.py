"""``mmdist doctor``."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import mmdist
from mmdist.cli import doctor
from mmdist.compat import versions

WORKS = {row.distributions[0]: row.tested or "1.0" for row in versions.TABLE}


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What is installed, to be changed by the test; mmcv's operators load."""
    installed = dict(WORKS)
    monkeypatch.setattr(
        versions, "installed", lambda *names: next((installed[n] for n in names if n in installed), None)
    )
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    monkeypatch.setattr(importlib, "import_module", lambda name: None)
    return installed


def test_the_tested_versions_are_healthy(machine, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.run() == 0
    out = capsys.readouterr().out
    assert all(row.package in out for row in versions.TABLE)
    assert "cannot work" not in out
    assert "missing" not in out
    assert "Everything that is installed works together." in out


@pytest.mark.parametrize(
    ("package", "version", "remedy"),
    [
        ("mmcv", "2.2.0", "mmcv==2.1.0"),
        ("mmcv", "1.7.2", "mmcv==2.1.0"),
        ("mmengine", "0.7.0", "pip install mmengine==0.10.7"),
        ("mmdet", "2.28.2", "pip install mmdet==3.3.0"),
        ("setuptools", "82.0.0", "pip install setuptools==80.10.2"),
        ("torch", "1.13.1", "pip install torch==2.13.0"),
        ("numpy", "1.19.5", "pip install numpy==1.26.4"),
    ],
)
def test_a_version_that_cannot_work_ends_with_1_and_the_remedy(machine, capsys, package, version, remedy) -> None:
    machine[package] = version
    assert doctor.run() == 1
    error = capsys.readouterr().out.partition("error: ")[2]
    assert error.startswith(f"{package} {version} cannot work, supported is ")
    assert remedy in error


@pytest.mark.parametrize(
    ("package", "user"), [("joblib", "mmrazor"), ("ftfy", "mmsegmentation"), ("numpy", "mmengine")]
)
def test_an_undeclared_need_is_missing_only_with_its_user(machine, capsys, package: str, user: str) -> None:
    del machine[package]
    assert doctor.run() == 1
    assert f"error: {user} needs {package}, which is missing" in capsys.readouterr().out
    del machine[user]
    assert doctor.run() == 0


def test_a_missing_task_library_is_fine(machine, capsys: pytest.CaptureFixture[str]) -> None:
    del machine["mmdet"]
    assert doctor.run() == 0
    assert "optional; install it to train detectors" in capsys.readouterr().out


def test_a_version_that_was_not_tested_is_said_to_be_so(machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine["mmdet"] = "3.2.0"
    assert doctor.run() == 0
    assert "should work; the tests ran with 3.3.0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ImportError("_ext.so: undefined symbol: _ZNK3c105Error4whatEv"), "rebuild mmcv"),
        (ModuleNotFoundError("No module named 'mmcv._ext'", name="mmcv._ext"), "without its operators"),
        (ModuleNotFoundError("No module named 'cv2'", name="cv2"), "pip install cv2"),
        (RuntimeError("operator does not exist"), "mmcv cannot be imported (operator does not exist)"),
    ],
)
def test_operators_that_do_not_load_end_with_1(machine, monkeypatch, capsys, error: Exception, message: str) -> None:
    def fail(_name: str) -> None:
        raise error

    monkeypatch.setattr(importlib, "import_module", fail)
    assert doctor.run() == 1
    assert message in capsys.readouterr().out


def test_the_fixes_are_listed_with_their_state(machine, monkeypatch, capsys) -> None:
    fix = mmdist.compat.FixStatus(7, "a fix", "something fails", "old versions", True, True, "import")
    rows = {"active": (True, True), "when used": (True, False), "not needed": (False, False)}
    for state, (needed, active) in rows.items():
        one = mmdist.compat.FixStatus(**{**vars(fix), "needed": needed, "active": active})
        monkeypatch.setattr(mmdist.compat, "status", lambda one=one: [one])
        doctor.run()
        assert f"7  a fix  {state}" in capsys.readouterr().out


def test_it_runs_where_only_torch_is_installed(tmp_path: Path) -> None:
    there = tmp_path / "packages"
    there.mkdir()
    for entry in Path(torch.__file__).parents[1].iterdir():
        if entry.name.split("-")[0].removesuffix(".py") in ("torch", "torchgen", "typing_extensions", "filelock"):
            (there / entry.name).symlink_to(entry)
    (there / "mmdist").symlink_to(Path(mmdist.__file__).parent)
    code = f"import sys; sys.path.insert(0, {str(there)!r}); from mmdist.cli import doctor; sys.exit(doctor.run())"
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "without it, mmdist.functional alone works" in done.stdout


def test_this_environment_is_healthy(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("mmcv")
    assert doctor.run() == 0, capsys.readouterr().out

"""``mmdist doctor``."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import torch

import mmdist
from mmdist.cli import doctor
from mmdist.compat import import_trials, verdicts, versions
from mmdist.compat.import_trials import Trial

WORKS = {row.distributions[0]: row.tested or "1.0" for row in versions.TABLE}


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What is installed, to be changed by the test; everything imports."""
    installed = dict(WORKS)
    monkeypatch.setattr(
        versions, "installed", lambda *names: next((installed[n] for n in names if n in installed), None)
    )
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    monkeypatch.setattr(verdicts, "find_spec", lambda name: None)
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


@pytest.fixture
def imports(machine, monkeypatch: pytest.MonkeyPatch) -> list[Trial]:
    """What comes of the imports, to be filled by the test."""
    trials: list[Trial] = []
    monkeypatch.setattr(doctor, "_installed", lambda name: True)
    monkeypatch.setattr(import_trials, "run", lambda names: trials)
    return trials


OPERATORS = "mmcv._ext"


@pytest.mark.parametrize(
    ("trial", "message"),
    [
        (Trial(OPERATORS, OPERATORS, "ImportError: _ext.so: undefined symbol: _ZNK3c105Error4whatEv"), "rebuild mmcv"),
        (Trial(OPERATORS, OPERATORS, "ModuleNotFoundError: ...", missing=OPERATORS), "without its operators"),
        (Trial(OPERATORS, OPERATORS, "ModuleNotFoundError: ...", missing="cv2"), "pip install opencv-python-headless"),
        (
            Trial(OPERATORS, OPERATORS, "RuntimeError: operator does not exist"),
            "(RuntimeError: operator does not exist)",
        ),
        (Trial("mmdet", "mmdet.models", "ModuleNotFoundError: No module named 'a'", "a"), "pip install a"),
        (Trial("mmseg", "mmseg.models", "TypeError: no arguments", origin="somebody"), "comes from somebody"),
        (Trial("mmseg", "mmseg", "the process was ended by SIGSEGV", crashed=True), "import mmseg fails: the process"),
        (Trial("mmdet", "mmdet", "ImportError: libGL.so.1: cannot open", origin="cv2"), "opencv-python-headless"),
        (Trial("mmseg", "mmseg", "ValueError: numpy.dtype size changed", origin="a"), "pip install numpy=="),
        (Trial("mmdet", "mmdet", "AssertionError: MMCV==2.2.0", origin="mmdet"), "--no-deps mmdet==3.3.0"),
    ],
)
def test_an_import_that_fails_ends_with_1_the_reason_and_a_remedy(imports, capsys, trial: Trial, message: str) -> None:
    imports += [Trial("mmrazor"), trial]
    assert doctor.run() == 1
    out = capsys.readouterr().out
    assert message in out.partition("error: ")[2]
    assert out.count("error: ") == 1
    assert "works together" not in out


def test_what_a_fix_switched_off_is_said(imports, monkeypatch, capsys: pytest.CaptureFixture[str]) -> None:
    imports += [Trial("mmdet", fixes={12: True}, notes=("they are off",)), Trial("mmseg", notes=("they are off",))]
    assert doctor.run() == 0
    assert capsys.readouterr().out.count("note: they are off") == 1


@pytest.mark.parametrize(
    ("found", "state"),
    [([{7: False}, {7: True}], "active"), ([{7: False}], "when used"), ([{7: False}, {}], "not needed")],
)
def test_a_fix_is_as_it_is_after_the_imports(imports, monkeypatch, capsys, found, state: str) -> None:
    fix = mmdist.compat.FixStatus(7, "a fix", "something fails", "old versions", True, False, "import")
    monkeypatch.setattr(mmdist.compat, "status", lambda: [fix])
    imports += [Trial("mmdet", fixes=fixes) for fixes in found]
    doctor.run()
    assert f"7  a fix  {state}" in capsys.readouterr().out


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


def test_this_environment_is_healthy(monkeypatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("mmcv")
    # Without the libraries, for the time that they take: `mmdist doctor` itself imports all of them.
    monkeypatch.setattr(doctor, "LIBRARIES", ())
    assert doctor.run() == 0, capsys.readouterr().out


def test_beside_a_transformers_that_lacks_names_it_says_what_is_off(monkeypatch, capsys, tmp_path: Path) -> None:
    pytest.importorskip("mmpretrain")
    pytest.importorskip("pycocotools")
    spec = spec_from_file_location("stubs", Path(__file__).parents[1] / "compat" / "stub_packages.py")
    stubs = module_from_spec(spec)
    spec.loader.exec_module(stubs)
    monkeypatch.syspath_prepend(stubs.write_transformers(tmp_path / "site", "5.0.0", gone=("prune_linear_layer",)))
    monkeypatch.setattr(doctor, "LIBRARIES", ("mmpretrain",))
    monkeypatch.setattr(doctor, "OPERATORS", "mmengine")
    assert doctor.run() == 0
    out = capsys.readouterr().out
    note = next(line for line in out.splitlines() if line.startswith("note: "))
    assert "5.0.0" in note and "prune_linear_layer" in note and "pip install transformers==" in note
    assert "12  MMPretrain's multimodal models  active" in out

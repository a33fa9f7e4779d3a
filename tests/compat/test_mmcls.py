"""Fix 2: an installed mmcls."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mmdist.compat import mmcls, versions


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with an mmcls in it that refuses the installed mmcv, as the last real one does."""
    package = tmp_path / "site" / "mmcls"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("assert False, 'MMCV is used but incompatible'\n")
    return package.parent


def test_mmrazor_does_not_import_beside_mmcls_without_the_fix(run_python, site: Path) -> None:
    pytest.importorskip("mmcv")
    if versions.installed("mmrazor") is None or not versions.at_least(versions.installed("mmcv"), "2.1"):
        pytest.skip("needs mmrazor and mmcv >= 2.1")
    done = run_python("import sys, mmdist; del sys.modules['mmcls']; import mmrazor.datasets", path=site)
    assert done.returncode != 0
    assert "AssertionError: MMCV is used but incompatible" in done.stderr


def test_mmrazor_imports_beside_mmcls_with_the_fix(run_python, site: Path) -> None:
    pytest.importorskip("mmcv")
    if versions.installed("mmrazor") is None or not versions.at_least(versions.installed("mmcv"), "2.1"):
        pytest.skip("needs mmrazor and mmcv >= 2.1")
    done = run_python("import mmdist, mmrazor.datasets; print(mmdist.compat.mmcls.active())", path=site)
    assert done.stdout.strip() == "True", done.stderr


def test_it_is_not_applied_without_mmcls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "installed", lambda *_: "2.1.0")
    monkeypatch.delitem(sys.modules, "mmcls", raising=False)
    monkeypatch.setattr(mmcls, "find_spec", lambda _: None)
    assert not mmcls.needed()


@pytest.mark.parametrize(("mmcv", "expected"), [("2.0.1", False), ("2.1.0", True), (None, False)])
def test_it_is_needed_from_mmcv_2_1_on(monkeypatch, site: Path, mmcv: str | None, expected: bool) -> None:
    monkeypatch.setattr(versions, "installed", lambda *_: mmcv)
    monkeypatch.delitem(sys.modules, "mmcls", raising=False)
    monkeypatch.syspath_prepend(site)
    assert mmcls.needed() is expected


def test_an_mmcls_that_did_import_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    real = object()
    monkeypatch.setitem(sys.modules, "mmcls", real)
    mmcls.apply()
    assert sys.modules["mmcls"] is real

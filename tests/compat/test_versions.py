"""The table of versions."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from mmdist.compat import versions


@pytest.mark.parametrize(
    ("version", "limit", "expected"),
    [
        ("2.13.0+cpu", "2.6", True),
        ("2.5.1", "2.6", False),
        ("2.10", "2.9", True),
        ("2.1", "2.1.0", True),
        ("2.0.0rc4", "2.1", False),
        (None, "1.0", False),
    ],
)
def test_versions_are_compared_by_number(version: str | None, limit: str, expected: bool) -> None:
    assert versions.at_least(version, limit) is expected


def test_the_window_reads_like_pip() -> None:
    assert versions.supported("mmcv").window == ">=2.0.0,<2.2.0"
    assert versions.supported("joblib").window == "any"


def test_the_remedy_installs_the_tested_version() -> None:
    assert versions.supported("mmdet").remedy == "pip install mmdet==3.3.0"
    assert versions.supported("ftfy").remedy == "pip install ftfy"
    assert "--no-build-isolation" in versions.supported("mmcv").remedy


def test_a_package_that_is_not_installed_has_no_version() -> None:
    assert versions.installed("no-such-package-at-all") is None


def test_the_version_that_runs_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "some_package", SimpleNamespace(__version__="9.9"))
    assert versions.installed("some-package") == "9.9"


def test_the_tested_versions_are_supported_themselves() -> None:
    for row in versions.TABLE:
        if row.tested:
            assert not row.minimum or versions.at_least(row.tested, row.minimum), row.package
            assert not row.below or not versions.at_least(row.tested, row.below), row.package


def test_the_documentation_tells_the_same_versions() -> None:
    page = Path(__file__).parents[2] / "docs" / "en" / "compatibility.md"
    lines = [line for line in page.read_text().splitlines() if line.startswith("|")]
    for row in versions.TABLE:
        if row.package != "opencv":  # comes with mmengine
            assert any(row.package in line and row.tested in line for line in lines), row.package


def test_pip_asks_for_the_same_versions() -> None:
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet

    folder = Path(__file__).parents[2] / "requirements"
    lines = [line for name in ("runtime", "openmmlab") for line in (folder / f"{name}.txt").read_text().splitlines()]
    wanted = {r.name: r.specifier for r in map(Requirement, (line for line in lines if line and line[0] != "#"))}
    for row in versions.TABLE:
        specifier = wanted.get(row.distributions[0])
        if specifier and row.package != "setuptools":  # torch needs a recent one to be built against
            limits = SpecifierSet(row.window)
            versions_near = [row.minimum, row.below, row.tested, "0.0.1", "99"]
            for version in filter(None, versions_near):
                assert (version in specifier) == (version in limits), (row.package, version)

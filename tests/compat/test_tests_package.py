"""Fix 6: other projects' package called tests."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from mmdist.compat import tests_package

TESTS = Path(__file__).parents[1]


def test_this_project_has_no_package_called_tests() -> None:
    assert list(TESTS.rglob("__init__.py")) == []


def test_pytest_runs_in_importlib_mode(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.getoption("importmode") == "importlib"


def test_a_library_that_ships_a_tests_package_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Distribution:
        files = (metadata.PackagePath("mmrazor/__init__.py"), metadata.PackagePath("tests/__init__.py"))

    monkeypatch.setattr(metadata, "distribution", lambda _: Distribution)
    assert tests_package.needed()
    Distribution.files = Distribution.files[:1]
    assert not tests_package.needed()

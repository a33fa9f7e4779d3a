"""Where mmdist keeps what it has built or fetched: one rule for the set-up, the data sources and the kernels."""

from __future__ import annotations

import pwd
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from environment import cache
from environment.failure import SetupFailure
from helpers.env_checkout import Checkout, one_line

from mmdist.errors import MMDistError
from mmdist.functional import _cpu_cache


@pytest.fixture
def rules(load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], Path]]:
    """The rule of each part, in an environment that says nothing."""
    for name in ("MMDIST_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    return [cache.cache_folder, load("_wheels").cache_dir, lambda: _cpu_cache.cache_folder().parent]


@pytest.mark.parametrize(("variables", "expected"), [
    ({"MMDIST_CACHE": "{0}/a", "XDG_CACHE_HOME": "{0}/b"}, "a"),
    ({"MMDIST_CACHE": "~/a"}, "home/a"),
    ({"MMDIST_CACHE": "", "XDG_CACHE_HOME": "{0}/b"}, "b/mmdist"),
    ({"XDG_CACHE_HOME": "~/b"}, "home/b/mmdist"),
    ({"XDG_CACHE_HOME": ""}, "home/.cache/mmdist"),
    ({}, "home/.cache/mmdist"),
])  # fmt: skip
def test_it_is_where_the_environment_says(
    rules: list[Callable[[], Path]], variables: dict[str, str], expected: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for name, value in ({"HOME": "{0}/home"} | variables).items():
        monkeypatch.setenv(name, value.format(tmp_path))
    assert [rule() for rule in rules] == [tmp_path.resolve() / expected] * 3


def no_entry(_: int) -> None:
    raise KeyError


@pytest.mark.parametrize("base", ["", "~/somewhere"])
def test_a_home_that_nobody_knows_is_answered_with_the_remedy(
    rules: list[Callable[[], Path]], base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", no_entry)
    monkeypatch.setenv("XDG_CACHE_HOME", base)
    for rule, error in zip(rules, (SetupFailure, MMDistError, RuntimeError), strict=True):
        with pytest.raises(error, match="MMDIST_CACHE"):
            rule()


def test_a_set_up_without_a_home_ends_in_one_line_and_needs_none_where_mmcv_is_there(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("HOME", "MMDIST_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", no_entry)
    assert checkout.set_up()[0] == 1
    assert "MMDIST_CACHE" in one_line(capfd.readouterr().err) and not checkout.state["calls"]
    checkout.change(installed={"pip": "26.3", "mmcv": "2.1.0"})
    assert checkout.set_up()[0] == 0

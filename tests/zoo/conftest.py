"""The zoo's line at the end: how many configs trained, and how long it took."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from unittest.mock import patch

import pytest
from mmengine.config import config, utils

TEST = "test_a_config_of_the_zoo_trains_one_iteration["
LOAD, IS_INSTALLED = cache(utils.load), cache(config.is_installed)


@pytest.fixture(autouse=True, scope="module")
def _quick_lookups() -> Iterator[None]:
    """mmengine reads all metafiles of a library once a `pkg::` base: seconds a config."""
    with patch.object(utils, "load", LOAD), patch.object(config, "is_installed", IS_INSTALLED):
        yield


def zoo_line(passed: Iterable, failed: Iterable) -> str:
    """``zoo: 3 of 4 configs trained one iteration, 12 s of runs``, or nothing where none was to."""
    good, bad = ([report for report in reports if TEST in report.nodeid] for reports in (passed, failed))
    seconds = sum(report.duration for report in (*good, *bad))
    number = len(good) + len(bad)
    return f"zoo: {len(good)} of {number} configs trained one iteration, {seconds:.0f} s of runs" if number else ""


def pytest_terminal_summary(terminalreporter) -> None:
    """Print it, whatever processes the tests ran in."""
    stats = terminalreporter.stats
    line = zoo_line(stats.get("passed", []), stats.get("failed", []))
    if line:
        terminalreporter.write_line(line)

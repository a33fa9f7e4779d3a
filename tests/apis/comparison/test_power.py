"""The documentation's table of seeds and differences."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
from helpers.accuracy_results import OLD_RESULTS, ROOT, convert, plan

from mmdist.apis.comparison.lines import lines
from mmdist.apis.comparison.power import DEVIATIONS, SEEDS, power_table
from mmdist.apis.comparison.statistics import detectable, seeds_for
from mmdist.apis.comparison.table_layout import markdown_table

PAGE = (ROOT / "docs" / "en" / "compare.md").read_text(encoding="utf-8")
WORDS = " ".join(PAGE.split())


def deviation(task: plan.Task) -> float:
    """Of DIST's paired differences at equal length, from the committed results."""
    rows, known = convert(OLD_RESULTS, task)
    by_arm = {line.arm: line.values for line in lines(rows, known) if line.length == known.length}
    differences = [by_arm["dist"][seed] - by_arm["plain"][seed] for seed in by_arm["dist"]]
    mean = sum(differences) / len(differences)
    return math.sqrt(sum((value - mean) ** 2 for value in differences) / (len(differences) - 1))


def test_the_page_has_the_table_that_the_command_prints():
    inside = PAGE.partition("<!-- begin power -->")[2].partition("<!-- end power -->")[0]
    assert inside.strip() == markdown_table(power_table())
    command = [sys.executable, "-m", "mmdist.apis.comparison.power"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, timeout=120).stdout
    assert printed.strip() == inside.strip()


def test_the_table_agrees_with_the_number_of_seeds_that_a_difference_takes():
    table = power_table()
    for row, seeds in zip(table.rows, SEEDS, strict=True):
        for cell, spread in zip(row[1:], DEVIATIONS, strict=True):
            assert float(cell) == pytest.approx(detectable(spread, seeds), abs=0.005)
            assert seeds_for(1.001 * detectable(spread, seeds), spread) == seeds


def test_the_examples_on_the_page_are_right():
    assert "Three seeds show a difference of 1.63 points. For half a point you need ten." in WORDS
    assert detectable(0.5, 3) == pytest.approx(1.63, abs=0.005)
    assert seeds_for(0.5, 0.5) == 10
    found = {task.name: deviation(task) for task in plan.TASKS}
    assert f"between {found['seg-nuclei']:.2f} points (nuclei) and {found['det-digits']:.2f} points" in WORDS
    assert min(found, key=found.get) == "seg-nuclei"
    assert max(found, key=found.get) == "det-digits"

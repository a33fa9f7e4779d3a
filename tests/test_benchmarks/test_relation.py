"""``benchmarks/relation.py`` runs and measures what it says."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from references import dist as reference

PATH = Path(__file__).parents[2] / "benchmarks" / "relation.py"


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("relation_benchmark", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_official_formula_it_compares_with_is_that_of_the_definition(benchmark):
    student, teacher = torch.randn(2, 2, 5, 3, 2, dtype=torch.float64).unbind(0)
    rows = [x.movedim(1, -1).reshape(-1, 5).tolist() for x in (student, teacher)]
    for activation in ("softmax", "sigmoid"):
        expected = reference.dist(*rows, activation=activation)
        assert benchmark.official(student, teacher, activation).item() == pytest.approx(expected, rel=1e-9)


def test_peak_memory_counts_what_is_allocated_beyond_the_inputs(benchmark):
    student, teacher = torch.randn(2, 64, 64, 64).unbind(0)
    student.requires_grad_()
    peak = benchmark.peak_maps(lambda s, t: s.exp().sum(), student, teacher)
    assert peak == pytest.approx(2, abs=0.1)  # the exponentials, which are kept, and the gradient


@pytest.mark.slow
def test_a_quick_run_writes_table_and_json(tmp_path):
    command = [sys.executable, PATH, "--quick", "--no-compile", "--repeats", "2"]
    out = subprocess.run(
        [*command, "--json", tmp_path / "out.json", "--markdown", tmp_path / "out.md"],
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert out.returncode == 0, out.stderr
    results = json.loads((tmp_path / "out.json").read_text())["results"]
    ours = [line for line in results if line["loss"] == "mmdist"]
    assert len(ours) == 2
    assert all(line["error_norm"] < 1e-6 and line["ms"] > 0 for line in ours)
    assert (tmp_path / "out.md").read_text().count("\n") == 2 + len(results)

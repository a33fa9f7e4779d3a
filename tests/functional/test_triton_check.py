"""A Triton kernel that is wrong or cannot run: PyTorch's operations take over, with one warning and right values.

Triton's interpreter stands in for a GPU. Whether Triton interprets is settled when it is first imported, so that
happens in a process of its own: run as a script, this file computes all its cases.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

import mmdist
from mmdist.errors import ConfigError
from mmdist.functional import _triton, _triton_check, dist_loss, relation

SHAPES = ((2, 5, 6, 7), (3, 19, 4, 4))


class Wrong:
    """A kernel that computes on inputs of another size than those that it was given."""

    def __init__(self, kernel: Any, argument: int) -> None:
        self.kernel, self.argument = kernel, argument

    def __getitem__(self, grid: tuple[int, ...]) -> Any:
        def launch(*arguments: Any, **options: Any) -> None:
            self.kernel[grid](*arguments, **options)
            arguments[self.argument].mul_(1.5)  # what it wrote

        return launch


class Raising:
    """A kernel that does not run, from the n-th launch on."""

    def __init__(self, kernel: Any, first: int) -> None:
        self.kernel, self.left = kernel, first

    def __getitem__(self, grid: tuple[int, ...]) -> Any:
        def launch(*arguments: Any, **options: Any) -> None:
            self.left -= 1
            if self.left < 0:
                raise RuntimeError("PTXASError: no such instruction\nand more")
            self.kernel[grid](*arguments, **options)

        return launch


CASES: dict[str, tuple[tuple[Any, ...], ...]] = {  # what is done to the kernels
    "right": (),
    "wrong row distances": (("moments_kernel", Wrong, 4),),
    "wrong columns": (("moments_kernel", Wrong, 6),),
    "wrong gradient": (("gradient_kernel", Wrong, 3),),
    "no first pass": (("moments_kernel", Raising, 0),),
    "no second pass": (("gradient_kernel", Raising, 0),),
    "second pass breaks after its check": (("gradient_kernel", Raising, 1),),
    "forced": (("gradient_kernel", Wrong, 3),),
    "off": (("gradient_kernel", Raising, 0),),
    "inside a transform": (("gradient_kernel", Raising, 0),),
    "while a graph is captured": (("gradient_kernel", Raising, 0),),
}
SETTINGS = {"forced": "1", "off": "0"}


@contextmanager
def circumstances(name: str) -> Iterator[None]:
    """The kernels as the case has them, on what passes for a GPU."""
    from mmdist.functional import _triton_kernels

    _triton_check._passed.clear()
    _triton_check._failures.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(relation, "PLAIN_BELOW", -1)
        patch.setattr(_triton, "available", lambda z: True)
        patch.setenv(_triton_check.SWITCH, SETTINGS.get(name, ""))
        for kernel, wrapper, argument in CASES[name]:
            patch.setattr(_triton_kernels, kernel, wrapper(getattr(_triton_kernels, kernel), argument))
        if name == "while a graph is captured":
            patch.setattr(torch.cuda, "is_available", lambda: True)
            patch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
        yield


def run_case(name: str) -> dict[str, Any]:
    """Errors of losses and gradients with these kernels, and what was warned of."""
    pairs = [torch.randn(2, *shape, generator=torch.Generator().manual_seed(1)) for shape in SHAPES]
    expected = [compute(*pair) for pair in pairs]
    state = torch.get_rng_state()
    with circumstances(name), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if name == "inside a transform":
            got = [torch.func.grad_and_value(dist_loss)(*pair) for pair in pairs]
            got = [(float(value), gradient) for gradient, value in got]
        else:
            got = [compute(*pair) for pair in pairs]
            assert all(a[0] == compute(*pair)[0] for a, pair in zip(got, pairs, strict=True)) or CASES[name]
        errors = [
            max(abs(a[0] - b[0]), float((a[1] - b[1]).abs().max() / b[1].abs().max()))
            for a, b in zip(got, expected, strict=True)
        ]
        return {
            "errors": errors,
            "warnings": [str(warning.message) for warning in caught if warning.category is RuntimeWarning],
            "passed": len(_triton_check._passed),
            "failures": list(_triton_check._failures),
            "random state": bool(state.equal(torch.get_rng_state())),
            "doctor": _triton_check.check_triton("cpu") if name in ("right", "wrong gradient") else [],
        }


def compute(student: torch.Tensor, teacher: torch.Tensor) -> tuple[float, torch.Tensor]:
    student = student.clone().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = dist_loss(student, teacher)
        value.backward()
    return float(value), student.grad


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    pytest.importorskip("triton")
    environment = os.environ | {
        "PYTHONPATH": str(Path(mmdist.__file__).parents[1]),
        "OMP_NUM_THREADS": "1",
        "TRITON_INTERPRET": "1",
    }
    command = [sys.executable, "-W", "ignore", __file__]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", [name for name in CASES if name != "forced"])
def test_values_and_gradients_are_right_whatever_the_kernels_do(name, results):
    assert max(results[name]["errors"]) < 1e-5


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith(("wrong", "no ", "second"))])
def test_a_kernel_that_fails_is_left_with_one_warning_that_asks_for_a_report(name, results):
    (warning,) = results[name]["warnings"]
    assert "report" in warning and "mmdist doctor" in warning and "\n" not in warning
    assert len(results[name]["failures"]) == 1


def test_kernels_that_agree_are_used_without_a_word_and_checked_once_a_variant(results):
    assert results["right"]["warnings"] == [] and results["right"]["passed"] == len(SHAPES)
    assert [outcome for _, outcome in results["right"]["doctor"]] == ["ok"] * len(_triton_check.CASES)


def test_the_check_draws_no_random_numbers(results):
    assert results["right"]["random state"]


def test_the_doctor_names_what_differs(results):
    assert all("gradient differs" in outcome for _, outcome in results["wrong gradient"]["doctor"])


def test_the_environment_forces_the_kernels_or_leaves_them(results):
    assert max(results["forced"]["errors"]) > 0.1 and results["forced"]["passed"] == 0
    assert results["off"]["warnings"] == [] and results["off"]["passed"] == 0


@pytest.mark.parametrize("name", ["inside a transform", "while a graph is captured"])
def test_nothing_is_checked_where_nothing_can_be_looked_at(name, results):
    assert results[name]["failures"] == [] and results[name]["warnings"] == []


@pytest.mark.parametrize("value", ["2", "yes", "true", " 1"])
def test_another_value_of_the_switch_is_refused_in_one_line(value, monkeypatch):
    monkeypatch.setenv("MMDIST_TRITON", value)
    monkeypatch.setattr(_triton, "available", lambda z: True)
    with pytest.raises(ConfigError, match=f"MMDIST_TRITON = '{value}': expected 0 .never., 1 .always") as refused:
        _triton_check.usable(*torch.ones(2, 2, 3), None)
    assert "\n" not in str(refused.value)
    assert _triton_check.describe() == str(refused.value)


def test_more_classes_or_positions_than_the_kernels_are_made_for_go_elsewhere(monkeypatch):
    monkeypatch.setattr(_triton, "available", lambda z: True)
    for shape, usable in (((2, 1024, 3), True), ((2, 1025, 3), False), ((1, 2, 1 << 30, 2), False)):
        z = torch.ones(1).expand(shape)
        assert _triton_check.usable(z, z, None) is usable


def test_without_a_gpu_the_doctor_says_nothing_of_one():
    if not torch.cuda.is_available():
        assert _triton_check.check_triton() == [] and _triton_check.describe() == "-"


if __name__ == "__main__":
    print(json.dumps({name: run_case(name) for name in CASES}))

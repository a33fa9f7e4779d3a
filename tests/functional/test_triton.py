"""The Triton kernels against the PyTorch forms in float64: interpreted on the CPU, and on a GPU where there is one.

Whether Triton interprets is settled when it is first imported, so that happens in a process of its own: run as a
script, this file computes all its cases.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

import mmdist
from mmdist.functional import _blocked, _plain, _streaming, _triton
from mmdist.functional._blocked import Coefficients, Spec

TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-6, torch.float16: 1e-3, torch.bfloat16: 8e-3}
ON = ["interpreter", "cuda"] if torch.cuda.is_available() else ["interpreter"]


class Case(NamedTuple):
    shape: tuple[int, int, int]  # (N, C, S)
    activation: str = "softmax"
    dtype: torch.dtype = torch.float64
    layout: str = "contiguous"
    weighted: bool = False
    tau: float = 1.0
    guard_rel: float = 1e-4
    rows: bool = True
    columns: bool = True
    scale: float = 2.0  # of the student's logits
    amplified: float = 1.0  # rounding errors, by what the inputs are like

    @property
    def spec(self) -> Spec:
        return Spec(self.activation, self.tau, self.guard_rel, self.rows, self.columns)

    @property
    def compute(self) -> torch.dtype:
        return torch.float64 if self.dtype == torch.float64 else torch.float32


def _passes() -> dict[str, Case]:
    """Cases of the two passes by themselves."""
    cases = {}
    for activation in ("softmax", "sigmoid", "none"):
        for weighted in (False, True):
            name = f"{activation}{'-weighted' if weighted else ''}"
            base = Case((2, 5, 33), activation, weighted=weighted, tau=2.0)
            cases[name] = base
            cases[f"{name}-rows"] = base._replace(columns=False, guard_rel=0.0)
            cases[f"{name}-columns"] = base._replace(rows=False)
            cases[f"{name}-channels_last"] = base._replace(layout="channels_last", shape=(2, 19, 20))
            for dtype in (torch.float32, torch.float16, torch.bfloat16):
                cases[f"{name}-{str(dtype)[6:]}"] = base._replace(dtype=dtype, shape=(1, 19, 64), tau=1.0)
        for shape in ((1, 1, 7), (1, 2, 5), (2, 1, 1), (3, 2, 1), (1, 150, 40), (0, 3, 4), (2, 3, 0), (1, 1000, 2)):
            cases[f"{activation}-{'x'.join(map(str, shape))}"] = Case(shape, activation)
    many = Case((2, 5, 4200), dtype=torch.float32)
    cases |= {
        "many-tiles": many,
        "many-tiles-weighted": many._replace(weighted=True),
        "near-equal-scores": many._replace(shape=(2, 19, 600), scale=0.1),
        "expanded": Case((3, 5, 20), layout="expanded"),
        "rows-of-a-matrix": Case((1, 10, 40), layout="rows", weighted=True),
        "not-aligned": Case((2, 20, 32), layout="offset", dtype=torch.float32),
        "most-classes": Case((1, 1024, 4), weighted=True),
        "most-classes-channels-last": Case((1, 1024, 4), layout="channels_last", dtype=torch.float32),
    }
    return cases


PASSES = _passes()
LOSSES = {  # through autograd, where the definition breaks down or float32 gets near its end
    "softmax": Case((2, 7, 20), dtype=torch.float32),
    "sigmoid": Case((2, 7, 20), "sigmoid", weighted=True, tau=4.0),
    "none": Case((2, 7, 20), "none", layout="channels_last"),
    "huge-logits": Case((2, 7, 20), scale=1e4, dtype=torch.float32),
    "least-tau": Case((2, 7, 20), tau=1e-6, dtype=torch.float32, weighted=True),
    "large-tau": Case((2, 7, 20), tau=1e3, dtype=torch.float32, amplified=1e3),
    "constant-student": Case((2, 7, 20), scale=0.0, dtype=torch.float32),
    "nearly-constant-student": Case((2, 7, 20), scale=1e-6, amplified=1e3),
    "one-position": Case((1, 7, 1), dtype=torch.float32),
    "one-class": Case((2, 1, 20), dtype=torch.float32),
    "nothing-counts": Case((2, 7, 20), layout="nothing", weighted=True, dtype=torch.float32),
}


def inputs(name: str, case: Case, device: str = "cpu") -> tuple[Tensor, Tensor, Tensor | None]:
    """Logits and weights; where the weight is 0 the logits hold NaN and infinity."""
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    n, _, s = case.shape

    def laid_out(z: Tensor) -> Tensor:
        if case.layout in ("channels_last", "rows"):
            return z.transpose(1, 2).contiguous().transpose(1, 2)
        if case.layout == "offset":
            return torch.cat([z.new_zeros(1), z.flatten()])[1:].view(z.shape)
        return z[:1].expand(z.shape) if case.layout == "expanded" else z.contiguous()

    weight = None
    z_s, z_t = (torch.randn(case.shape, generator=generator, dtype=torch.float64) * x for x in (case.scale, 2.0))
    if case.weighted:
        weight = torch.rand(n, s, generator=generator, dtype=torch.float64).to(case.compute)
        weight *= torch.rand(n, s, generator=generator) > (1 if case.layout == "nothing" else 0.3)
        z_s, z_t = (z.masked_fill((weight == 0)[:, None], x) for z, x in ((z_s, torch.nan), (z_t, torch.inf)))
        weight = weight.to(device)
    z_s, z_t = (laid_out(z.to(case.dtype).to(device)) for z in (z_s, z_t))
    return z_s, z_t, weight


def coefficients(name: str, case: Case, device: str = "cpu") -> Coefficients:
    """Of the second pass, made up: it shall be right by itself."""
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()) + 1)
    col_s, col_t, mean_s, mean_t = torch.rand(4, case.shape[1], 1, generator=generator, dtype=torch.float64)
    by = Coefficients(torch.tensor(0.3, dtype=torch.float64), col_s, -col_t, mean_s / 9, mean_t / 9)
    return Coefficients(*(x.to(case.compute).to(device) for x in by))


def run_passes(name: str, device: str = "cpu") -> tuple[tuple[Tensor, ...], Tensor]:
    case = PASSES[name]
    z_s, z_t, weight = inputs(name, case, device)
    moments = _triton.moments(z_s, z_t, weight, case.spec, case.compute)
    gradient = _triton.gradient(z_s, z_t, weight, case.spec, case.compute, coefficients(name, case, device))
    return tuple(x.cpu() for x in moments), gradient.cpu()


def run_loss(name: str, device: str = "cpu") -> tuple[Tensor, Tensor]:
    case = LOSSES[name]
    z_s, z_t, weight = inputs(name, case, device)
    z_s.requires_grad_()
    options: dict[str, Any] = {"row_weight": 1.0, "column_weight": 0.5, "dtype": case.compute}
    value = _streaming.streaming_relation(z_s, z_t, weight, None, case.spec, **options)
    value.backward()
    return value.detach().cpu(), z_s.grad.cpu()


def plain_loss(name: str) -> tuple[Tensor, Tensor]:
    """The definition in float64, differentiated by autograd."""
    case = LOSSES[name]
    z_s, z_t, weight = (None if x is None else x.double() for x in inputs(name, case))
    counts = torch.ones_like(z_s[:, 0]) if weight is None else weight
    z_s.requires_grad_()
    y_s, y_t = (z.masked_fill((counts == 0)[:, None], 0) / case.tau for z in (z_s, z_t))
    if case.activation != "none":
        y_s, y_t = ((y.softmax(1) if case.activation == "softmax" else y.sigmoid()) for y in (y_s, y_t))
    w = counts[:, None]
    rows = _plain.pearson_distance(y_s, y_t, dims=(1,), guard_rel=case.guard_rel)
    columns = _plain.pearson_distance(y_s, y_t, dims=(0, 2), weight=w, guard_rel=case.guard_rel)
    value = (rows * w).sum() / w.sum().clamp_min(1e-300) + 0.5 * columns.mean() * (w.sum() > 0)
    value.backward()
    return value.detach(), z_s.grad


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("triton") / "results.pt"
    _run_this_file(path, TRITON_INTERPRET="1")
    return torch.load(path)


def _run_this_file(path: Path, **variables: str) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(mmdist.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", __file__, str(path)]
    done = subprocess.run(command, env=environment | variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.mark.parametrize("name", PASSES)
@pytest.mark.parametrize("on", ON)
def test_both_passes_equal_the_blocked_form_in_float64(name, on, request):
    case = PASSES[name]
    moments, gradient = request.getfixturevalue("results")[f"pass {name}"] if on != "cuda" else run_passes(name, "cuda")
    z_s, z_t, weight = (None if x is None else x.double() for x in inputs(name, case))
    by = Coefficients(*(x.double() for x in coefficients(name, case)))
    expected = _blocked.moments(z_s, z_t, weight, case.spec, torch.float64)
    for field, value in expected._asdict().items():
        got = moments[expected._fields.index(field)]
        error = (got - value).abs().max().item() if value.numel() else 0.0
        assert got.dtype == torch.float64
        assert error <= TOLERANCE[case.compute] * (1 + value.abs().max().item()), field
    expected = _blocked.gradient(z_s, z_t, weight, case.spec, torch.float64, by)
    assert gradient.shape == z_s.shape and gradient.dtype == case.dtype
    if gradient.numel():
        error = (gradient.double() - expected).abs().max()
        assert error <= TOLERANCE[case.dtype] * expected.abs().max() + 1e-14
    if weight is not None:
        assert (gradient.movedim(1, 2)[weight == 0] == 0).all()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("on", ON)
def test_value_and_gradient_are_those_of_the_definition(name, on, request, monkeypatch):
    monkeypatch.setattr(_streaming, "_backend", lambda *tensors: _triton)
    value, gradient = request.getfixturevalue("results")[f"loss {name}"] if on != "cuda" else run_loss(name, "cuda")
    expected, expected_gradient = plain_loss(name)
    case = LOSSES[name]
    tolerance = TOLERANCE[case.dtype] * case.amplified
    assert value.item() == pytest.approx(expected.item(), rel=tolerance, abs=tolerance)
    assert gradient.isfinite().all()
    error = (gradient.double() - expected_gradient).abs().max()
    assert error <= tolerance * expected_gradient.abs().max() + 1e-9


def test_the_gradient_has_the_layout_of_the_student(results):
    for name, strides in (("none-channels_last", (380, 1, 19)), ("none", (165, 33, 1)), ("expanded", (100, 20, 1))):
        assert results[f"pass {name}"][1].stride() == strides


def test_triton_is_neither_imported_nor_needed_before_a_kernel_runs():
    code = "import sys; sys.modules['triton'] = None; import torch; from mmdist.functional import dist_loss, _triton\n"
    code += "assert not _triton._installed() and not _triton.available(torch.ones(1)); dist_loss(*torch.rand(2, 3, 4))"
    environment = os.environ | {"PYTHONPATH": str(Path(mmdist.__file__).parents[1])}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


def test_a_triton_that_is_too_old_is_not_used(monkeypatch):
    triton = pytest.importorskip("triton")
    monkeypatch.setattr(triton, "__version__", "3.2.0")
    assert not _triton._installed.__wrapped__()
    monkeypatch.setattr(triton, "__version__", "3.10.1+git1234")
    assert _triton._installed.__wrapped__()


if __name__ == "__main__":
    _streaming._backend = lambda *tensors: _triton
    torch.save(
        {f"pass {name}": run_passes(name) for name in PASSES} | {f"loss {name}": run_loss(name) for name in LOSSES},
        Path(sys.argv[1]),
    )

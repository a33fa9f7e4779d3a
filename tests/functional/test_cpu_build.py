"""The C kernels: built when they can be, and never in the way when they cannot."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmdist.functional import _cpu, _cpu_build, dist_loss


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An empty cache and a process that has not tried yet; what other tests use comes back afterwards."""
    monkeypatch.setenv("MMDIST_CACHE", str(tmp_path))
    monkeypatch.delenv(_cpu_build.SWITCH, raising=False)
    _cpu_build.kernels.cache_clear()
    yield tmp_path / "kernels"
    _cpu_build.kernels.cache_clear()


def compiler(folder: Path, script: str) -> str:
    path = folder / "cc-stub"
    path.write_text(f"#!{sys.executable}\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def needs_a_compiler() -> None:
    if _cpu_build.kernels().library is None:
        pytest.skip("needs a C compiler")


def test_they_are_built_once_and_found_again(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs_a_compiler()
    (built,) = fresh.iterdir()
    assert built.suffix == ".so"
    _cpu_build.kernels.cache_clear()
    monkeypatch.setattr(subprocess, "run", lambda *args, **kwargs: pytest.fail("compiled again"))
    assert _cpu_build.kernels().library is not None


def test_another_processor_or_compiler_gets_its_own(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs_a_compiler()
    monkeypatch.setattr(_cpu_build, "_processor", lambda: "another")
    _cpu_build.kernels.cache_clear()
    assert _cpu_build.kernels().library is not None
    assert len(list(fresh.iterdir())) == 2


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("import sys; sys.exit('error: no such option')", "no such option"),
        ("import sys; sys.exit(3)", "without a message"),
        ("import sys; open(sys.argv[sys.argv.index('-o') + 1], 'w').write('no library')", ""),
    ],
    ids=["refuses", "says nothing", "writes rubbish"],
)
def test_a_compiler_that_fails_is_a_reason_not_an_error(fresh: Path, tmp_path: Path, monkeypatch, script, reason):
    monkeypatch.setenv("CC", compiler(tmp_path, script))
    library, why = _cpu_build.kernels()
    assert library is None
    assert reason in why
    assert why
    student = torch.randn(2, 3, 4, 4, requires_grad=True)
    dist_loss(student, torch.randn(2, 3, 4, 4)).backward()
    assert student.grad.isfinite().all()


def test_a_cache_that_cannot_be_written_is_a_reason_not_an_error(tmp_path: Path, fresh: Path, monkeypatch) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("MMDIST_CACHE", str(tmp_path / "file"))
    assert _cpu_build.kernels().reason


def test_without_openmp_they_run_on_one_thread(fresh: Path, tmp_path: Path, monkeypatch) -> None:
    needs_a_compiler()
    script = (
        "import os, sys\n"
        "if '-fopenmp' in sys.argv: sys.exit('error: unsupported option -fopenmp')\n"
        "os.execvp('cc', ['cc', *sys.argv[1:]])"
    )
    monkeypatch.setenv("CC", compiler(tmp_path, script))
    _cpu_build.kernels.cache_clear()
    assert _cpu_build.kernels().library is not None
    student, teacher = torch.randn(4, 9, 60, 60, dtype=torch.float64), torch.randn(4, 9, 60, 60, dtype=torch.float64)
    assert _cpu.available(student.float(), teacher.float())
    assert dist_loss(student.float(), teacher.float()).item() == pytest.approx(dist_loss(student, teacher).item(), 1e-5)


def test_the_switch_turns_them_off(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(_cpu_build.SWITCH, "0")
    assert "MMDIST_CPU_KERNELS" in _cpu_build.kernels().reason
    assert not fresh.exists()


def test_processes_that_build_at_once_all_get_whole_kernels(fresh: Path) -> None:
    needs_a_compiler()
    for built in fresh.iterdir():
        built.unlink()
    code = "from mmdist.functional import _cpu_build; assert _cpu_build.kernels().library is not None"
    running = [subprocess.Popen([sys.executable, "-c", code], env=os.environ.copy()) for _ in range(3)]
    assert [process.wait(120) for process in running] == [0, 0, 0]
    assert len(list(fresh.iterdir())) == 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64, torch.float32])
def test_they_take_what_they_can_compute(dtype: torch.dtype) -> None:
    needs_a_compiler()
    maps = torch.zeros(1, 2, 3, dtype=dtype), torch.zeros(1, 2, 3)
    assert _cpu.available(*maps) is (dtype == torch.float32)
    assert not _cpu.available(maps[1].to("meta"), maps[1].to("meta"))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_a_nan_is_not_hidden(activation: str, value: float) -> None:
    needs_a_compiler()
    student, teacher = torch.randn(2, 5, 40), torch.randn(2, 5, 40)
    teacher[1, 2, 3] = value
    loss = dist_loss(student, teacher, activation=activation)
    assert loss.isnan() or (value == float("inf") and activation == "sigmoid")


def test_scores_far_apart_equal_float64() -> None:
    needs_a_compiler()
    torch.manual_seed(0)
    student, teacher = (30 * torch.randn(2, 4, 6, 50)).unbind()
    student.requires_grad_()
    exact = student.detach().double().requires_grad_()
    for activation in ("softmax", "sigmoid"):
        (got,) = torch.autograd.grad(dist_loss(student, teacher, activation=activation), student)
        (want,) = torch.autograd.grad(dist_loss(exact, teacher.double(), activation=activation), exact)
        torch.testing.assert_close(got.double(), want, rtol=1e-3, atol=1e-5 * want.abs().max().item())


def test_the_number_of_threads_does_not_change_the_result() -> None:
    needs_a_compiler()
    torch.manual_seed(0)
    student, teacher = torch.randn(3, 19, 61, 67), torch.randn(3, 19, 61, 67)
    mask = torch.rand(3, 61, 67) < 0.8
    found, before = [], torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            leaf = student.clone().requires_grad_()
            loss = dist_loss(leaf, teacher, mask=mask)
            found.append((loss.item(), torch.autograd.grad(loss, leaf)[0]))
    finally:
        torch.set_num_threads(before)
    for value, gradient in found[1:]:
        assert value == pytest.approx(found[0][0], rel=1e-7)
        torch.testing.assert_close(gradient, found[0][1], rtol=1e-5, atol=1e-7 * found[0][1].abs().max().item())

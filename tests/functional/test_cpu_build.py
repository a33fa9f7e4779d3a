"""The C kernels: built when they can be, and never in the way when they cannot."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmdist.functional import _cpu, _cpu_build, dist_loss, relation


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


def needs_a_compiler_program() -> None:
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler")


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


# The modules alone, without the second that importing torch takes.
ALONE = """
import sys, types, warnings
for name in ("mmdist", "mmdist.functional"):
    sys.modules[name] = types.ModuleType(name)
sys.modules["mmdist.functional"].__path__ = [{folder!r}]
warnings.simplefilter("always")
from mmdist.functional import _cpu_build
"""


def tried(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """What a new process says: a library that kills one must not kill the tests."""
    before = ALONE.format(folder=str(Path(_cpu_build.__file__).parent))
    command = [sys.executable, "-c", before + code]
    return subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, timeout=120)


@pytest.fixture
def quick(fresh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As ``fresh``, with a library in it whose functions do nothing: the real ones take seconds to compile."""
    needs_a_compiler_program()
    (tmp_path / "stub.c").write_text("".join(f"int {name}(void) {{ return 0; }}\n" for name in _cpu_build.FUNCTIONS))
    out = "sys.argv[sys.argv.index('-o') + 1]"
    source = str(tmp_path / "stub.c")
    script = f"import os, sys\nos.execvp('cc', ['cc', '-shared', '-fPIC', '-o', {out}, {source!r}])"
    monkeypatch.setenv("CC", compiler(tmp_path, script))
    assert _cpu_build.kernels().library is not None
    return fresh


LOADED = "print(_cpu_build.kernels().library is not None)"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def let_others_write(path: Path) -> None:
    path.chmod(0o666)


def let_the_group_write(path: Path) -> None:
    path.chmod(path.stat().st_mode | 0o020)


def give_away(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    os.chown(path, 12345, 12345)


def wait_for_ever(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("change", [cut, flip, link, let_others_write, let_the_group_write, give_away, wait_for_ever])
def test_a_library_that_is_damaged_or_may_be_somebody_elses_is_built_again(quick: Path, change) -> None:
    (built,) = quick.iterdir()
    content = built.read_bytes()
    change(built)
    done = tried(LOADED)
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")
    assert not built.is_symlink() and built.stat().st_mode & 0o7777 == 0o700
    assert (built.read_bytes(), built.stat().st_uid) == (content, os.geteuid())


def open_to_all(folder: Path) -> None:
    folder.chmod(0o777)


def open_above(folder: Path) -> None:
    folder.parent.chmod(0o777)


def link_folder(folder: Path) -> None:
    folder.rename(folder.with_name("other"))
    folder.symlink_to(folder.with_name("other"))


def give_above_away(folder: Path) -> None:
    give_away(folder.parent)


@pytest.mark.parametrize(
    "change", [open_to_all, let_the_group_write, open_above, link_folder, give_away, give_above_away]
)
def test_from_a_folder_that_others_can_change_nothing_is_loaded_and_one_warning_says_so(
    quick: Path, monkeypatch: pytest.MonkeyPatch, change
) -> None:
    monkeypatch.setattr(relation, "PLAIN_BELOW", -1)
    try:
        change(quick)
        done = tried(f"{LOADED}; {LOADED}")
        assert (done.returncode, done.stdout) == (0, "False\nFalse\n")
        assert done.stderr.count("RuntimeWarning") == 1 and "MMDIST_CACHE" in done.stderr
        _cpu_build.kernels.cache_clear()
        with pytest.warns(RuntimeWarning, match="PyTorch operations are"):
            scores = torch.randn(2, 3, 40, 40, generator=torch.Generator().manual_seed(0))
            assert dist_loss(scores, scores).item() == pytest.approx(0, abs=1e-5)
    finally:
        quick.parent.chmod(0o700)


def test_above_the_folder_links_and_open_folders_where_nothing_can_be_moved_are_usual(tmp_path: Path, quick) -> None:
    (tmp_path / "open" / "mine").mkdir(parents=True)
    (tmp_path / "open").chmod(0o1777)  # as /tmp is
    (tmp_path / "link").symlink_to(tmp_path / "open" / "mine")
    assert tried(LOADED, MMDIST_CACHE=str(tmp_path / "link")).stdout == "True\n"
    assert len(list((tmp_path / "open" / "mine" / "kernels").iterdir())) == 1


def test_a_umask_that_lets_all_write_makes_no_cache_that_all_can_write_to(tmp_path: Path, quick: Path) -> None:
    done = tried(f"import os; os.umask(0); {LOADED}", MMDIST_CACHE=str(tmp_path / "new" / "deep"))
    assert (done.stdout, done.stderr) == ("True\n", "")
    made = [path for path in (tmp_path / "new").rglob("*")]
    assert len(made) == 3 and not any(path.stat().st_mode & 0o022 for path in made)


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

"""Imports in processes of their own."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from mmdist.compat import import_trials

LIBRARIES = {
    "lib_works": "print('x' * 1_000_000)",
    "lib_raises": "raise TypeError('first line\\n\\x1b[31mNoneType takes no arguments')",
    "lib_leaves": "import sys; sys.exit('no licence')",
    "lib_vanishes": "import os, sys; print('goodbye \\x1b[2J', file=sys.stderr, flush=True); os._exit(0)",
    "lib_crashes": "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
    "lib_lacks": "import no_such_package.part",
    "lib_shouts": "import sys\nfor _ in range(300): sys.stderr.write('y' * 99_999)\nraise ValueError('z' * 10_000)",
}


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> dict[str, import_trials.Trial]:
    site = tmp_path_factory.mktemp("site")
    for name, text in LIBRARIES.items():
        (site / name).mkdir()
        (site / name / "__init__.py").write_text("")
        (site / name / "models.py").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(site)
        return {trial.library: trial for trial in import_trials.run(list(LIBRARIES), timeout=300)}


def test_a_library_that_imports_is_fine_whatever_it_prints(trials) -> None:
    assert trials["lib_works"].module == trials["lib_works"].reason == ""


@pytest.mark.parametrize(
    ("library", "reason"),
    [
        ("lib_raises", r"TypeError: \x1b[31mNoneType takes no arguments"),
        ("lib_leaves", "SystemExit: no licence"),
        ("lib_lacks", "ModuleNotFoundError: No module named 'no_such_package'"),
    ],
)
def test_an_exception_is_told_in_its_last_line(trials, library: str, reason: str) -> None:
    trial = trials[library]
    assert (trial.module, trial.reason, trial.crashed) == (f"{library}.models", reason, False)


def test_where_it_comes_from_is_told(trials) -> None:
    assert trials["lib_raises"].origin == "lib_raises"
    assert trials["lib_lacks"].missing == "no_such_package"


def test_a_process_that_ends_is_not_a_success_and_takes_nothing_along(trials) -> None:
    assert trials["lib_vanishes"].crashed and r"goodbye \x1b[2J" in trials["lib_vanishes"].reason
    assert trials["lib_crashes"].crashed and "SIGSEGV" in trials["lib_crashes"].reason


def test_much_output_and_a_long_text_are_cut(trials) -> None:
    assert trials["lib_shouts"].reason.startswith("ValueError: zzz")
    assert len(trials["lib_shouts"].reason) <= 300


def test_an_import_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "lib_hangs.py").write_text("import time; time.sleep(600)")
    before = time.monotonic()
    (trial,) = import_trials.run(["lib_hangs"], timeout=0.5)
    assert trial.crashed
    assert "0.5 seconds" in trial.reason
    assert time.monotonic() - before < 300

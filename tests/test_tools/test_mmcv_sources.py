"""mmcv's sources, merged before they are compiled; how long the build will take."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from environment import build_progress, merged_sources
from helpers.env_checkout import KEY, Checkout, one_line

TEXTS = {
    "pybind.cpp": "// m.def(\n",
    "first.cpp": "template <typename T>\nstruct Pair {\n  T a, b;\n};\nint first() { return sizeof(Pair<int>); }\n",
    "second.cpp": "template <class T>\nstruct Pair {\n  T a;\n};\nint second() { return sizeof(Pair<int>); }\n",
    "cpu/first.cpp": "static int helper(int a,\n  int b) {\n  return a + b;\n}\nint third() { return helper(1, 2); }\n",
    "cpu/macros.cpp": "#define helper(a) (a)\nint fourth() { return helper(4); }\n",
    "cpu/tidy.cpp": "#define ONE(a) a\nint fifth() { return ONE(5); }\n#undef ONE\n",
    "cpu/third.cpp": "static int helper(int a) {\n  return a;\n}\nint sixth() { return helper(6); }\n",
}  # fmt: skip


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for name, text in TEXTS.items():
        path = tmp_path / merged_sources.SOURCES / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return tmp_path


def test_each_source_is_in_exactly_one_unit(source: Path) -> None:
    root = source / merged_sources.SOURCES
    units = merged_sources.merge_sources(source)
    included = [line.split('"')[1] for unit in units for line in (root / unit).read_text("utf-8").splitlines()]
    assert sorted(included) == sorted(str(Path(name).with_suffix(".inc")) for name in TEXTS)
    assert sorted(path.name for path in root.rglob("*.cpp")) == sorted(units)
    assert len(units) < len(TEXTS)


def test_files_that_share_a_name_or_see_a_macro_are_apart(source: Path) -> None:
    root = source / merged_sources.SOURCES
    divided = merged_sources.divide(root.rglob("*.cpp"))
    units = [[path.name for path in unit.files] for unit in divided]
    unit_of = {(path.parent.name, path.name): number for number, unit in enumerate(divided) for path in unit.files}
    assert unit_of["pytorch", "first.cpp"] != unit_of["pytorch", "second.cpp"]
    assert unit_of["cpu", "first.cpp"] != unit_of["cpu", "third.cpp"]
    assert ["pybind.cpp"] in units
    assert all(unit[-1] == "macros.cpp" for unit in units if "macros.cpp" in unit)


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a compiler")
def test_units_compute_what_the_files_compute(source: Path, tmp_path: Path) -> None:
    def answer(files: list[Path], name: str) -> str:
        numbers = ("first", "second", "third", "fourth", "fifth", "sixth")
        calls = "".join(f"int {n}();" for n in numbers) + '\n#include <cstdio>\nint main() { printf("'
        calls += "%d " * 6 + '", ' + ", ".join(f"{n}()" for n in numbers) + "); }\n"
        (tmp_path / f"{name}.cc").write_text(calls, "utf-8")
        subprocess.run(["g++", *files, tmp_path / f"{name}.cc", "-o", tmp_path / name], check=True)
        return subprocess.run([tmp_path / name], capture_output=True, text=True, check=True).stdout

    root = source / merged_sources.SOURCES
    apart = answer(sorted(root.rglob("*.cpp")), "apart")
    merged_sources.merge_sources(source)
    assert answer(sorted(root.rglob("*.cpp")), "merged") == apart == "8 4 3 4 5 6 "


def test_a_build_that_fails_merged_is_made_file_by_file_and_says_so(checkout: Checkout, user_cache: Path) -> None:
    checkout.change(fail={"/merged/": "unit_1.cpp:1: error: redefinition of 'struct PreCalc<T>'"})
    status, said = checkout.set_up()
    assert status == 0 and "do not compile" in said
    assert len(checkout.calls_with("pip wheel")) == 2 and len(checkout.calls_with("pip download")) == 1
    assert list((user_cache / "wheels" / KEY).glob("*.whl"))


def test_a_build_that_failed_for_another_reason_is_not_made_twice(checkout: Checkout) -> None:
    checkout.change(fail={"/merged/": "fatal error: error writing to unit_1.o: No space left on device"})
    assert checkout.set_up()[0] == 1
    assert len(checkout.calls_with("pip wheel")) == 1


KILLED = "c++: fatal error: Killed signal terminated program cc1plus"


@pytest.mark.parametrize(("jobs", "fail", "kinds"), [
    ("1", ["/merged/"], ["merged", "ordinary"]),
    ("1", ["/merged/", "/ordinary/"], ["merged", "ordinary"]),
    ("2", ["/merged/"], ["merged"]),
])  # fmt: skip
def test_where_one_compiler_is_too_much_the_small_files_are_tried(
    checkout: Checkout, jobs: str, fail: list[str], kinds: list[str], monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("MAX_JOBS", jobs)
    checkout.change(fail=dict.fromkeys(fail, KILLED))
    status, _ = checkout.set_up()
    assert [Path(call.split()[-1]).parent.name for call in checkout.calls_with("pip wheel")] == kinds
    error = capfd.readouterr().err
    if fail == ["/merged/"] and jobs == "1":
        assert status == 0 and not error
    else:
        assert status == 1 and ("MAX_JOBS=1" in one_line(error)) == (jobs != "1")


@pytest.mark.parametrize(("typed", "again"), [
    ("make env", ["make", "env", "MAX_JOBS=1"]),
    ("make env MAX_JOBS=8 PYTEST_ARGS='-k $$x'", ["make", "env", "PYTEST_ARGS=-k $$x", "MAX_JOBS=1"]),
    ("", []),
])  # fmt: skip
def test_the_hint_for_a_small_memory_is_the_typed_command_with_one_job(
    checkout: Checkout, typed: str, again: list[str], monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("MMDIST_AGAIN", typed)
    monkeypatch.setenv("MAX_JOBS", "8")
    checkout.change(fail={"pip wheel": KILLED})
    assert checkout.set_up()[0] == 1
    command = shlex.join(again) if typed else f"MAX_JOBS=1 {shlex.join([sys.executable, *sys.argv])}"
    assert f" {command} " in one_line(capfd.readouterr().err)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_time_left_follows_the_pace_of_the_machine() -> None:
    clock, said = Clock(), []
    left = build_progress.TimeLeft(said.append, 2, {"a": 60.0, "b": 40.0, "c": 10.0, "d": 10.0}, clock)
    left("  building 'mmcv._ext' extension")
    clock.now = 20.0
    left(None)
    assert said[-1] == " 33% (40 s left)"
    clock.now = 80.0  # twice as slow: b was expected after 40 s
    left("[1/4] c++ b")
    assert said[-1] == " 66% (40 s left)"
    clock.now = 85.0
    left(None)
    assert len(said) == 2  # not with every line


def test_a_machine_that_is_slower_than_expected_is_not_always_about_to_finish() -> None:
    clock, said = Clock(), []
    left = build_progress.TimeLeft(said.append, 2, {"a": 60.0, "b": 40.0}, clock)
    left("building 'mmcv._ext' extension")
    clock.now = 120.0  # b, the first, was expected after 40 s: so this takes 180 s at least
    left(None)
    assert said == [" 66% (60 s left)"]


def test_a_failed_build_shows_no_more_progress() -> None:
    clock, said = Clock(), []
    left = build_progress.TimeLeft(said.append, 2, {"a": 60.0, "b": 40.0}, clock)
    left("building 'mmcv._ext' extension")
    left("FAILED: b.o")
    clock.now = 50.0
    left("[1/2] c++ a")
    assert not said


def test_sources_of_unknown_cost_count_alike() -> None:
    clock, said = Clock(), []
    left = build_progress.TimeLeft(said.append, 2, None, clock)
    left("building 'mmcv._ext' extension")
    clock.now = 20.0
    left("[20/80] c++ x")
    assert said == [" 25% (60 s left)"]

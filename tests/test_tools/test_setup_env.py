"""``tools/misc/setup_env.py`` against a stand-in for the interpreter of ``.venv``: no network, no compiler."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
from environment import cuda, mmcv_wheel
from helpers.env_checkout import KEY, MISC, PINS, PROJECT, Checkout, one_line


def load_bootstrap() -> ModuleType:
    spec = importlib.util.spec_from_file_location("setup_env", MISC / "setup_env.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# -- the interpreter ------------------------------------------------------------------------------


def test_the_first_file_parses_on_python_3_6() -> None:
    ast.parse((MISC / "setup_env.py").read_text("utf-8"), feature_version=(3, 6))


@pytest.mark.parametrize(("version", "word"), [((3, 6), "old"), ((3, 9), "old"), ((3, 13), "new")])
def test_a_wrong_python_gives_one_line_and_a_status(
    version: tuple[int, int], word: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    bootstrap = load_bootstrap()
    monkeypatch.setattr(bootstrap, "CANDIDATES", bootstrap.CANDIDATES[1:])
    assert bootstrap.main(version) == 1
    said = one_line(capfd.readouterr().err)
    assert (
        f"Python {version[0]}.{version[1]} is too {word}" in said and "3.10 to 3.12" in said and "make PYTHON=" in said
    )


@pytest.mark.parametrize("answer", ["3 11", "3 9"])
def test_a_wrong_python_hands_over_to_a_right_one_on_the_path(answer: str, tmp_path: Path) -> None:
    other = tmp_path / "python3.12"
    other.write_text(f'#!/bin/sh\n[ "$1" = -c ] && echo {answer} || echo handed over: "$@"\n', "utf-8")
    other.chmod(0o755)
    code = (
        f"import sys; sys.path.insert(0, {str(MISC)!r}); import setup_env; "
        "setup_env.CANDIDATES = setup_env.CANDIDATES[1:]; sys.exit(setup_env.main((3, 9)))"
    )
    done = subprocess.run([sys.executable, "-c", code], env={"PATH": str(tmp_path)}, capture_output=True, text=True)
    if answer == "3 11":
        assert done.returncode == 0 and done.stdout == f"handed over: {MISC / 'setup_env.py'}\n"
    else:
        assert done.returncode == 1 and "too old" in one_line(done.stderr)


def test_a_venv_of_another_python_is_refused_and_kept(checkout: Checkout, capfd: pytest.CaptureFixture[str]) -> None:
    python = checkout.root / ".venv" / "bin" / "python"
    python.write_text('#!/bin/sh\ncase "$*" in *probe.py*) exit 1;; esac\necho 3.9.2\n', "utf-8")
    status, _ = checkout.set_up()
    assert status == 1 and "holds Python 3.9.2" in one_line(capfd.readouterr().err)
    assert python.exists()


def test_a_named_python_of_another_version_than_the_venv_is_answered(
    checkout: Checkout, capfd: pytest.CaptureFixture[str]
) -> None:
    python = checkout.root / ".venv" / "bin" / "python"
    whole = python.read_text("utf-8")
    python.write_text(whole.replace('"python": "3.11.7"', '"python": "3.10.1"'), "utf-8")
    assert checkout.set_up(asked="python3.11")[0] == 1
    said = one_line(capfd.readouterr().err)
    assert "3.10.1" in said and "PYTHON=python3.11" in said and platform.python_version() in said
    assert not checkout.calls_with("pip") and python.exists()
    assert checkout.set_up()[0] == 0


def test_a_named_python_of_the_venvs_version_is_fine(checkout: Checkout) -> None:
    python = checkout.root / ".venv" / "bin" / "python"
    other_patch = ".".join([*platform.python_version_tuple()[:2], "99"])
    python.write_text(python.read_text("utf-8").replace('"python": "3.11.7"', f'"python": "{other_patch}"'), "utf-8")
    assert checkout.set_up(asked="python3")[0] == 0


def test_a_named_python_that_cannot_work_is_refused_though_another_could(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    bootstrap = load_bootstrap()
    monkeypatch.setattr(bootstrap, "find_supported", lambda: "/somewhere/python3.11")
    assert bootstrap.main((3, 13), asked="python3.13") == 1
    assert "Python 3.13 is too new" in one_line(capfd.readouterr().err)


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize(("arguments", "env", "expected"), [
    ([], {}, "python3 tools/misc/setup_env.py"),
    (["PYTHON=python3.12"], {}, "python3.12 tools/misc/setup_env.py --asked python3.12"),
    ([], {"PYTHON": "python3.10"}, "python3.10 tools/misc/setup_env.py --asked python3.10"),
])  # fmt: skip
def test_make_hands_on_which_python_was_named(arguments: list[str], env: dict[str, str], expected: str) -> None:
    clean = {key: value for key, value in os.environ.items() if key not in ("PYTHON", "MAKEFLAGS", "MFLAGS")}
    done = subprocess.run(
        ["make", "-n", "env", *arguments], cwd=PROJECT, env=clean | env, capture_output=True, text=True, check=True
    )
    assert [shlex.split(line) for line in done.stdout.splitlines() if "setup_env.py" in line] == [shlex.split(expected)]


# -- the whole way --------------------------------------------------------------------------------


def test_everything_is_installed_once_and_each_step_shows_its_time(checkout: Checkout, user_cache: Path) -> None:
    status, said = checkout.set_up()
    assert status == 0
    assert checkout.state["installed"] == PINS | {"triton": "3.9.0", "mmdist": checkout.root.as_uri()}
    lines = said.splitlines()
    assert [line.split("]")[0] for line in lines[:-1]] == [f"[{number}/9" for number in range(1, 10)]
    assert re.fullmatch(r"\[4/9\] torch 2\.13\.0 \.\.\. \d+\.\d s", lines[3])
    assert "already there" in lines[1] and lines[5].startswith("[6/9] mmcv 2.1.0 ...")
    assert re.fullmatch(r"\.venv is ready: \d+\.\d s( and \d+\.\d s of downloads)?", lines[-1])
    assert (user_cache / "wheels" / KEY / "mmcv-2.1.0-cp311-cp311-linux_x86_64.whl").is_file()


def test_a_second_run_does_nothing_and_says_so(checkout: Checkout) -> None:
    checkout.set_up()
    before = checkout.state
    status, said = checkout.set_up()
    assert status == 0 and said.count("already there\n") == 9
    assert checkout.state == before


def test_no_step_after_torch_lets_pip_choose_packages(checkout: Checkout) -> None:
    checkout.set_up()
    installs = checkout.calls_with("pip install")
    position = next(number for number, call in enumerate(installs) if call.endswith(" torch==2.13.0"))
    assert len(installs) > position + 3
    assert all("--no-deps" in call and "torch==" not in call for call in installs[position + 1 :])
    assert all(f"-c {checkout.root}/requirements/constraints.txt" in call for call in installs)


def test_mmcv_is_built_from_source_against_the_installed_torch(checkout: Checkout) -> None:
    checkout.set_up()
    (download,), (build,) = checkout.calls_with("pip download"), checkout.calls_with("pip wheel")
    for flag in ("--no-deps", "--no-build-isolation", "--no-binary mmcv"):
        assert flag in download
    for flag in ("--no-deps", "--no-build-isolation", "--no-cache-dir"):
        assert flag in build


def test_a_half_broken_environment_is_repaired(checkout: Checkout) -> None:
    checkout.set_up()
    checkout.change(installed=checkout.state["installed"] | {"numpy": "2.4.0"}, calls=[])
    status, _ = checkout.set_up()
    assert status == 0 and checkout.state["installed"]["numpy"] == PINS["numpy"]
    (repair,) = checkout.calls_with("pip install")
    assert repair.endswith("--no-deps --force-reinstall numpy==1.26.4")


def test_changed_requirements_install_mmdist_anew(checkout: Checkout) -> None:
    checkout.set_up()
    (checkout.root / "requirements" / "tests.txt").write_text("pytest\n", "utf-8")
    checkout.change(calls=[])
    assert checkout.set_up()[0] == 0
    assert [call.split()[-2:] for call in checkout.calls_with("pip install")] == [["-e", str(checkout.root)]]


def test_another_build_of_torch_gets_another_mmcv(checkout: Checkout, user_cache: Path) -> None:
    checkout.set_up()
    checkout.change(torch="2.13.0+xpu", calls=[])
    assert checkout.set_up()[0] == 0
    assert len(checkout.calls_with("pip wheel")) == 1
    assert {folder.name for folder in (user_cache / "wheels").iterdir()} == {KEY, KEY.replace("+cpu", "+xpu")}


def test_an_mmcv_installed_by_hand_is_kept_when_it_imports(checkout: Checkout) -> None:
    checkout.change(installed={"pip": "26.3", "mmcv": "2.1.0"})
    assert checkout.set_up()[0] == 0
    assert not checkout.calls_with("pip wheel") and checkout.calls_with("check_operators.py")


# -- the cache of wheels --------------------------------------------------------------------------


def test_the_key_tells_python_torch_platform_and_kind_apart() -> None:
    base = {"tag": "cp311", "torch": {"version": "2.13.0+cpu"}, "platform": "linux_x86_64"}
    keys = [mmcv_wheel.wheel_key(base | change, cuda.Operators(archs).kind) for change, archs in (
        ({}, ""),
        ({}, "8.0"),
        ({}, "8.0;9.0+PTX"),
        ({"tag": "cp312"}, ""),
        ({"torch": {"version": "2.13.0+cu130"}}, ""),
        ({"platform": "linux_aarch64"}, ""),
    )]  # fmt: skip
    assert keys[0] == KEY and len(set(keys)) == 6
    assert all(re.fullmatch(r"[\w.+-]+", key) for key in keys)


def test_the_cache_is_shared_between_checkouts(checkout: Checkout, tmp_path: Path) -> None:
    checkout.set_up()
    second = Checkout(tmp_path / "second")
    assert second.set_up()[0] == 0
    assert not second.calls_with("pip wheel") and second.state["installed"]["mmcv"] == "2.1.0"


def test_a_damaged_wheel_is_built_again(checkout: Checkout, user_cache: Path, tmp_path: Path) -> None:
    checkout.set_up()
    wheel = next((user_cache / "wheels" / KEY).glob("*.whl"))
    wheel.write_bytes(wheel.read_bytes()[:-40])
    second = Checkout(tmp_path / "second")
    assert second.set_up()[0] == 0
    assert len(second.calls_with("pip wheel")) == 1 and mmcv_wheel.is_usable(wheel)


def test_a_failed_build_leaves_nothing_in_the_cache(checkout: Checkout, user_cache: Path) -> None:
    checkout.change(fail={"pip wheel": "c++: fatal error: Killed signal terminated program cc1plus"})
    assert checkout.set_up()[0] == 1
    assert list((user_cache / "wheels" / KEY).iterdir()) == []


def test_what_a_killed_build_left_is_cleared_away(checkout: Checkout, user_cache: Path) -> None:
    abandoned = user_cache / "wheels" / KEY / ".build-abandoned"
    abandoned.mkdir(parents=True)
    (abandoned / "mmcv-2.1.0-cp311-cp311-linux_x86_64.whl").write_bytes(b"half")
    assert checkout.set_up()[0] == 0
    assert sorted(path.suffix for path in (user_cache / "wheels" / KEY).iterdir()) == [".sha256", ".whl"]


def test_a_wheel_without_operators_is_refused(
    checkout: Checkout, user_cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    checkout.change(wheel_ops=False)
    assert checkout.set_up()[0] == 1
    assert "without its operators" in one_line(capfd.readouterr().err)
    assert list((user_cache / "wheels" / KEY).iterdir()) == []


def test_a_truncated_wheel_is_not_usable(tmp_path: Path) -> None:
    wheel = tmp_path / "mmcv-2.1.0-cp311-cp311-linux_x86_64.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("mmcv/_ext.cpython-311-x86_64-linux-gnu.so", os.urandom(1000))
    assert mmcv_wheel.is_usable(wheel)
    content = bytearray(wheel.read_bytes())
    content[200] ^= 1
    wheel.write_bytes(content)
    assert not mmcv_wheel.is_usable(wheel)

"""An environment that is half deleted, and the interpreter that a set-up starts from."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from environment.shell import Steps
from environment.virtual import Environment
from helpers.env_checkout import MISC, PROJECT, Checkout, one_line

ASK = "import pip._internal, sys; print(sys.prefix)"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real environment with nothing but pip, made once and copied; it is found by where it lies."""
    path = tmp_path_factory.mktemp("whole") / ".venv"
    subprocess.run([sys.executable, "-m", "venv", path], check=True)
    return path


def lose_what_the_links_lead_to(venv: Path) -> None:
    for path in venv.glob("bin/python*"):
        path.unlink()
        path.symlink_to("/gone/python")


def lose_the_packages(venv: Path) -> None:
    shutil.rmtree(venv / "lib")


def lose_half_of_pip(venv: Path) -> None:
    (path,) = venv.glob("lib/python*/site-packages/pip")
    shutil.rmtree(path / "_internal")
    (path / "__init__.py").unlink()


def lose_pyvenv_cfg(venv: Path) -> None:
    (venv / "pyvenv.cfg").unlink()


@pytest.mark.parametrize("damage", [lose_what_the_links_lead_to, lose_the_packages, lose_half_of_pip, lose_pyvenv_cfg])
def test_a_half_deleted_environment_is_completed_in_its_place(
    whole: Path, damage: Callable[[Path], None], tmp_path: Path
) -> None:
    venv = tmp_path / ".venv"
    shutil.copytree(whole, venv, symlinks=True)
    damage(venv)
    (tmp_path / "requirements").symlink_to(PROJECT / "requirements")
    assert Environment(tmp_path, Steps(9)).make_venv()
    done = subprocess.run([venv / "bin" / "python", "-I", "-c", ASK], capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()) == venv


def test_nothing_is_asked_of_an_interpreter_that_works_outside_the_environment(tmp_path: Path) -> None:
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(Path(sys.executable).resolve())
    (tmp_path / "requirements").symlink_to(PROJECT / "requirements")
    environment = Environment(tmp_path, Steps(9))
    assert not environment.look() and environment.python_version() is None


# -- the hint to remove it ------------------------------------------------------------------------


def hold_3_9(python: Path) -> None:
    python.write_text('#!/bin/sh\ncase "$*" in *probe.py*) exit 1;; esac\necho 3.9.2\n', "utf-8")


def hold_another(python: Path) -> None:
    other = "3.11.1" if sys.version_info[:2] == (3, 12) else "3.12.1"
    python.write_text(python.read_text("utf-8").replace('"python": "3.11.7"', f'"python": "{other}"'), "utf-8")


def never_answer(python: Path) -> None:
    python.write_text('#!/bin/sh\ncase "$*" in *probe.py*) exit 1;; *ensurepip*) exit 0;; esac\necho 3.11.7\n', "utf-8")


def install_nothing(python: Path) -> None:
    python.write_text(python.read_text("utf-8").replace("        install(state, arguments)", "        pass"), "utf-8")


def be_a_file(python: Path) -> None:
    shutil.rmtree(python.parents[1])
    python.parents[1].touch()


def be_a_link_to_nowhere(python: Path) -> None:
    shutil.rmtree(python.parents[1])
    python.parents[1].symlink_to("/gone/venv")


@pytest.mark.parametrize(("damage", "asked"), [
    (hold_3_9, ""),
    (hold_another, "python3"),
    (never_answer, ""),
    (install_nothing, ""),
    (be_a_file, ""),
    (be_a_link_to_nowhere, ""),
])  # fmt: skip
def test_the_hint_removes_the_environment_and_nothing_else(
    user_cache: Path, compiler: Path, damage: Callable[[Path], None], asked: str, tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    checkout = Checkout(tmp_path / "it's $HOME; my (check) out")
    damage(checkout.root / ".venv" / "bin" / "python")
    assert checkout.set_up(asked)[0] == 1
    said = one_line(capfd.readouterr().err)
    command = f"rm -r {shlex.quote(str(checkout.root / '.venv'))}"
    assert command in said
    subprocess.run(command, shell=True, check=True)
    assert not os.path.lexists(checkout.root / ".venv") and (checkout.root / "requirements").exists()


# -- the interpreter to start from ----------------------------------------------------------------


def make_python(path: Path, answer: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\n[ "$1" = -c ] && echo {answer} || echo "$0"\n', "utf-8")
    path.chmod(0o755)


@pytest.mark.parametrize(("answer", "is_taken"), [("3 10", True), ("3 12", True), ("3 9", False), ("", False)])
def test_the_interpreter_of_the_environment_is_taken_first_where_it_is_supported(
    answer: str, is_taken: bool, tmp_path: Path
) -> None:
    own, other = tmp_path / ".venv" / "bin" / "python", tmp_path / "bin" / "python3.11"
    make_python(own, answer)
    make_python(other, "3 11")
    script = tmp_path / "tools" / "misc" / "setup_env.py"
    script.parent.mkdir(parents=True)
    shutil.copy(MISC / "setup_env.py", script)
    code = f"import sys; sys.path.insert(0, {str(script.parent)!r}); import setup_env; setup_env.main((3, 13))"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PATH": str(other.parent)}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(own if is_taken else other)

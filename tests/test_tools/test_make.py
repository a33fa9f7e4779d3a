"""What make hands to what it starts: the command to type again, and the threads."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from helpers.tiny_run import ROOT

STUB = """#!/bin/sh
[ "$1" = -c ] && exit
printf '%s|%s|%s\\n' "$1" "${MMDIST_AGAIN-}" "${OMP_NUM_THREADS-}" >> "$RECORD"
"""


class Checkout:
    """A Makefile and a Python that writes down what it was called with.

    Args:
        root (Path): Where.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.record, self.elsewhere = root / "check out", root / "record", root / "elsewhere"
        (self.root / ".venv" / "bin").mkdir(parents=True)
        self.elsewhere.mkdir()
        shutil.copy(ROOT / "Makefile", self.root)
        self.python = self.root / ".venv" / "bin" / "python"
        self.python.write_text(STUB)
        self.python.chmod(0o755)
        shutil.copy(self.python, root / "python3")

    def shell(self, command: str, cwd: Path | None = None, **env: str) -> list[list[str]]:
        """Run a command of a shell; [script, command to type again, threads] of every Python that it started."""
        path = f"{self.root.parent}:/usr/bin:/bin"
        self.record.write_text("")
        environment = {"PATH": path, "RECORD": str(self.record), "PWD": str(cwd or self.root), **env}
        subprocess.run(command, shell=True, cwd=cwd or self.root, env=environment, check=True, capture_output=True)
        return [line.split("|") for line in self.record.read_text().splitlines()]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


@pytest.mark.parametrize(
    "command", ["make demo", "make demo TASK=det", "make demo DATA=trees TASK=det", "make env", "make -s demo TASK="]
)
def test_the_command_to_type_again_is_the_one_that_was_typed(checkout: Checkout, command: str) -> None:
    again = [said for _, said, _ in checkout.shell(command)]
    assert set(again) == {command.replace(" -s", "")}
    assert checkout.shell(again[0]) == checkout.shell(command)


@pytest.mark.parametrize(
    "value", ["-k 'a or b'", "two  spaces", "$HOME;ls", 'say "no" & #1', "a\\ b", "it's", "(x)*[y]", "-x"]
)
def test_values_come_back_as_they_were_typed(checkout: Checkout, value: str) -> None:
    quoted = "'" + value.replace("'", "'\\''") + "'"
    (said, *_) = [again for script, again, _ in checkout.shell(f"make env PYTEST_ARGS={quoted}")]
    assert checkout.shell(said)[0][1] == said
    arguments = subprocess.run(f"printf '%s\\n' {said}", shell=True, capture_output=True, text=True).stdout
    assert arguments.splitlines() == ["make", "env", f"PYTEST_ARGS={value}"]


def test_from_another_folder_it_names_the_folder(checkout: Checkout) -> None:
    (env, demo) = checkout.shell(f"make -C '{checkout.root}' demo TASK=det", cwd=checkout.elsewhere)
    assert demo[1] == f"make -C '{checkout.root}' demo TASK=det"
    assert checkout.shell(demo[1], cwd=checkout.elsewhere) == [env, demo]


def test_a_variable_of_the_environment_counts_as_typed(checkout: Checkout) -> None:
    assert checkout.shell("make demo", TASK="cls")[-1][1] == "make demo TASK=cls"


def test_other_targets_are_not_taken_for_the_users_command(checkout: Checkout) -> None:
    env, test = checkout.shell("make test")
    assert env[1] == "make test" and test[1] == ""


def test_the_users_threads_win_and_one_is_the_default_of_the_tests(checkout: Checkout) -> None:
    assert checkout.shell("make test")[-1][2] == "1"
    assert checkout.shell("make test", OMP_NUM_THREADS="3")[-1][2] == "3"
    assert checkout.shell("make test OMP_NUM_THREADS=2")[-1][2] == "2"
    assert checkout.shell("make demo", OMP_NUM_THREADS="3")[-1][2] == "3"
    assert checkout.shell("make demo")[-1][2] == ""  # the demo chooses

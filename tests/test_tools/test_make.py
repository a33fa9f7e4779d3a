"""What make hands to what it starts: the command to type again, and the threads."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from helpers.tiny_run import ROOT

STUB = """#!/bin/sh
[ "$1" = -c ] && exit
printf '%s|%s|%s|%s|%s\\n' "$1" "${MMDIST_AGAIN-}" "${OMP_NUM_THREADS-}" "${DATA-}" "$0" >> "$RECORD"
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
        """Run a command of a shell; of every Python that it started: [script, command to type again, OMP_NUM_THREADS,
        DATA, the Python]."""
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
    again = [said for _, said, *_ in checkout.shell(command)]
    assert set(again) == {command.replace(" -s", "")}
    assert checkout.shell(again[0]) == checkout.shell(command)


@pytest.mark.parametrize(
    "value", ["-k 'a or b'", "two  spaces", "$HOME;ls", 'say "no" & #1', "a\\ b", "it's", "(x)*[y]", "-x"]
)
def test_values_come_back_as_they_were_typed(checkout: Checkout, value: str) -> None:
    quoted = "'" + value.replace("'", "'\\''") + "'"
    (said, *_) = [again for _, again, *_ in checkout.shell(f"make env PYTEST_ARGS={quoted}")]
    assert checkout.shell(said)[0][1] == said
    arguments = subprocess.run(f"printf '%s\\n' {said}", shell=True, capture_output=True, text=True).stdout
    assert arguments.splitlines() == ["make", "env", f"PYTEST_ARGS={value}"]


def test_from_another_folder_it_names_the_folder(checkout: Checkout) -> None:
    (env, demo) = checkout.shell(f"make -C '{checkout.root}' demo TASK=det", cwd=checkout.elsewhere)
    assert demo[1] == f"make -C '{checkout.root}' demo TASK=det"
    assert checkout.shell(demo[1], cwd=checkout.elsewhere) == [env, demo]


@pytest.mark.parametrize(("variables", "said"), [
    ({"TASK": "cls"}, "TASK=cls"),
    ({"MAX_JOBS": "2"}, "MAX_JOBS=2"),
    ({"FORCE_CUDA": "0"}, "FORCE_CUDA=0"),
    ({"OMP_NUM_THREADS": "3"}, "OMP_NUM_THREADS=3"),
    ({"TORCH_CUDA_ARCH_LIST": "8.0;9.0", "CUDA_HOME": "/opt/cuda 13"},
     "CUDA_HOME='/opt/cuda 13' TORCH_CUDA_ARCH_LIST='8.0;9.0'"),
    ({"MMDIST_CACHE": "/big disk", "CXX": "g++-13"}, "CXX=g++-13 MMDIST_CACHE='/big disk'"),
    ({"MMDIST_AGAIN": "rm -r /", "PIP_INDEX_URL": "https://me:password@index", "HOME": "/home/me"}, ""),
])  # fmt: skip
def test_what_was_typed_in_front_is_typed_again(checkout: Checkout, variables: dict[str, str], said: str) -> None:
    again = checkout.shell("make demo", **variables)[-1][1]
    assert again == f"make demo {said}".strip()
    assert checkout.shell(again)[-1][1] == again


def test_what_was_typed_behind_wins_over_what_was_typed_in_front(checkout: Checkout) -> None:
    assert checkout.shell("make demo MAX_JOBS=1", MAX_JOBS="8")[-1][1] == "make demo MAX_JOBS=1"


@pytest.mark.parametrize("value", ["$HOME", "a$$b", "$(shell date) it's", "100%"])
def test_a_value_that_was_typed_in_front_arrives_unchanged_the_next_time(checkout: Checkout, value: str) -> None:
    first = checkout.shell("make env", DATA=value)[-1]
    assert first[3] == value and checkout.shell(first[1]) == [first]


@pytest.mark.parametrize(
    ("works", "typed", "started"),
    [
        (["python3", ".venv"], "", "python3"),
        ([".venv"], "", ".venv/bin/python"),
        ([], "", None),
        (["python3", ".venv", "my python"], "PYTHON='{0}/my python'", "{0}/my python"),
        (["python3", ".venv"], "PYTHON='{0}/my python'", None),
    ],
)
def test_which_python_the_set_up_starts_from(
    checkout: Checkout, works: list[str], typed: str, started: str | None, tmp_path: Path
) -> None:
    places = {"python3": tmp_path / "python3", ".venv": checkout.python, "my python": tmp_path / "my python"}
    for name, path in places.items():
        path.write_text(STUB if name in works else "#!/bin/sh\nexit 1\n")
        path.chmod(0o755)
    command = f"make env {typed.format(tmp_path)}"
    if started is None:
        with pytest.raises(subprocess.CalledProcessError) as caught:
            checkout.shell(command)
        assert caught.value.stderr.decode().startswith("error: ")
    else:
        ((script, *_, python),) = checkout.shell(command)
        assert script == "tools/misc/setup_env.py"
        assert python in (started.format(tmp_path), str(tmp_path / started))


def test_other_targets_are_not_taken_for_the_users_command(checkout: Checkout) -> None:
    env, test = checkout.shell("make test")
    assert env[1] == "make test" and test[1] == ""


def test_the_users_threads_win_and_one_is_the_default_of_the_tests(checkout: Checkout) -> None:
    assert checkout.shell("make test")[-1][2] == "1"
    assert checkout.shell("make test", OMP_NUM_THREADS="3")[-1][2] == "3"
    assert checkout.shell("make test OMP_NUM_THREADS=2")[-1][2] == "2"
    assert checkout.shell("make demo", OMP_NUM_THREADS="3")[-1][2] == "3"
    assert checkout.shell("make demo")[-1][2] == ""  # the demo chooses

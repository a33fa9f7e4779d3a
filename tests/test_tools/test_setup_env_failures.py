"""What ``tools/misc/setup_env.py`` says and leaves when something goes wrong, and when two run at once."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from environment import cache, failure, machine, main, shell
from helpers.env_checkout import MISC, Checkout, Usage, one_line

# -- two at once, and interruption ----------------------------------------------------------------


def test_a_second_process_waits_for_the_first(tmp_path: Path) -> None:
    events: list[str] = []
    lock = tmp_path / "locks" / "one.lock"

    def second() -> None:
        with cache.exclusive(lock, lambda: events.append("second waits")):
            events.append("second runs")

    with cache.exclusive(lock, lambda: events.append("first waits")):
        thread = threading.Thread(target=second)
        thread.start()
        deadline = time.monotonic() + 10
        while not events and time.monotonic() < deadline:
            time.sleep(0.01)
        events.append("first ends")
    thread.join(10)
    assert events == ["second waits", "first ends", "second runs"]


def test_two_set_ups_at_once_build_mmcv_once(checkout: Checkout, tmp_path: Path, user_cache: Path) -> None:
    both = [checkout, Checkout(tmp_path / "second")]
    for each in both:
        each.change(build_seconds=2)
    code = "import sys, pathlib; from environment.main import main; sys.exit(main(pathlib.Path(sys.argv[1])))"
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(each.root)], env=os.environ | {"PYTHONPATH": str(MISC)},
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for each in both
    ]  # fmt: skip
    outputs = [process.communicate(timeout=60)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0], outputs
    assert sum(len(each.calls_with("pip wheel")) for each in both) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_compilers_too_and_says_how_to_go_on(
    checkout: Checkout, tmp_path: Path, number: signal.Signals
) -> None:
    python = checkout.root / ".venv" / "bin" / "python"
    beacon = tmp_path / "child.pid"
    sleeper = f"    import subprocess; child = subprocess.Popen(['sleep', '60'])\n    Path({str(beacon)!r}).write_text(str(child.pid)); child.wait()\n"  # noqa: E501
    whole = python.read_text("utf-8")
    python.write_text(whole.replace("def build(state", "def old(state").replace(
        "def main()", f"def build(state, arguments):\n{sleeper}\n\ndef main()"), "utf-8")  # fmt: skip
    script = tmp_path / "set up.py"
    script.write_text(
        "import sys, pathlib, setup_env; from environment import main as steps\n"
        "steps.main.__defaults__ = (pathlib.Path(sys.argv[1]), None, '')\n"
        "sys.exit(setup_env.main())\n",
        "utf-8",
    )
    environment = os.environ | {"PYTHONPATH": str(MISC)}
    process = subprocess.Popen(
        [sys.executable, script, str(checkout.root)], env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # which under `nohup` is ignored
    )  # fmt: skip
    deadline = time.monotonic() + 30
    while not (beacon.exists() and beacon.read_text()) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(number)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 130
    hint = one_line(error).rpartition("go on from here with: ")[2]
    child = Path(f"/proc/{beacon.read_text()}/stat")
    deadline = time.monotonic() + 10
    while child.exists() and child.read_text().split()[2] != "Z" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not child.exists() or child.read_text().split()[2] == "Z"
    python.write_text(whole, "utf-8")
    assert subprocess.run(hint, shell=True, env=environment, capture_output=True).returncode == 0
    assert checkout.state["installed"]["mmcv"] == "2.1.0"


def test_the_hint_is_what_the_user_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMDIST_AGAIN", "make demo TASK=det")
    assert failure.command_again() == "make demo TASK=det"


# -- failures: one line, a status, a remedy -------------------------------------------------------

OFFLINE = """\
WARNING: Retrying (Retry(total=0, connect=None, read=None, redirect=None, status=None)) after connection broken by \
'NameResolutionError("HTTPSConnection(host='nosuchhost.invalid', port=443): Failed to resolve 'nosuchhost.invalid' \
([Errno -2] Name or service not known)")': /simple/torch/
ERROR: Could not find a version that satisfies the requirement torch==2.13.0 (from versions: none)
ERROR: No matching distribution found for torch==2.13.0"""
ABSENT = "ERROR: No matching distribution found for torch==2.13.0"
FULL = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n"
SYNTAX = "mmcv/ops/x.cpp:1:1: error: expected unqualified-id\nerror: command '/usr/bin/g++' failed with exit code 1"


@pytest.mark.parametrize(
    ("command", "said", "expected"),
    [
        ("torch==2.13.0", OFFLINE, "torch 2.13.0: the package index cannot be reached: connect to the network"),
        ("torch==2.13.0", ABSENT, "the package index has no torch==2.13.0 for this Python and platform"),
        ("torch==2.13.0", FULL, "torch 2.13.0: the disk is full: free some"),
        ("pip wheel", "g++: fatal error: Killed signal terminated program cc1plus", "MAX_JOBS=1"),
        ("pip wheel", "fatal error: Python.h: No such file or directory", "apt install g++ python3."),
        ("pip wheel", SYNTAX, "mmcv 2.1.0: mmcv/ops/x.cpp:1:1: error: expected unqualified-id"),
        ("check_operators.py", "ImportError: libtorch.so: undefined symbol", "imports: ImportError: libtorch.so"),
    ],
)
def test_a_failing_command_gives_one_line_with_the_cause_and_the_log(
    checkout: Checkout, capfd: pytest.CaptureFixture[str], command: str, said: str, expected: str
) -> None:
    checkout.change(fail={command: said})
    status, out = checkout.set_up()
    message = one_line(capfd.readouterr().err)
    assert status == 1 and expected in message and out.endswith("\n")
    log = Path(re.search(r"/\S+\.log", message)[0])
    assert said.strip() in log.read_text("utf-8")
    checkout.change(fail={})
    assert checkout.set_up()[0] == 0


def test_a_missing_compiler_is_told_before_anything_is_installed(
    checkout: Checkout, compiler: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert checkout.set_up()[0] == 1
    assert "no C++ compiler 'no-such-compiler'" in one_line(capfd.readouterr().err)
    assert not checkout.state["calls"]


def test_a_full_disk_is_told_before_anything_is_installed(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: Usage(10, 10, 0.2 * machine.GIB))
    assert checkout.set_up()[0] == 1
    assert "needs 4 GiB of disk" in one_line(capfd.readouterr().err)
    assert not checkout.state["calls"]


@pytest.mark.parametrize(("number", "expected"), [(28, "the disk is full"), (13, "Permission denied")])
def test_an_error_of_the_file_system_is_one_line(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], number: int, expected: str
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number), "some/file")

    monkeypatch.setattr(shell.Path, "mkdir", refuse)
    assert checkout.set_up()[0] == 1
    assert expected in one_line(capfd.readouterr().err)


class ClosedBehindMmcv(io.StringIO):
    """Somebody who stops reading in the middle of a line."""

    def write(self, text: str) -> int:
        if "mmcv" in self.getvalue():
            raise BrokenPipeError(32, "Broken pipe")
        return super().write(text)


def test_a_reader_who_is_gone_is_one_line_too(checkout: Checkout, capfd: pytest.CaptureFixture[str]) -> None:
    assert main.main(checkout.root, ClosedBehindMmcv()) == 1
    one_line(capfd.readouterr().err)


def test_a_python_without_venv_names_the_package(tmp_path: Path) -> None:
    log = tmp_path / "venv.log"
    log.write_text(
        "The virtual environment was not created successfully because ensurepip is not\n"
        "available.  On Debian/Ubuntu systems, you need to install the python3-venv\n"
        "package using the following command.\n\n    apt install python3.12-venv\n",
        "utf-8",
    )
    package = "python{}.{}-venv".format(*sys.version_info[:2])
    assert f"apt install {package})" in str(failure.explain(log, ".venv"))

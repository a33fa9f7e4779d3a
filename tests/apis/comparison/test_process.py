"""Tools that run, fail, and end with the process that asked for them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from mmdist.apis.comparison.process import Processes, StageFailed, run
from mmdist.apis.comparison.stages import lock
from mmdist.errors import MMDistError

SLEEPS = (
    "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); print('here', flush=True); time.sleep(600)"
)


def gone(pid: int, within: float = 20.0) -> bool:
    """Whether a process ends, a zombie counts as ended."""
    until = time.monotonic() + within
    while time.monotonic() < until:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


def started(note: Path) -> int:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if note.exists() and note.read_text():
            return int(note.read_text())
        time.sleep(0.05)
    raise AssertionError("the tool did not start")


def test_what_a_tool_writes_is_handed_on_and_kept(tmp_path: Path) -> None:
    lines: list[str] = []
    run(
        [sys.executable, "-c", "print('one'); print('two')"], "it", tmp_path / "log", cwd=tmp_path, on_line=lines.append
    )
    assert lines == ["one\n", "two\n"] and (tmp_path / "log").read_text().endswith("one\ntwo\n")


@pytest.mark.parametrize(("code", "status"), [("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 9)", 137)])
def test_a_tool_that_fails_says_how(code: str, status: int, tmp_path: Path) -> None:
    with pytest.raises(StageFailed) as error:
        run([sys.executable, "-c", code], "it", tmp_path / "log", cwd=tmp_path, on_line=lambda line: None)
    assert f"status {status}" in str(error.value) and error.value.log == tmp_path / "log"


def test_a_tool_ends_with_the_killed_process_that_asked_for_it(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    asks = f"""
        from pathlib import Path
        from mmdist.apis.comparison.process import run
        from mmdist.apis.comparison.stages import lock
        with lock(Path({str(tmp_path / "work")!r})) as held:
            command = [{sys.executable!r}, "-c", {SLEEPS!r}, {str(note)!r}]
            run(command, "it", Path({str(tmp_path / "log")!r}), cwd=Path("."), on_line=print, keep=[held])
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(asks)], start_new_session=True)
    tool = started(note)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert gone(tool)
    with lock(tmp_path / "work"):  # which the tool had too
        pass


def test_a_tool_that_is_ended_hears_of_it_once_and_may_finish_its_work(tmp_path: Path) -> None:
    note, heard, processes = tmp_path / "pid", tmp_path / "heard", Processes()
    tool = f"""
        import os, signal, sys, time
        def note(number, frame):
            with open({str(heard)!r}, "a") as file:
                file.write("once ")
        signal.signal(signal.SIGTERM, note)
        open({str(note)!r}, "w").write(str(os.getpid()))
        while not os.path.exists({str(heard)!r}):
            time.sleep(0.05)
        time.sleep(1)
    """
    common = dict(cwd=tmp_path, on_line=lambda line: None, processes=processes)
    command = [sys.executable, "-c", textwrap.dedent(tool)]
    thread = threading.Thread(target=lambda: run(command, "it", tmp_path / "log", **common))
    thread.start()
    pid = started(note)
    processes.end()
    thread.join(30)
    assert gone(pid) and heard.read_text() == "once "


def test_a_folder_belongs_to_one_at_a_time(tmp_path: Path) -> None:
    with lock(tmp_path), pytest.raises(MMDistError, match=str(os.getpid())), lock(tmp_path, patience=0):
        pass


def test_all_tools_at_work_can_be_ended_from_another_thread(tmp_path: Path) -> None:
    processes, note, failed = Processes(), tmp_path / "pid", []

    def work() -> None:
        try:
            run(
                *([sys.executable, "-c", SLEEPS, note], "it", tmp_path / "log"),
                **dict(cwd=tmp_path, on_line=lambda line: None, processes=processes),
            )
        except StageFailed as failure:
            failed.append(failure)

    thread = threading.Thread(target=work)
    thread.start()
    tool = started(note)
    processes.end()
    thread.join(30)
    assert failed and gone(tool)

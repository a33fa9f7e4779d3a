"""Runs programs on files that may do anything, each in a child of its own with little memory and time.

``python sandbox.py FOLDER`` reads ``cases.json`` in the folder and writes ``report.json``: each case's exit code and
what was wrong.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

MEMORY, SECONDS = 2**31, 20  # bytes above what the imports take; of computing
LONGEST = 1500  # characters of a line that a person reads
CANARY = bytes(range(0xC0, 0xE0)) * 2


def lay_canaries() -> list[bytearray]:
    """Fill memory with bytes that are in no file: some of it stays, the rest is free and holds them still."""
    sizes = [64, 256, 1024, 4096, 65536, 2**20]
    blocks = [bytearray(CANARY * (size // len(CANARY))) for size in sizes for _ in range(2**22 // size)]
    return blocks[::2]


def run(case: dict[str, Any], folder: Path) -> tuple[int | None, list[str]]:
    """One command in a child: its exit code, and what was wrong with it."""
    work = folder / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    for name, text in case["beside"].items():
        (work / name).write_text(text)
    hostile = work / f"hostile{case['suffix']}"
    hostile.write_bytes(bytes.fromhex(case["data"]))
    out = work / f"student{case['out']}"
    argv = [{"FILE": str(hostile), "OUT": str(out)}.get(word, word) for word in case["command"]]
    before = snapshot(folder)
    status = in_child(case["program"], argv, folder)
    problems = []
    if os.WIFSIGNALED(status):
        return None, [f"ended by {signal.Signals(os.WTERMSIG(status)).name}"]
    code = os.WEXITSTATUS(status)
    said, complained = ((folder / name).read_bytes().decode("utf-8", "replace") for name in ("stdout", "stderr"))
    if code == 0 and case["refused"]:
        problems.append("it was not refused")
    if code not in (0, 2):
        problems.append(f"exit code {code}: {complained[-500:]}")
    elif code == 2 and len(complained.splitlines()) != 1:
        problems.append(f"{len(complained.splitlines())} lines: {complained[:500]!r}")
    elif code == 2 and len(complained) > LONGEST:
        problems.append(f"{len(complained)} characters: {complained[:500]!r}")
    if not all(line.isprintable() for line in (said + complained).split("\n")):
        problems.append(f"not printable: {(said + complained)[:500]!r}")
    if (after := snapshot(folder)) != before:
        problems.append(f"files changed: {sorted(set(after.items()) ^ set(before.items()))[:3]}")
    if hostile.read_bytes().hex() != case["data"]:
        problems.append("the file itself was changed")
    if not case["writes"] and set(work.iterdir()) - {hostile, out, *(work / name for name in case["beside"])}:
        problems.append(f"left behind: {sorted(path.name for path in work.iterdir())}")
    written = out.read_bytes() if out.exists() else b""
    if code == 2 and written:
        problems.append("a file was written in spite of an error")
    if any(CANARY[:16] in text for text in (written, said.encode(), complained.encode())):
        problems.append("memory of the process is in an output")
    return code, problems


def in_child(program: str, argv: list[str], folder: Path) -> int:
    child = os.fork()
    if child:
        return wait(child)
    code = 99
    try:
        for name, descriptor in (("stdout", 1), ("stderr", 2)):
            os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.chdir(folder / "work")
        module, _, name = program.partition(":")
        code = getattr(importlib.import_module(module), name)(argv)
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def wait(child: int) -> int:
    """The child's status; one that sleeps for ever takes no computing time, and is ended as well."""
    last = time.monotonic() + 6 * SECONDS
    while time.monotonic() < last:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def snapshot(folder: Path) -> dict[str, tuple]:
    """Every file outside of the work dir, by what would tell a change."""
    places = [folder, folder / "outside"]
    files = [path for place in places for path in place.iterdir() if path.name not in ("stdout", "stderr", "work")]
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size, path.stat().st_ino) for path in files}


def main(folder: Path) -> None:
    cases = json.loads((folder / "cases.json").read_text())
    for name in ("mmdist.engine.export", *{case["program"].partition(":")[0] for case in cases}):
        module = importlib.import_module(name)  # once for all children
        getattr(module, "prepare", list)()
    (folder / "outside").mkdir()
    (folder / "outside" / "thesis.txt").write_text("three years of work")
    (folder / "thesis.txt").write_text("three years of work")
    kept = lay_canaries()
    report = {case["name"]: run(case, folder) for case in cases}
    del kept
    (folder / "report.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Imports that are tried, each in a process of its own: no crash of one takes anything else along."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mmdist.errors import one_line, printable

# What a training imports of a task library, by way of the registries.
PARTS = ("models", "datasets", "evaluation", "engine")
TIMEOUT = 600.0
_TAIL = 4096
_CHILD = (
    "import json, sys; module, result, sys.path[:] = json.loads(sys.argv.pop()); "
    "from mmdist.compat import import_trials; import_trials.attempt(module, result)"
)


@dataclass(frozen=True)
class Trial:
    """What came of importing a library.

    Args:
        library (str): The library, such as ``mmdet``.
        module (str): The module that failed, such as ``mmdet.models``; empty: none.
        reason (str): The last line of the exception, or how the process ended.
        missing (str): The module that was not found, if that is the reason.
        origin (str): The package whose code raised; empty: it is not known.
        crashed (bool): Whether the process ended, or hung, without an exception.
        fixes (dict[int, bool]): For each fix of :mod:`mmdist.compat` that was needed, whether it is in force.
        notes (tuple[str, ...]): What the fixes switched off.
    """

    library: str
    module: str = ""
    reason: str = ""
    missing: str = ""
    origin: str = ""
    crashed: bool = False
    fixes: dict[int, bool] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """What shows the whole error."""
        return f"python {'-X faulthandler ' if self.crashed else ''}-c 'import mmdist, {self.module}'"


def run(libraries: Sequence[str], timeout: float = TIMEOUT) -> list[Trial]:
    """Import mmdist and then a library, as a training does; all at the same time, each in a process of its own.

    Args:
        libraries (Sequence[str]): Such as ``mmdet``, of which its models, datasets, ... are imported too.
        timeout (float): Seconds until a process that still runs counts as hung.

    Returns:
        list[Trial]: One for each library, in their order.
    """
    deadline = time.monotonic() + timeout
    with tempfile.TemporaryDirectory(prefix="mmdist-doctor-") as folder:
        children: list[_Child] = []
        try:
            children.extend(_Child(library, Path(folder) / library) for library in libraries)
            return [child.finish(deadline, timeout) for child in children]
        finally:
            for child in children:
                child.kill()


class _Child:
    def __init__(self, library: str, result: Path) -> None:
        self._library, self._result, self._tail = library, result, b""
        arguments = json.dumps([library, str(result), [os.path.abspath(entry) for entry in sys.path]])
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", _CHILD, arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        """Keep the end of what the process says, however much it is."""
        pipe = self._process.stderr
        while pipe is not None and (chunk := os.read(pipe.fileno(), 65536)):
            self._tail = (self._tail + chunk)[-_TAIL:]

    def finish(self, deadline: float, timeout: float) -> Trial:
        try:
            code = self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            return self._crash(f"the import did not end within {timeout:g} seconds")
        try:
            return Trial(self._library, **_checked(json.loads(self._result.read_text(encoding="utf-8"))))
        except (OSError, ValueError, TypeError):
            return self._crash(_ending(code))

    def _crash(self, ending: str) -> Trial:
        self.kill()
        self._reader.join(1.0)
        said = [line for line in self._tail.decode("utf-8", "replace").splitlines() if line.strip()]
        reason = f"{ending}; it said last: {printable(said[-1].strip())}" if said else ending
        return Trial(self._library, self._library, reason, crashed=True)

    def kill(self) -> None:
        if self._process.poll() is not None:
            return
        if hasattr(os, "killpg"):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()


def _ending(code: int) -> str:
    if code >= 0:
        return f"the process ended with exit code {code} during the import"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"the process was ended by {name} during the import"


def _checked(result: dict[str, Any]) -> dict[str, Any]:
    fixes = {int(number): bool(active) for number, active in result["fixes"].items()}
    return {**result, "fixes": fixes, "notes": tuple(map(str, result["notes"]))}


def attempt(library: str, result: str) -> None:
    """Import a library and write what came of it; ends this process.

    Args:
        library (str): Its name.
        result (str): The file to write.
    """
    trial = _import(library)
    text = json.dumps({key: value for key, value in asdict(trial).items() if key != "library"})
    Path(result).write_text(text, encoding="utf-8")
    # What a library does at exit is not the import's.
    os._exit(0)


def _import(library: str) -> Trial:
    from mmdist import compat

    module = library
    try:
        package = importlib.import_module(library)
        for part in PARTS if hasattr(package, "__path__") else ():
            module = f"{library}.{part}"
            if find_spec(module) is not None:
                importlib.import_module(module)
        compat.apply()
    # A library may leave with SystemExit: that must not pass for success.
    except BaseException as error:
        missing = str(error.name or "") if isinstance(error, ModuleNotFoundError) else ""
        return Trial(library, module, one_line(error), printable(missing), _origin(error))
    fixes = {fix.number: fix.active for fix in compat.status() if fix.needed}
    return Trial(library, fixes=fixes, notes=tuple(compat.notes()))


def _origin(error: BaseException) -> str:
    """The package that an ImportError is about; else the one whose code raised, Python and mmdist left aside."""
    if isinstance(error, ImportError) and error.name:
        return printable(error.name.split(".")[0], 60)
    origin, trace = "", error.__traceback__
    while trace is not None:
        package = str(trace.tb_frame.f_globals.get("__name__", "")).split(".")[0]
        if package not in sys.stdlib_module_names and package not in ("mmdist", "__main__", ""):
            origin = package
        trace = trace.tb_next
    return printable(origin, 60)

"""A stage's folder: what it was begun with, and the note that it was finished.

``started.json`` is written first, ``done.json`` last, and both hold a hash of what the stage depends on. A stage is
skipped when its note is there, fits, and the files that it names are as they were; it is continued when it was begun
with the same inputs; otherwise it starts over in an empty folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from mmdist.engine import atomic
from mmdist.errors import MMDistError

LOCK = ".lock"
STARTED, DONE = "started.json", "done.json"


def write_json(path: Path, content: Any) -> None:
    """Write a file whole or not at all."""
    atomic.write_text(json.dumps(content, indent=1, default=str) + "\n", path)


def read_json(path: Path) -> dict[str, Any]:
    """The content of a file, or {} where it is missing or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def sha256(path: Path) -> str:
    """Checksum of a file, or '' where it is missing."""
    return atomic.file_hash(path) if path.is_file() else ""


class Stage:
    """One stage of a comparison.

    Args:
        folder (Path): Its own folder; made by :meth:`begin`.
        inputs (dict): All that its result depends on; must be JSON.
        keep (bool): Whether what was finished with other inputs is moved aside and not removed. Defaults to False.
    """

    def __init__(self, folder: Path, inputs: dict[str, Any], *, keep: bool = False) -> None:
        self.folder, self.keep = folder, keep
        self.inputs = json.loads(json.dumps(inputs, default=str, sort_keys=True))
        self.key = hashlib.sha256(json.dumps(self.inputs, sort_keys=True).encode()).hexdigest()

    def result(self) -> dict[str, Any] | None:
        """What the stage left when it was finished with the same inputs, else None."""
        done = read_json(self.folder / DONE)
        files = done.get("files", {})
        if done.get("key") != self.key or any(sha256(self.folder / name) != value for name, value in files.items()):
            return None
        return done

    def begin(self) -> bool:
        """Make the folder ready.

        Returns:
            bool: True where an unfinished run of the same inputs lies in it, False where it is empty now.

        Raises:
            MMDistError: The folder holds something that no stage wrote.
        """
        started = read_json(self.folder / STARTED)
        if started.get("key") == self.key and not (self.folder / DONE).exists():
            return True
        if self.folder.exists():
            if any(self.folder.iterdir()) and not (self.folder / STARTED).exists():
                raise MMDistError(
                    f"{self.folder} holds something that no comparison has written: "
                    "move it away, or choose another --work-dir"
                )
            if self.keep and (self.folder / DONE).exists():
                aside = self.folder.with_name(f"{self.folder.name}.{str(started.get('key'))[:8]}")
                shutil.rmtree(aside, ignore_errors=True)
                self.folder.rename(aside)
            else:
                shutil.rmtree(self.folder)
        self.folder.mkdir(parents=True)
        write_json(self.folder / STARTED, {"key": self.key, "inputs": self.inputs})
        return False

    def finish(self, files: Iterable[str], **facts: Any) -> dict[str, Any]:
        """Write the note that the stage is finished.

        Args:
            files (Iterable[str]): What it made, relative to the folder; later runs check that these are unchanged.
            **facts: Kept in the note.

        Returns:
            dict[str, Any]: The note.
        """
        sums = {name: sha256(self.folder / name) for name in files}
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        done = {"key": self.key, **facts, "finished": now, "files": sums}
        write_json(self.folder / DONE, done)
        return read_json(self.folder / DONE)


@contextmanager
def lock(folder: Path, patience: float = 15.0, *, shared: bool = False) -> Iterator[int]:
    """Let one comparison at a time work in a folder.

    Args:
        folder (Path): Made where it is missing.
        patience (float): Seconds to wait for the trainings of one that was killed, which end by themselves. Defaults to
            15.
        shared (bool): Whether others that say so too may work beside. Defaults to False.

    Yields:
        int: A file descriptor for the processes that are started: the folder stays locked until the last of them has
        ended, even where this process was killed.

    Raises:
        MMDistError: Another comparison is still at work.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a+", encoding="utf-8") as file:
        until = time.monotonic() + patience
        while not _locked(file, shared):
            file.seek(0)
            owner = file.read().strip()
            if time.monotonic() > until or _alive(owner):
                raise MMDistError(
                    f"another comparison (process {owner or '?'}, or a training that it started) works in {folder}: "
                    "wait for it to end, or choose another --work-dir"
                )
            time.sleep(0.2)
        if not shared:
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
        yield file.fileno()


def _locked(file: TextIO, shared: bool) -> bool:
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _alive(process: str) -> bool:
    """Whether a process of this machine, by its number, is there."""
    if not process.isdecimal():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True

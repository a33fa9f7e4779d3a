"""Paths in a written config, which hold wherever a run of it is started from."""

from __future__ import annotations

import os
from pathlib import Path

from mmdist.engine.config import find_config
from mmdist.engine.new.text import FOLDER
from mmdist.engine.preflight.checkpoints import REMOTE

QUOTING = set("'\"\\\n\r")


def relative(path: str, out: Path) -> str:
    """A config's path as ``_base_`` takes it: from the folder of the new file; ``pkg::`` paths as they are."""
    if "::" in path:
        return path
    return Path(os.path.relpath(find_config(path).resolve(), out.resolve().parent)).as_posix()


def local(path: str, out: Path) -> str:
    """A path that holds wherever the run is started from; URLs and ``pkg::`` paths as they are."""
    if "::" in path or REMOTE.match(path):
        return path
    return _from_folder(Path(path).expanduser().resolve(), out)


def beside(path: str, out: Path) -> str:
    """The same for data on this machine: a link stays a link, since a list's paths are relative to where it is."""
    found = Path(path).expanduser()
    if found.name not in ("", ".."):
        return _from_folder(found.parent.resolve() / found.name, out)
    return _from_folder(found.resolve(), out)


def in_config(written: str, out: Path) -> str:
    """A path of :func:`local` or :func:`beside` as mmengine reads it from the written config."""
    return written.replace(FOLDER, os.path.dirname(os.path.abspath(out)), 1)


def _from_folder(path: Path, out: Path) -> str:
    if QUOTING & set(str(out.resolve().parent)):
        return str(path)  # mmengine puts the folder's name into the text as it is, inside of a string's quotes
    return f"{FOLDER}/{Path(os.path.relpath(path, out.resolve().parent)).as_posix()}"

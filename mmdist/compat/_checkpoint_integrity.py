"""Whether a file is the one that was written: the hash in its name, its checksums; looked at once in a process."""

from __future__ import annotations

from pathlib import Path

from mmdist.compat import _checkpoint_safetensors
from mmdist.compat._checkpoint_archive import check_records, read_records
from mmdist.compat._checkpoint_hash import file_digest, name_hash
from mmdist.errors import CheckpointError, printable

_checked: dict[str, tuple[tuple[int, ...], str]] = {}


def check_integrity(path: Path, form: str) -> str:
    """Compare a file with the hash in its name and with its checksums, unless this process has done so.

    Args:
        path (Path): The file.
        form (str): Its format: ``zip``, ``safetensors`` or ``legacy``.

    Returns:
        str: What its content was compared with, such as ``sha256``; empty: with nothing, as there is nothing.

    Raises:
        CheckpointError: They differ.
    """
    key, state = str(path.resolve()), _state(path)
    known = _checked.get(key)
    if known is not None and known[0] == state:
        return known[1]
    compared = check_name(path)
    if form == "zip":
        compared = check_records(path, read_records(path)) or compared
    elif form == "safetensors":
        compared = _checkpoint_safetensors.check(path) or compared
    if not compared:
        _say(path, form)
    _checked[key] = (state, compared)
    return compared


def _state(path: Path) -> tuple[int, ...]:
    stat = path.stat()
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def check_name(path: Path) -> str:
    """Compare a file with the hash in its name, if there is one.

    Args:
        path (Path): The file.

    Returns:
        str: ``sha256 in its name``, or nothing.

    Raises:
        CheckpointError: They differ.
    """
    expected = name_hash(path.name)
    if not expected:
        return ""
    found = file_digest(path)
    if not found.startswith(expected):
        raise CheckpointError(
            f"{path}: its name says that its SHA-256 begins with {expected}, and it begins with "
            f"{found[: len(expected)]}: the file is damaged or was changed. Copy or download it again; if "
            f"{expected} is no hash, or the change was yours, rename the file"
        )
    return "sha256 in its name"


def _say(path: Path, form: str) -> None:
    without = "was written without checksums" if form == "zip" else "is of a format without checksums"
    try:
        from mmengine.logging import print_log
    except ImportError:
        return
    print_log(printable(f"{path} {without}: damage in its numbers cannot be seen", 1000), "current")

"""Whether a file is the one that was written: the hash in its name, its checksums; looked at once in a process."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from pathlib import Path

from mmdist.compat import _checkpoint_safetensors
from mmdist.compat._checkpoint_archive import CHUNK, check_records, read_records
from mmdist.errors import CheckpointError, printable

# As torch.hub writes it. Eight digits may be a date as well.
HASH = re.compile(r"-([0-9a-f]{8,64})\.[A-Za-z]+$")

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


def name_hash(name: str) -> str:
    """The beginning of a SHA-256 that a file's name carries, as ``resnet50-0676ba61.pth`` does; empty if none.

    Example:
        >>> name_hash('resnet50-0676ba61.pth'), name_hash('iter_40000.pth'), name_hash('run-20230131.pth')
        ('0676ba61', '', '')
    """
    found = HASH.search(name)
    if found is None or _is_date(found[1]):
        return ""
    return found[1]


def _is_date(digits: str) -> bool:
    """Eight digits, perhaps with a time of day behind them."""
    if not digits.isdecimal() or len(digits) not in (8, 10, 12, 14):
        return False
    try:
        return 1990 <= datetime.strptime(digits[:8], "%Y%m%d").year < 2100
    except ValueError:
        return False


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


def file_digest(path: Path) -> str:
    """The SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _say(path: Path, form: str) -> None:
    without = "was written without checksums" if form == "zip" else "is of a format without checksums"
    try:
        from mmengine.logging import print_log
    except ImportError:
        return
    print_log(printable(f"{path} {without}: damage in its numbers cannot be seen", 1000), "current")

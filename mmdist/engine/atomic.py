"""Files that are either whole or not there: temporary name, fsync, rename, fsync of the folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmdist.compat import _checkpoint_archive
from mmdist.compat._checkpoint_hash import file_digest
from mmdist.errors import CheckpointError

SUFFIX = ".mmdist-tmp"


def temporary_path(path: Path) -> Path:
    """Where a file is written before it gets its name: hidden, in the same folder, found again after a crash.

    Args:
        path (Path): The final path.

    Returns:
        Path: Its temporary one.

    Example:
        >>> temporary_path(Path('work', 'epoch_1.pth')).name
        '.epoch_1.pth.mmdist-tmp'
    """
    return path.with_name(f".{path.name}{SUFFIX}")


def commit(temporary: Path, path: Path) -> None:
    """Give a file that has been written its name, so that a crash at any moment leaves the old file or the new one.

    Args:
        temporary (Path): The file that has been written.
        path (Path): Its name, in the same folder; a file of that name is replaced.
    """
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())  # the rename must not reach the disk before the content does
    os.replace(temporary, path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Write what a folder lists to the disk, where the system can do that."""
    # Windows cannot open folders, and some network file systems do not sync them.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path to write to; it becomes ``path`` when the block ends well and is removed when it does not.

    Args:
        path (Path): The file to write or to replace.

    Yields:
        Path: Where to write.

    Raises:
        CheckpointError: The file could not be written (disk full, no permission). A file that was there still is.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with replacing(Path(folder, 'note')) as temporary:
        ...         _ = temporary.write_text('text')
        ...     [file.name for file in Path(folder).iterdir()]
        ['note']
    """
    temporary = temporary_path(path)
    try:
        yield temporary
        if temporary.exists():  # only one process of many writes
            commit(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            reason = error.strerror or str(error)
            raise CheckpointError(f"{path} could not be written: {reason}. Files saved before are untouched") from error
        raise


def write_checkpoint(content: dict[str, Any], path: Path) -> None:
    """Save a dictionary with ``torch.save``, whole or not at all, with the SHA-256 of its content in it.

    Args:
        content (dict[str, Any]): What to save.
        path (Path): The file; one that is there is replaced.

    Raises:
        CheckpointError: It could not be written.
    """
    import torch

    with replacing(path) as temporary:
        with temporary.open("wb") as file:
            torch.save(content, file)
        stamp(temporary)


def stamp(path: Path) -> None:
    """Add the SHA-256 of its content to a file that ``torch.save`` has just written; loading compares it.

    Args:
        path (Path): The file. One of the format before torch 1.6 has no place for it.
    """
    with path.open("rb+") as file:
        if file.read(2) == b"PK":
            _checkpoint_archive.stamp(file)


def write_text(text: str, path: Path) -> None:
    """Write a small text file, whole or not at all.

    Args:
        text (str): Its content.
        path (Path): The file; one that is there is replaced.

    Raises:
        CheckpointError: It could not be written.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def remove_leftovers(folder: Path) -> list[Path]:
    """Delete the temporary files that a killed process left in a folder.

    Args:
        folder (Path): May be missing.

    Returns:
        list[Path]: What was deleted.
    """
    found = sorted(folder.glob(f".*{SUFFIX}")) if folder.is_dir() else []
    for path in found:
        path.unlink(missing_ok=True)
    return found


def file_hash(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    return file_digest(path)

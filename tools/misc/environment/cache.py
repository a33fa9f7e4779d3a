"""The per-user cache: locks that vanish with the process that holds them, and files that nobody else can write."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from environment.failure import SetupFailure

# What a file system without locks answers, as some network file systems do.
NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


def cache_folder() -> Path:
    """``$MMDIST_CACHE``, else ``$XDG_CACHE_HOME/mmdist``, else ``~/.cache/mmdist``."""
    if os.environ.get("MMDIST_CACHE"):
        return Path(os.environ["MMDIST_CACHE"]).expanduser().resolve()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().resolve() / "mmdist"


@contextmanager
def exclusive(path: Path, on_wait: Callable[[], None]) -> Iterator[bool]:
    """Hold the lock file ``path``; where another process has it, say so and wait.

    Args:
        path: The lock file; it stays behind, empty, which is harmless.
        on_wait: Called once before the wait.

    Yields:
        Whether it is held: not on a file system that has no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # no O_TRUNC, and no link: it could lead to a file that is worth something
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        yield _lock(descriptor, on_wait)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, on_wait: Callable[[], None]) -> bool:
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno in NO_LOCKS:
            return False
        raise
    return True


def distrust(path: Path) -> str:
    """Why somebody else may have written a file or folder; empty: nobody can have."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return "it is not there"
    if stat.S_ISLNK(found.st_mode):
        return "it is a link"
    if found.st_uid != os.geteuid():
        return "it belongs to another user"
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "others can write it"
    return ""


def private_folder(path: Path) -> None:
    """Make a folder that this user alone can write, and empty it if others could write it before.

    Raises:
        SetupFailure: It is a link, or another user's.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)
    reason = distrust(path)
    if reason == "others can write it":
        path.chmod(0o700)
        for entry in path.iterdir():
            if entry.is_file() or entry.is_symlink():
                entry.unlink()
    elif reason:
        raise SetupFailure(
            f"{path} cannot be used as a cache: {reason}; remove it, or set MMDIST_CACHE to another folder"
        )


def checksum_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        for block in iter(lambda: handle.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def has_checksum(path: Path) -> bool:
    """Whether a file has the checksum that was noted when it was written."""
    try:
        noted = checksum_file(path).read_text(encoding="ascii").strip()
        return noted == sha256(path)
    except (OSError, UnicodeDecodeError):
        return False


def is_trusted(path: Path) -> bool:
    """Whether a cached file, its note and its folder are this user's alone, and the file is as it was written."""
    return not any(map(distrust, (path.parent, path, checksum_file(path)))) and has_checksum(path)


def keep(source: Path, folder: Path) -> Path:
    """Move a finished file into the cache: whole, with its checksum, or not at all."""
    target = folder / source.name
    source.chmod(0o600)
    note = checksum_file(source)
    note.write_text(sha256(source) + "\n", encoding="ascii")
    note.chmod(0o600)
    for path in (source, note):
        with path.open("rb") as handle:
            os.fsync(handle.fileno())
    checksum_file(target).unlink(missing_ok=True)  # an old one would not fit the new file
    os.replace(source, target)
    os.replace(note, checksum_file(target))
    return target

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
from environment.shared import kernel_cache

# What a file system without locks answers, as some network file systems do.
NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
# And one where this user cannot write, which may hold an environment that is complete.
NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)
OPEN = "others can write it"
# The locks of this process, for what it starts: they are free when the last process that has them has ended.
HELD: set[int] = set()


def cache_folder() -> Path:
    """mmdist's own rule, for the wheels that are kept here.

    Raises:
        SetupFailure: It is in a home that nobody knows.
    """
    try:
        return kernel_cache.user_cache()
    except RuntimeError as error:
        raise SetupFailure(str(error)) from error


@contextmanager
def exclusive(path: Path, on_wait: Callable[[], None]) -> Iterator[bool]:
    """Hold the lock file ``path``; where another process has it, say so and wait.

    Args:
        path: The lock file; it stays behind, empty, which is harmless.
        on_wait: Called once before the wait.

    Yields:
        Whether it is held: not on a file system that has no locks, nor where this user cannot write.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # no O_TRUNC, and no link: it could lead to a file that is worth something
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno not in NOT_WRITABLE:
            raise
        descriptor = -1
    if descriptor < 0:
        yield False
        return
    try:
        held = _lock(descriptor, on_wait)
        HELD.add(descriptor)
        yield held
    finally:
        HELD.discard(descriptor)
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
        return OPEN
    return ""


def private_folder(name: str) -> Path:
    """Make a folder of the cache that this user alone can write, and empty it if others could write it before.

    Args:
        name: Its path below the cache, such as ``wheels``.

    Raises:
        SetupFailure: It cannot be made, it is a link or another user's, or others can exchange it or a folder above.
    """
    path = cache_folder()
    try:
        for part in Path(name).parts:
            path = path / part
            if distrust(path) == OPEN:
                path.chmod(0o700)
                _empty(path)
            kernel_cache.private_folder(path)  # looks at the folders above too, and at what chmod has achieved
    except kernel_cache.Untrusted as error:
        raise SetupFailure(str(error)) from error
    except OSError as error:
        raise SetupFailure(f"{error.filename or path}: {error.strerror or error}: {kernel_cache.REMEDY}") from error
    return path


def _empty(folder: Path) -> None:
    """Remove the wheels that others may have put into a folder, or into one below."""
    for parent, _, files in os.walk(folder):
        for name in files:
            if name.endswith((".whl", ".sha256")):
                Path(parent, name).unlink()


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
    if any(map(distrust, (path.parent, path, checksum_file(path)))):
        return False
    try:
        kernel_cache.private_folder(path.parent.parent)
        kernel_cache.private_folder(path.parent)
    except OSError:
        return False
    return has_checksum(path)


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

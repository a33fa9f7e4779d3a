"""The user's cache, and in it the built kernels: files that only this user can have written, and that are whole."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

STICKY = stat.S_ISVTX  # in such a folder nobody can move what belongs to others
OTHERS = stat.S_IWGRP | stat.S_IWOTH
REMEDY = "set MMDIST_CACHE to a folder that you alone can write to"
LARGEST = 1 << 26  # bytes; a library has some ten thousand
HAS_OWNERS = hasattr(os, "geteuid")  # not on Windows


class Untrusted(OSError):
    """A cached file or its folder may be somebody else's work."""


def user_cache() -> Path:
    """``$MMDIST_CACHE``, else ``$XDG_CACHE_HOME/mmdist``, else ``~/.cache/mmdist``: for the set-up and the tools too.

    Returns:
        Path: Without links on the way; it need not be there.

    Raises:
        RuntimeError: It is in a home that nobody knows: no ``HOME``, and no entry of this user, as in some containers.
    """
    own = os.environ.get("MMDIST_CACHE")
    base = own or os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        folder = Path(base).expanduser().resolve()
    except RuntimeError:
        raise RuntimeError(f"there is no home folder for {base}: {REMEDY}") from None
    return folder if own else folder / "mmdist"


def cache_folder() -> Path:
    """Where the built kernels are kept."""
    return user_cache() / "kernels"


def private_folder(folder: Path) -> Path:
    """A folder that only this user can write to, made if it is missing.

    Args:
        folder (Path): No link; the way to it may lead over links.

    Returns:
        Path: The same folder, without links on the way.

    Raises:
        Untrusted: Others can write to it, or exchange it or a folder above it.
        OSError: It cannot be made.
    """
    for parent in reversed([parent for parent in folder.parents if not parent.exists()]):
        parent.mkdir(mode=0o755, exist_ok=True)  # whatever the umask
    folder = folder.parent.resolve() / folder.name
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    if not HAS_OWNERS:
        return folder
    _check(folder, folder.lstat(), stat.S_ISDIR)
    for parent in folder.parents:
        found = parent.lstat()
        if found.st_uid not in (0, os.geteuid(), _outer_root()):
            raise Untrusted(f"{parent} belongs to the user {found.st_uid}, who can exchange what is in it: {REMEDY}")
        if _others_write(found) and not found.st_mode & STICKY:
            raise Untrusted(f"others can write to {parent}, and exchange what is in it: {REMEDY}")
    return folder


class Library(NamedTuple):
    """A library as it was read: what is loaded is what was checked.

    Args:
        path (Path): Where it is kept.
        content (bytes): What is in it.
    """

    path: Path
    content: bytes


def find(folder: Path, key: str) -> Library | None:
    """A cached library that is whole and this user's; one that is not goes, so that it is built again.

    Args:
        folder (Path): Of :func:`private_folder`.
        key (str): What it was built for.

    Returns:
        Library | None: None where there is none.
    """
    for path in sorted(folder.glob(f"kernels-{key}-*.so")):
        with contextlib.suppress(OSError):
            content = _read(path)
            if _digest(content) == path.stem.rpartition("-")[2]:
                return Library(path, content)
        with contextlib.suppress(OSError):
            path.unlink()
    return None


def keep(built: Path, folder: Path, key: str) -> Library:
    """Move a library into the cache; a crash at any moment leaves all of it or nothing.

    Args:
        built (Path): On the same file system.
        folder (Path): Of :func:`private_folder`.
        key (str): What it was built for.

    Returns:
        Library: Its name carries the hash of the content.
    """
    built.chmod(0o700)
    content = _read(built)
    target = folder / f"kernels-{key}-{_digest(content)}.so"
    with built.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(built, target)  # several processes may build at once: each leaves a whole file
    with contextlib.suppress(OSError):  # some file systems cannot
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    return Library(target, content)


def loadable(library: Library) -> str:
    """A path to load a library from: a copy in memory, which nobody can exchange or cut short any more.

    Args:
        library (Library): What was read.

    Returns:
        str: Where the copy is, where the system can do that; else where the library is kept.
    """
    try:
        descriptor = os.memfd_create(library.path.name)
    except (AttributeError, OSError):  # not Linux, or forbidden
        return str(library.path)
    with open(descriptor, "wb", closefd=False) as memory:
        memory.write(library.content)
    # It stays open: the system's loader takes two files of one name for one, and the number is all of this name.
    return f"/proc/self/fd/{descriptor}"


def _digest(content: bytes) -> str:
    """The start of its SHA-256."""
    return hashlib.sha256(content).hexdigest()[:32]


def _read(path: Path) -> bytes:
    """A file of this user's."""
    # Not through a link, and without waiting where a pipe has the name.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    with open(descriptor, "rb") as file:
        if HAS_OWNERS:
            _check(path, os.fstat(descriptor), stat.S_ISREG)
        return file.read(LARGEST)


def _check(path: Path, found: os.stat_result, is_kind: Callable[[int], bool]) -> None:
    if not is_kind(found.st_mode):
        raise Untrusted(f"{path} is a link, or not of the kind that it should be: remove it, or {REMEDY}")
    if found.st_uid != os.geteuid():
        raise Untrusted(f"{path} belongs to the user {found.st_uid}: {REMEDY}")
    if found.st_mode & OTHERS:
        raise Untrusted(f"others can write to {path}: remove it, or {REMEDY}")


def _others_write(found: os.stat_result) -> bool:
    """Whether others can write to a folder above, which may be open to its owner's own group, as homes often are."""
    if found.st_mode & stat.S_IWOTH:
        return True
    return bool(found.st_mode & stat.S_IWGRP) and not _is_private(found.st_gid, found.st_uid)


def _is_private(group: int, user: int) -> bool:
    import grp
    import pwd

    try:
        entry, owner = grp.getgrgid(group), pwd.getpwuid(user)
    except (KeyError, OSError):
        return False
    return group == owner.pw_gid and entry.gr_name == owner.pw_name and set(entry.gr_mem) <= {owner.pw_name}


def _outer_root() -> int:
    """In a container that knows its own users alone, root of the machine shows as this user; elsewhere -1."""
    try:
        mapped = Path("/proc/self/uid_map").read_text(encoding="ascii").split()
        if mapped == ["0", "0", str(2**32 - 1)]:
            return -1
        return int(Path("/proc/sys/kernel/overflowuid").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return -1

"""The per-user cache, and locks that vanish with the process that holds them."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_folder() -> Path:
    """``$MMDIST_CACHE``, else ``$XDG_CACHE_HOME/mmdist``, else ``~/.cache/mmdist``."""
    if os.environ.get("MMDIST_CACHE"):
        return Path(os.environ["MMDIST_CACHE"]).expanduser().resolve()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().resolve() / "mmdist"


@contextmanager
def exclusive(path: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the lock file ``path``; where another process has it, say so and wait.

    Args:
        path: The lock file; it stays behind, empty, which is harmless.
        on_wait: Called once before the wait.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield

"""MMRazor's and MMSegmentation's wheels each install a top-level ``tests`` package.

Reason: with pytest's default import mode a project's own ``tests`` package is
mistaken for theirs. Nothing to repair at run time: the tests run with
``--import-mode=importlib`` and there is no ``tests/__init__.py``.

Window: mmrazor 1.0.0, mmsegmentation 1.x.
"""

from __future__ import annotations

from importlib import metadata

NUMBER = 6
NAME = "a package called tests"
REASON = "pytest finds another project's tests package instead of this one's"
WINDOW = "mmrazor 1.0.0, mmsegmentation 1.x"
WHEN = "the tests only (--import-mode=importlib)"


def needed() -> bool:
    """Whether a top-level ``tests`` package came with a library."""
    return any(_ships_tests(name) for name in ("mmrazor", "mmsegmentation"))


def _ships_tests(name: str) -> bool:
    try:
        files = metadata.distribution(name).files or []
    except metadata.PackageNotFoundError:
        return False
    return any(file.parts[0] == "tests" for file in files)


def active() -> bool:
    """Never at run time."""
    return False


def apply() -> None:
    """Nothing to do at run time."""

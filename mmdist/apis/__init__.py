"""What a person asks for: each command as a function, for scripts and notebooks."""

from __future__ import annotations

from importlib import import_module
from typing import Any

# Where each function is. It is imported when it is first used: this package costs nothing to import.
FUNCTIONS = {
    "compare": "mmdist.apis.comparison.main",
    "doctor": "mmdist.apis.diagnosis",
}

__all__ = list(FUNCTIONS)


def __getattr__(name: str) -> Any:
    """A function of the table above."""
    if name not in FUNCTIONS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(FUNCTIONS[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *FUNCTIONS})

"""What every fix looks like from outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class FixStatus:
    """One breakage and the state of its fix in this process.

    Args:
        number (int): Its place in the table of the documentation.
        name (str): The breakage, in a few words.
        reason (str): What goes wrong without the fix.
        window (str): The versions in which it goes wrong.
        needed (bool): Whether this environment has the breakage.
        active (bool): Whether the fix is in force in this process.
        when (str): When the fix comes into force.
    """

    number: int
    name: str
    reason: str
    window: str
    needed: bool
    active: bool
    when: str


class Fix(Protocol):
    """A module of ``mmdist.compat`` that repairs one breakage.

    ``needed`` looks at the environment alone and imports nothing heavy;
    ``apply`` may be called any number of times.
    """

    NUMBER: int
    NAME: str
    REASON: str
    WINDOW: str
    WHEN: str

    def needed(self) -> bool: ...

    def active(self) -> bool: ...

    def apply(self) -> None: ...

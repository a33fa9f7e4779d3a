"""What arms and lines of a comparison are called, and which line of the plain student they stand beside."""

from __future__ import annotations

from collections.abc import Sequence

from mmdist.apis.comparison.cells import PLAIN, TEACHER
from mmdist.apis.comparison.formatting import TIMES_SIGN, schedules_text
from mmdist.apis.comparison.lines import Line, best_plain
from mmdist.apis.comparison.results import Setting
from mmdist.errors import printable

LONGEST_NAME = 60
KIND_WORDS = {"equal": "at equal length", "time": "at equal time", "best": "beside its best length"}


def arm_name(arm: str, setting: Setting) -> str:
    """An arm's name in tables and sentences: its words, with the name behind where another arm has the same.

    Args:
        arm (str): Its name.
        setting (Setting): What was compared.

    Returns:
        str: One line of printable characters; not yet escaped for Markdown or HTML.
    """
    default = {PLAIN: "plain student", TEACHER: "teacher"}.get(arm, arm)
    words = setting.arms.get(arm) or default
    twice = sum(other == words for other in setting.arms.values()) > 1
    return printable(f"{words} ({arm})" if twice else words, LONGEST_NAME)


def line_name(line: Line, found: Sequence[Line], setting: Setting) -> str:
    """A line's name: its arm, and what tells it from the arm's other lines.

    Args:
        line (Line): One of ``found``.
        found (Sequence[Line]): All lines.
        setting (Setting): What was compared.
    """
    own = [other for other in found if other.arm == line.arm]
    parts = [arm_name(line.arm, setting)]
    if line.length != setting.length:
        parts.append(schedules_text(line.length, setting))
    if len({other.rate for other in own}) > 1:
        parts.append(f"learning rate {rate_text(line.arm, line.rate, setting)}")
    if len({other.weight for other in own}) > 1:
        parts.append(f"weight {TIMES_SIGN} {line.weight:g}")
    return ", ".join(parts)


def rate_text(arm: str, rate: float, setting: Setting) -> str:
    """A learning rate; where the config's is not known, its factor."""
    known = (setting.learning_rate or {}).get(arm)
    return f"{TIMES_SIGN} {rate:g}" if known is None else f"{known * rate:g}"


def plain_by_length(found: Sequence[Line], higher: bool = True) -> dict[int, Line]:
    """The plain student's line of each length, the shortest first; of several learning rates the best.

    Args:
        found (Sequence[Line]): All lines.
        higher (bool): Whether more is better. Defaults to True.
    """
    plain = [line for line in found if line.arm == PLAIN and line.values]
    sign = 1 if higher else -1
    best = {line.length: line for line in sorted(plain, key=lambda line: sign * line.mean)}
    return dict(sorted(best.items()))


def reference(line: Line, found: Sequence[Line], kind: str, higher: bool = True) -> Line | None:
    """The plain student that a line is compared with.

    Args:
        line (Line): Of an arm.
        found (Sequence[Line]): All lines.
        kind (str): ``equal``, ``time`` or ``best``.
        higher (bool): Whether more is better. Defaults to True.

    Returns:
        Line, optional: None where there is none.
    """
    if kind not in line.references:
        return None
    return best_plain(found, higher) if kind == "best" else plain_by_length(found, higher).get(line.references[kind])


def pairs(line: Line, other: Line) -> tuple[list[float], list[float]]:
    """The values of two lines for the seeds that both have."""
    seeds = sorted(seed for seed in line.values if seed in other.values)
    return [line.values[seed] for seed in seeds], [other.values[seed] for seed in seeds]


def main_kind(found: Sequence[Line]) -> str:
    """The comparison that counts: at equal time, where there is one, else at equal length."""
    return "time" if any("time" in line.differences for line in found) else "equal"

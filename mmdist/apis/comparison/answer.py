"""The answer to "did it help?" in one or two sentences."""

from __future__ import annotations

from mmdist.apis.comparison.findings import Findings
from mmdist.apis.comparison.formatting import listed
from mmdist.apis.comparison.line_names import KIND_WORDS
from mmdist.apis.comparison.lines import Line

MOST_NAMED = 5


def answer(found: Findings) -> str:
    """Which arm is better than the plain student, and by how much; or that nothing is beyond noise.

    Args:
        found (Findings): What was found.

    Returns:
        str: Plain text, with printable names; still to be escaped for Markdown or HTML.

    Example:
        >>> from mmdist.apis.comparison.results import Metric, Row, Setting
        >>> arms = {'plain': 'plain student', 'kd': 'KD'}
        >>> setting = Setting('Digits', Metric('mIoU', 'mIoU'), 800, 'iterations', (0, 1), arms, {}, 'val', 'test')
        >>> values = {('plain', 0): 70.0, ('plain', 1): 72.0, ('kd', 0): 75.0, ('kd', 1): 77.1}
        >>> rows = [Row('final', arm, seed, 800, 1.0, 1.0, value) for (arm, seed), value in values.items()]
        >>> print(answer(Findings.of(rows, setting)))
        At equal length KD (+5.05 [+4.41, +5.69]) is better than the plain student. Nothing was compared at equal time.
    """
    if not found.arms or not found.plain:
        return "There is nothing to compare yet."
    kinds = [kind for kind in ("time", "equal") if any(kind in line.differences for line in found.arms)]
    if not kinds:
        return _without_noise(found)
    said = [_sentence(found, kind) for kind in kinds]
    return " ".join(said if "time" in kinds else [*said, "Nothing was compared at equal time."])


def _sentence(found: Findings, kind: str) -> str:
    where = KIND_WORDS[kind].capitalize()
    there = sorted(
        (line for line in found.arms if kind in line.differences), key=lambda line: found.gain(line, kind), reverse=True
    )
    better = [line for line in there if found.is_better(line, kind)]
    worse = [line for line in there if line.differences[kind].significant and line not in better]
    if better:
        rest = "" if not worse else f"; {_subject(found, worse)} worse"
        return f"{where} {_subject(found, better, kind)} better than the plain student{rest}."
    if worse:
        others = len(there) - len(worse)
        rest = f"; the other{'s are' if others > 1 else ' one is'} within noise" if others else ""
        return f"{where} no arm is better than the plain student: {_subject(found, worse)} worse{rest}."
    return f"{where} nothing is beyond noise: the best arm is {_with_numbers(found, there[0], kind)}."


def _subject(found: Findings, there: list[Line], kind: str = "") -> str:
    """The first of some arms, with their differences to the plain student where a kind is named, and a verb."""
    shown = there if len(there) <= MOST_NAMED else there[: MOST_NAMED - 1]
    names = [_with_numbers(found, line, kind) if kind else found.name(line) for line in shown]
    if len(shown) < len(there):
        names.append(f"{len(there) - len(shown)} more")
    return f"{listed(names)} {'is' if len(there) == 1 else 'are'}"


def _with_numbers(found: Findings, line: Line, kind: str) -> str:
    return f"{found.name(line)} ({found.numbers.difference(line.differences[kind])})"


def _without_noise(found: Findings) -> str:
    plain = found.plain.get(found.setting.length) or next(iter(found.plain.values()))
    shown = [f"{found.name(line)} {found.numbers.value(line.mean)}" for line in [plain, *found.arms][: MOST_NAMED + 1]]
    return f"With one seed nothing can be said about noise; {found.setting.metric.name}: {', '.join(shown)}."

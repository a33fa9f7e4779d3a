"""What the courses of the plain student and the teacher's metric say about the trainings."""

from __future__ import annotations

from mmdist.apis.comparison.findings import Findings, is_sure
from mmdist.apis.comparison.formatting import listed, times_text
from mmdist.apis.comparison.line_names import arm_name
from mmdist.apis.comparison.lines import Line


def training_advice(found: Findings) -> list[str]:
    """Sentences about saturation, overfitting and the teacher.

    Args:
        found (Findings): What was found.
    """
    return [*_not_saturated(found), *_gains_that_time_gives_too(found), *_overfits(found), *_teacher(found)]


def _not_saturated(found: Findings) -> list[str]:
    plain, setting, numbers = found.plain, found.setting, found.numbers
    base = plain.get(setting.length)
    longer = [line for length, line in plain.items() if length > setting.length]
    if base is None or not longer:
        if found.arms and base is not None:
            return ["The plain student was trained at one length only: whether it is done learning is not known."]
        return []
    best = max(longer, key=lambda line: found.sign * line.mean)
    difference = found.paired(best, base)
    if difference is None or found.sign * difference.mean <= 0 or not is_sure(difference):
        return []
    times = times_text(best.length, setting)
    more = " It is the longest that was trained, so there may be more." if best.length == max(plain) else ""
    said = [
        f"Not saturated: the plain student gains {numbers.amount(difference.mean)} more from {times} "
        f"({numbers.value(base.mean)} to {numbers.value(best.mean)}).{more}"
    ]
    equal = [line for line in found.arms if "equal" in line.differences]
    ahead = max(equal, key=lambda line: found.gain(line, "equal"), default=None)
    if ahead is not None and found.gain(ahead, "equal") <= found.sign * difference.mean:
        given = numbers.signed(ahead.differences["equal"].mean)
        said.append(
            f"The plain student has not yet learned what its labels give: {times} changes it by "
            f"{numbers.signed(difference.mean)}, the best arm at equal length, {found.name(ahead)}, by {given}. "
            "Give the student this time first, then distil."
        )
    return said


def _gains_that_time_gives_too(found: Findings) -> list[str]:
    names = [
        found.name(line)
        for line in found.arms
        if found.is_better(line, "equal") and "time" in line.differences and not found.is_better(line, "time")
    ]
    if not names:
        return []
    return [
        f"Better at equal length but not at equal time: {listed(names)}. In the minutes that the teacher takes, the "
        "plain student gets as far by itself. A teacher cache or a smaller teacher makes these minutes fewer."
    ]


def _overfits(found: Findings) -> list[str]:
    plain, numbers = found.plain, found.numbers
    if len(plain) < 2:
        return []
    longest = plain[max(plain)]
    best = max((line for line in plain.values() if line is not longest), key=lambda line: found.sign * line.mean)
    difference = found.paired(longest, best)
    if difference is None or found.sign * difference.mean >= 0 or not is_sure(difference):
        return []
    return [
        f"The plain student gets worse with time: {times_text(longest.length, found.setting)} costs it "
        f"{numbers.amount(difference.mean)} against {times_text(best.length, found.setting)}. It overfits: "
        "compare with its best length, and try more images, stronger augmentation or more weight decay."
    ]


def _teacher(found: Findings) -> list[str]:
    teacher, numbers = found.setting.teacher_metric, found.numbers
    best: Line | None = max(found.plain.values(), key=lambda line: found.sign * line.mean, default=None)
    if teacher is None or best is None:
        return []
    ahead, deviation = found.sign * (teacher - best.mean), best.deviation or 0.0
    name = arm_name(best.arm, found.setting)
    if best.length != found.setting.length:
        name += f" after {times_text(best.length, found.setting)}"
    values = f"{numbers.value(teacher)} to {numbers.value(best.mean)}"
    if ahead <= 0:
        return [f"The teacher is no better than the {name} ({values}): take a stronger teacher."]
    if ahead <= deviation:
        return [
            f"The teacher is hardly better than the {name} ({values}), by less than seeds differ "
            f"(standard deviation {numbers.value(deviation)}): take a stronger teacher."
        ]
    return []

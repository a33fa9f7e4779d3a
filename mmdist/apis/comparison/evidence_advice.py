"""What so many seeds can show, and what is missing."""

from __future__ import annotations

from mmdist.apis.comparison.findings import Findings
from mmdist.apis.comparison.formatting import counted, listed, times_text
from mmdist.apis.comparison.line_names import KIND_WORDS, arm_name
from mmdist.apis.comparison.lines import Line, equal_time_length, time_ratios
from mmdist.apis.comparison.statistics import detectable, seeds_for

FEWEST, MOST = 3, 1000  # seeds
MOST_NAMED = 5  # arms in one sentence


def evidence_advice(found: Findings) -> list[str]:
    """Sentences about seeds, failures and gaps in the results.

    Args:
        found (Findings): What was found.
    """
    return [*_one_seed(found), *_failed(found), *_missing(found), *_without_spread(found), *_power(found)]


def _one_seed(found: Findings) -> list[str]:
    if not found.plain:
        return ["There is no result of the plain student: nothing can be compared with it."]
    compared = [line for line in found.lines if line.values]
    if max(len(line.values) for line in compared) < 2:
        return [
            "One seed says nothing about noise: the next seed may turn every difference round. "
            f"Train at least {FEWEST} seeds."
        ]
    lonely = [found.name(line) for line in found.arms if "equal" in line.references and "equal" not in line.differences]
    return [f"Fewer than two seeds in common with the plain student: {listed(lonely)}."] if lonely else []


def _failed(found: Findings) -> list[str]:
    said = []
    for line in found.lines:
        if line.failed:
            rest = "The mean is that of the others, which may be the lucky ones." if line.values else "None is left."
            total = line.failed + len(line.values)
            said.append(f"{found.name(line)}: {line.failed} of {counted(total, 'training')} failed. {rest}")
    return said


def _missing(found: Findings) -> list[str]:
    said = []
    there = {line.arm for line in found.lines}
    absent = [arm_name(arm, found.setting) for arm in found.setting.arms if arm not in there]
    if absent:
        said.append(f"Not trained yet: {listed(absent)}.")
    unfinished = [
        f"{found.name(line)} ({len(line.values)} of {len(found.setting.seeds)})"
        for line in found.lines
        if line.values and len(line.values) + line.failed < len(found.setting.seeds)
    ]
    if unfinished:
        said.append(f"Seeds are missing: {listed(unfinished)}.")
    ratios, setting = time_ratios(found.rows), found.setting
    lacking: dict[int, list[str]] = {}
    for line in found.arms:
        if line.arm in ratios and "time" not in line.references:
            schedules = ratios[line.arm] * line.length / setting.length
            length = equal_time_length(setting.length, schedules, setting.time_step, setting.time_up)
            lacking.setdefault(length, []).append(found.name(line))
    for length, names in sorted(lacking.items()):
        said.append(
            f"No plain student was trained for {times_text(length, setting)}, the time that it takes to train "
            f"{listed(names)}."
        )
    return said


def _without_spread(found: Findings) -> list[str]:
    same = [found.name(line) for line in found.lines if len(line.values) > 1 and line.deviation == 0]
    said = []
    if same:
        said.append(
            f"Every seed gives the same value: {listed(same)}. Either the seed does not reach the training, or "
            "nothing is learnt."
        )
    rest = [line for line in found.arms if found.name(line) not in same]
    equal = {found.name(line): line for line in rest if found.deviation(line, "equal") == 0}
    twins = [name for name, line in equal.items() if line.differences["equal"].mean == 0]
    shifted = [
        f"{found.name(line)} {KIND_WORDS[kind]}"
        for line in rest
        for kind, difference in line.differences.items()
        if difference.mean != 0 and found.deviation(line, kind) == 0
    ]
    if twins:
        said.append(f"The same as the plain student with every seed: {listed(twins)}. Are its weights 0?")
    if shifted:
        said.append(
            f"The same difference to the plain student with every seed: {listed(shifted)}. The test takes it for "
            "certain; it may be rounding. Train more seeds."
        )
    return said


def _power(found: Findings) -> list[str]:
    kind = found.main_kind
    open_ones: list[tuple[Line, float]] = []
    for line in found.arms:
        deviation = found.deviation(line, kind)
        if deviation and not line.differences[kind].significant:
            open_ones.append((line, deviation))
    if not open_ones:
        return []
    counts = {found.name(line): len(found.pairs(line, kind)[0]) for line, _ in open_ones}
    seeds = min(counts.values())
    shown = sorted((detectable(dev, counts[found.name(line)]), found.name(line)) for line, dev in open_ones)
    (low, first), (high, last) = shown[0], shown[-1]
    span = found.numbers.amount(low)
    if len(shown) > 1:
        span += f" ({first}) to {found.numbers.amount(high)} ({last})"
    said = (
        f"{counted(seeds, 'seed')} cannot show a difference below {span}: a smaller one is missed in more than one of "
        f"five comparisons {KIND_WORDS[kind]}."
    )
    needed = [
        (seeds_for(line.differences[kind].mean, deviation, MOST), found.name(line), line.differences[kind].mean)
        for line, deviation in open_ones
        if found.gain(line, kind) > 0
    ]
    needed = [(count, name, mean) for count, name, mean in sorted(needed) if count > seeds][:MOST_NAMED]
    if needed:
        parts = [
            f"{name} ({found.numbers.signed(mean)}) {f'more than {MOST}' if count == MOST else f'about {count}'}"
            for count, name, mean in needed
        ]
        said += f" If the differences seen are the true ones, this many seeds show them: {listed(parts)}."
    return [said]

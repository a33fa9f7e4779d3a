"""Whether the arms had the same chances, and whether their times can be compared."""

from __future__ import annotations

from mmdist.apis.comparison.cells import FINAL, PLAIN, TIMING
from mmdist.apis.comparison.findings import Findings
from mmdist.apis.comparison.formatting import TIMES_SIGN, counted, listed
from mmdist.apis.comparison.line_names import arm_name, rate_text
from mmdist.apis.comparison.lines import iteration_times
from mmdist.apis.comparison.results import usable
from mmdist.apis.comparison.searches import candidates, chosen
from mmdist.errors import printable

FEWEST_RATES = 5  # of the plain student's search


def fairness_advice(found: Findings) -> list[str]:
    """Sentences about searches and devices.

    Args:
        found (Findings): What was found.
    """
    return [*_ends(found), *_plain_search(found), *_fewer_trials(found), *_devices(found)]


def _ends(found: Findings) -> list[str]:
    """Whether the best learning rate or weight is at an end of what was tried."""
    said = []
    for arm in dict.fromkeys(row.arm for row in found.rows):
        best = chosen(found.rows, arm, found.setting)
        if best is None:
            continue
        tried = candidates(found.rows, arm)
        name = arm_name(arm, found.setting)
        rates = sorted({c.rate for c in tried if (c.length, c.weight) == (best.length, best.weight)})
        if len(rates) > 1 and best.rate in (rates[0], rates[-1]):
            end, beyond = ("lowest", best.rate / 2) if best.rate == rates[0] else ("highest", best.rate * 2)
            said.append(
                f"{name}: its best learning rate, {rate_text(arm, best.rate, found.setting)}, is the {end} that was "
                f"tried. Try {rate_text(arm, beyond, found.setting)} too."
            )
        weights = sorted({c.weight for c in tried if (c.length, c.rate) == (best.length, best.rate)})
        if len(weights) > 1 and best.weight in (weights[0], weights[-1]):
            end, beyond = ("lowest", best.weight / 2) if best.weight == weights[0] else ("highest", best.weight * 2)
            said.append(
                f"{name}: its best weight, {TIMES_SIGN} {best.weight:g}, is the {end} that was tried. "
                f"Try {TIMES_SIGN} {beyond:g} too."
            )
    return said


def _plain_search(found: Findings) -> list[str]:
    if not found.arms:
        return []
    rates = {candidate.rate for candidate in candidates(found.rows, PLAIN)}
    if not rates:
        return [
            "The plain student's learning rate was not searched: what an arm gains here, a better rate alone may give."
        ]
    if len(rates) < FEWEST_RATES:
        return [
            f"The plain student was tried at {counted(len(rates), 'learning rate')}. Try at least {FEWEST_RATES}, "
            "with the best inside."
        ]
    return []


def _fewer_trials(found: Findings) -> list[str]:
    plain = sum(len(candidate.rows) for candidate in candidates(found.rows, PLAIN))
    trials = {line.arm: line.trials for line in found.arms}
    fewer = {arm: count for arm, count in trials.items() if count < plain}
    more = {arm: count for arm, count in trials.items() if count > plain}
    said = []
    if fewer:
        said.append(
            f"Fewer search trials than the plain student ({plain}): {_by_count(fewer, found)}. With as many "
            "they may give more."
        )
    if more and plain:
        said.append(f"More search trials than the plain student ({plain}): {_by_count(more, found)}. They gain by it.")
    return said


def _by_count(trials: dict[str, int], found: Findings) -> str:
    parts = []
    for count in sorted(set(trials.values())):
        names = [arm_name(arm, found.setting) for arm in trials if trials[arm] == count]
        parts.append(f"{listed(names)} ({count or 'none'})")
    return "; ".join(parts)


def _devices(found: Findings) -> list[str]:
    timed = [row for row in found.rows if row.purpose == TIMING and row.iteration_ms is not None]
    devices = _names({row.device for row in timed})
    if len(devices) > 1:
        return [
            f"The arms were timed on different devices ({listed(devices)}), so there is no comparison at equal time. "
            "Time all arms on one."
        ]
    said = []
    if not timed and found.arms:
        said.append("No training was timed alone, so there is no comparison at equal time.")
        devices = _names({row.device for row in usable([row for row in found.rows if row.purpose == FINAL])})
        if len(devices) > 1:
            said.append(f"The trainings ran on different devices ({listed(devices)}): do not compare their minutes.")
    elif PLAIN not in iteration_times(found.rows) and found.arms:
        said.append("The plain student was not timed alone, so there is no comparison at equal time.")
    return said


def _names(devices: set[str]) -> list[str]:
    return [printable(device or "not named", 60) for device in sorted(devices)]

"""The states of parameter schedulers that a file brought, compared with the schedulers that they are for."""

from __future__ import annotations

from typing import Any

from mmdist.engine.resumed.values import check_like, dictionary, unfit, whole
from mmdist.errors import CheckpointError

ESSENTIAL = ("last_step", "_global_step", "_last_value")


def check_schedulers(place: str, given: Any, schedulers: Any, steps: int) -> str:
    """The states of a run's schedulers.

    Args:
        place (str): Where they stand in the checkpoint.
        given (Any): What the file says.
        schedulers (Any): The run's, newly built; a dictionary by optimizer where there are several.
        steps (int): How many steps of a schedule can have been done.

    Returns:
        str: What the user has to know; empty if nothing.

    Raises:
        CheckpointError: A state has keys that the run's scheduler has not, lacks what says how far it was, or has
            values of another kind or range.
    """
    if isinstance(schedulers, dict):
        dictionary(place, given)
        if given.keys() != schedulers.keys():
            odd = min(given.keys() ^ schedulers.keys())
            raise unfit(place, odd, f"an entry for each of {', '.join(sorted(schedulers))} and no other")
        notes = [check_schedulers(f"{place}.{name}", given[name], part, steps) for name, part in schedulers.items()]
        return "; ".join(filter(None, notes))
    if not isinstance(given, list):
        raise unfit(place, given, "a list of the states of schedulers")
    for index, (state, scheduler) in enumerate(zip(given, schedulers, strict=False)):
        _check_scheduler(f"{place}.{index}", dictionary(f"{place}.{index}", state), scheduler.state_dict(), steps)
    if len(given) == len(schedulers):
        return ""
    return (
        f"{place} has the states of {len(given)} schedulers, this run has {len(schedulers)}: those that both have, "
        "in their order, go on"
    )


def _check_scheduler(place: str, given: dict[str, Any], fresh: dict[str, Any], steps: int) -> None:
    unknown = given.keys() - fresh.keys()
    if unknown:
        raise unfit(place, min(unknown), "no other keys than this run's scheduler has: is it another one's?")
    for key in ESSENTIAL:
        if key in fresh and key not in given:
            raise CheckpointError(f"{place} has no {key}: is it another scheduler's?")
    for key, value in given.items():
        if key in ("last_step", "_global_step"):
            whole(f"{place}.{key}", value, -1, steps + 1)  # -1: before its begin
        else:
            check_like(f"{place}.{key}", value, fresh[key], counts=not key.startswith("_"))

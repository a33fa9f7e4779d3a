"""The entries of a checkpoint that describe the run: what mmengine notes of it, and what mmdist does."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from mmengine.logging import HistoryBuffer
from torch import Tensor

from mmdist.engine.resumed.generators import check_generators
from mmdist.engine.resumed.values import MAX_NUMBER, dictionary, is_number, shown, unfit, whole
from mmdist.errors import CheckpointError

ENTRY = "mmdist"
VERSION = 1  # of that entry
SEEDS = 2**32 - 1  # numpy takes no larger one
SAMPLER_SEEDS = 2**63 - 2**32  # torch's, with room for the number of a pass
KEPT = "keep_ckpt_ids"
COUNTERS = {"epoch", "iter", "max_epochs", "max_iters"}
BEST = re.compile(r"best_ckpt(_.*)?", re.DOTALL)
SCORE = re.compile(r"best_score(_.*)?", re.DOTALL)


def check_meta(meta: Any) -> None:
    """``meta``: how far the run was, and its seed.

    Raises:
        CheckpointError: It does not say how far, or what it says is none of that.
    """
    dictionary("meta", meta)
    for name in ("epoch", "iter"):
        if name not in meta:
            raise CheckpointError(f"it has no meta.{name}, which says how far the run was")
        whole(f"meta.{name}", meta[name], 0, MAX_NUMBER)
    if meta.get("seed") is not None:
        whole("meta.seed", meta["seed"], 0, SEEDS)


def check_message_hub(hub: Any) -> None:
    """``message_hub``: histories of what was logged, and notes of hooks.

    Raises:
        CheckpointError: A part is missing, or of another type than mmengine's.
    """
    dictionary("message_hub", hub)
    missing = sorted({"log_scalars", "runtime_info", "resumed_keys"} - hub.keys())
    if missing:
        raise CheckpointError(f"it has no message_hub.{missing[0]}")
    for part in ("log_scalars", "runtime_info", "resumed_keys"):
        dictionary(f"message_hub.{part}", hub[part])
    for key, history in dict.items(hub["log_scalars"]):
        if isinstance(history, HistoryBuffer):  # mmengine passes over others, and says so
            _check_history(f"message_hub.log_scalars[{shown(key)}]", history)
    kept = hub["log_scalars"].keys() | hub["runtime_info"].keys()
    for key, flag in dict.items(hub["resumed_keys"]):
        if not isinstance(flag, bool) or (key in kept and not flag):  # mmengine saves no others
            raise unfit(f"message_hub.resumed_keys[{shown(key)}]", flag, "True" if key in kept else "True or False")
    for key, value in dict.items(hub["runtime_info"]):
        _check_note(f"message_hub.runtime_info[{shown(key)}]", key, value)


def _check_history(place: str, history: HistoryBuffer) -> None:
    known = vars(history)
    whole(f"{place}.max_length", known.get("max_length"), 1, 2**31)
    values, weights = known.get("_log_history"), known.get("_count_history")
    for array in (values, weights):
        if not isinstance(array, np.ndarray) or array.ndim != 1 or array.dtype.kind not in "biuf":
            raise unfit(place, array, "arrays of numbers in one dimension")
    if len(values) != len(weights) or len(values) > known["max_length"]:
        raise unfit(place, len(values), f"as many values as weights ({len(weights)}), at most max_length")


def _check_note(place: str, key: str, value: Any) -> None:
    if key in COUNTERS:
        whole(place, value, 0, MAX_NUMBER)
    elif key == KEPT:
        check_kept(place, value)
    elif BEST.fullmatch(key) or key == "last_ckpt":
        if value is not None and type(value) is not str:
            raise unfit(place, value, "the path of a checkpoint")
    elif SCORE.fullmatch(key):
        score = value.item() if isinstance(value, Tensor | np.ndarray) and _has_one_element(value) else value
        if not is_number(score):
            raise unfit(place, value, "a number")


def check_kept(place: str, steps: Any) -> None:
    """The steps whose checkpoints a hook keeps: it makes the names of the files that it deletes from them.

    Raises:
        CheckpointError: They are no whole numbers.
    """
    if not isinstance(steps, list):
        raise unfit(place, steps, "a list of whole numbers")
    for step in steps:
        whole(place, step, 0, MAX_NUMBER)


def _has_one_element(value: Tensor | np.ndarray) -> bool:
    return (value.numel() if isinstance(value, Tensor) else value.size) == 1


def check_position(entry: Any) -> None:
    """mmdist's own entry: where in the data the run was, and its random states.

    Args:
        entry (Any): None, and what another version of mmdist wrote, is left to the hook, which passes over it.

    Raises:
        CheckpointError: A number or state in it is none.
    """
    if not is_known(entry):
        return
    for name in ("pass", "done"):
        whole(f"{ENTRY}.{name}", entry.get(name), 0, MAX_NUMBER)
    if "sampler_seed" not in entry:
        raise CheckpointError(f"it has no {ENTRY}.sampler_seed")
    if entry["sampler_seed"] is not None:
        whole(f"{ENTRY}.sampler_seed", entry["sampler_seed"], 0, SAMPLER_SEEDS)
    whole(f"{ENTRY}.world", entry.get("world"), 1, MAX_NUMBER)
    if entry.get("threads") is not None:
        whole(f"{ENTRY}.threads", entry["threads"], 1, MAX_NUMBER)
    states = entry.get("random")
    if not isinstance(states, list | tuple):
        raise unfit(f"{ENTRY}.random", states, "a list of the processes' random states")
    for rank, state in enumerate(states):
        check_generators(f"{ENTRY}.random.{rank}", state)


def is_known(entry: Any) -> bool:
    """Whether mmdist's entry in a checkpoint is of this version."""
    return isinstance(entry, dict) and type(entry.get("version")) is int and entry["version"] == VERSION

"""Which states the objects of numpy and mmengine in a checkpoint may be given."""

from __future__ import annotations

import math
from typing import Any

from mmdist.compat._checkpoint_description import HISTORY, Made, Table, are_counts, damaged, is_count, is_made, refusal


def check_state(made: Made, state: Any) -> None:
    """Take the state of an object, or refuse it.

    Args:
        made (Made): Of kind ``dtype``, ``array`` or ``history``; others have no state.
        state (Any): Its description.

    Raises:
        UnpicklingError: It is none that numpy or mmengine writes.
    """
    if made.kind == "dtype":
        if not _is_state_of(made.value, state):
            raise refusal(f"numpy.dtype {made.value.str!r} with another state")
    elif made.kind == "array" and _is_array_state(state):
        made.value = state
    elif made.kind == "history":
        made.value = _history_state(state)
    else:
        raise damaged(f"{made.kind} has a state that makes no sense")


def _is_state_of(dtype: Any, state: Any) -> bool:
    """A dtype is what its name says and nothing else: with another size, arrays would reach beyond their bytes."""
    own = dtype.__reduce__()[2]
    return (
        type(state) is tuple
        and len(state) == len(own)
        and state[1] in ("<", ">", "|", "=")
        and state[:1] + state[2:7] == own[:1] + own[2:7]
        and state[7] in (0, own[7])
    )


def _is_array_state(state: Any) -> bool:
    if type(state) is not tuple or len(state) != 5:
        return False
    version, shape, dtype, fortran, data = state
    if version != 1 or type(fortran) is not bool or not is_made(dtype, "dtype") or not isinstance(data, bytes):
        return False
    size = dtype.value.itemsize
    return are_counts(shape) and size > 0 and math.prod(shape) * size == len(data) and is_text(dtype.value, data)


def is_text(dtype: Any, data: bytes) -> bool:
    """What stands for text is text: numpy would look up characters that there are not.

    Args:
        dtype (np.dtype): Its type; the order of its bytes may not be known yet.
        data (bytes): The characters.
    """
    if dtype.kind != "U":
        return True
    import numpy as np

    codes = np.frombuffer(data, "<u4")
    return bool((codes <= 0x10FFFF).all() or (codes.byteswap() <= 0x10FFFF).all())


def _history_state(state: Any) -> Table:
    if not isinstance(state, Table):
        raise refusal(f"{HISTORY} without a state")
    for name, value in state.items:
        if name in ("_log_history", "_count_history"):
            fine = is_made(value, "array") and _is_series(value.value)
        elif name == "max_length":
            fine = is_count(value)
        elif name == "statistics_methods":
            fine = isinstance(value, Table)
        else:
            raise refusal(f"{HISTORY}.{name}")
        if not fine:
            raise damaged(f"{HISTORY}.{name} makes no sense")
    # The methods are dropped when it is loaded: those of this process stay.
    return Table([(name, value) for name, value in state.items if name != "statistics_methods"])


def _is_series(state: Any) -> bool:
    return state is None or (len(state[1]) == 1 and state[2].value.kind in "fiub")

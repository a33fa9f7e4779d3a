"""What a checkpoint of mmengine's may hold besides tensors and plain Python values.

The second of two gates: the file has been looked through by
:mod:`mmdist.compat._checkpoint_inspect`. Each name that it may mention is mapped
to an object that cannot do more than the file needs. In particular ``builtins.getattr``, which a pickle needs to name
a method, is mapped to a guard that knows the few methods mmengine writes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import torch

from mmdist.compat import versions
from mmdist.compat._checkpoint_calls import PLAIN_DTYPE
from mmdist.compat._checkpoint_description import CURVES, HISTORY, ONE_CYCLE, STATISTICS, refusal

_ONE_AT_A_TIME = threading.RLock()


@contextmanager
def allow_list() -> Iterator[None]:
    """A context in which ``torch.load(weights_only=True)`` reads what mmengine writes.

    torch's list is the process's: a thread that leaves the context would take it from another that is within.
    """
    # Older versions cannot map a name to another object, so there they stay with torch's own list.
    if not versions.at_least(torch.__version__, "2.6"):
        yield
        return
    with _ONE_AT_A_TIME, torch.serialization.safe_globals(_allowed()):
        yield


def _allowed() -> list[Any]:
    allowed: list[Any] = [(_guarded_getattr, "builtins.getattr"), (_no_bytes, "builtins.bytes")]
    if find_spec("numpy") is not None:
        allowed += _numpy_globals()
    if find_spec("mmengine") is not None:
        allowed += [(_history_buffer(), HISTORY), (_OneCycle, ONE_CYCLE)]
    return allowed


def _no_bytes() -> bytes:
    return b""


def _numpy_globals() -> list[Any]:
    import numpy as np

    rebuild_array, rebuild_scalar = np.zeros(0).__reduce__()[0], np.float64(0).__reduce__()[0]
    allowed: list[Any] = [(np.ndarray, "numpy.ndarray"), (_plain_dtype, "numpy.dtype")]
    for core in ("core", "_core"):  # the name in numpy 1 and in numpy 2
        allowed += [(rebuild_array, f"numpy.{core}.multiarray._reconstruct")]
        allowed += [(rebuild_scalar, f"numpy.{core}.multiarray.scalar")]
    for code in ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "g", "F", "D", "G", "S", "U"):
        kind = type(np.dtype(code))
        allowed.append((kind, f"numpy.dtypes.{kind.__name__}"))
    return allowed


def _plain_dtype(code: Any, align: bool = False, copy: bool = False) -> Any:
    import numpy as np

    code = code.decode() if isinstance(code, bytes) else code
    # Object and record types would let a file lay bytes where numpy expects pointers.
    if not isinstance(code, str) or not PLAIN_DTYPE.fullmatch(code):
        raise refusal(f"numpy.dtype({code!r})")
    return np.dtype(code, align=bool(align), copy=bool(copy))


class _OneCycle:
    """Stands for mmengine's scheduler, of which a checkpoint names one method: it cannot be built."""

    def __new__(cls, *_args: Any) -> Any:
        raise refusal(ONE_CYCLE)


_history_buffer_class: Any = None


def _history_buffer() -> Any:
    """A HistoryBuffer that takes nothing from a file but the histories."""
    global _history_buffer_class
    if _history_buffer_class is not None:
        return _history_buffer_class
    from mmengine.logging.history_buffer import HistoryBuffer

    class Restored(HistoryBuffer):
        def __init__(self, *_args: Any) -> None:
            raise refusal(f"{HISTORY} as a function")

        def __setstate__(self, state: Any) -> None:
            if not isinstance(state, dict):
                raise refusal(f"{HISTORY} without a state")
            # The methods are shared by every buffer of the process: a file must not exchange them.
            own = {"_log_history", "_count_history", "max_length"}
            unknown = state.keys() - own - {"statistics_methods"}
            if unknown:
                raise refusal(f"{HISTORY}.{min(map(str, unknown))}")
            super().__setstate__({key: value for key, value in state.items() if key in own})
            self.__class__ = HistoryBuffer

    _history_buffer_class = Restored
    return Restored


def _guarded_getattr(owner: Any, name: Any) -> Any:
    """``getattr`` for the methods that mmengine writes into a checkpoint, and for nothing else."""
    if owner is _history_buffer_class and owner is not None and name in STATISTICS:
        return getattr(owner.__base__, name)
    if owner is _OneCycle and name in CURVES:
        from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler

        return getattr(OneCycleParamScheduler, name)
    shown = getattr(owner, "__qualname__", type(owner).__qualname__)
    raise refusal(f"builtins.getattr({shown}, {name!r})")

"""What a checkpoint may call, and with which arguments: one rule for each name.

A rule describes the result, or returns None where the arguments are not those that ``torch.save`` writes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mmdist.compat import _checkpoint_states as states
from mmdist.compat._checkpoint_description import (
    CURVES,
    DTYPES,
    HISTORY,
    ONE_CYCLE,
    STATISTICS,
    Made,
    Name,
    Table,
    are_counts,
    damaged,
    is_count,
    is_made,
    refusal,
)

if TYPE_CHECKING:
    from mmdist.compat._checkpoint_rules import Rules

PLAIN_DTYPE = re.compile(r"[|<>=]?(b1|[iu][1248]|f(2|4|8|16)|c(8|16|32)|[SU]\d{1,6})")
LATIN = ("latin1", "latin-1")  # what bytes are written as


def takes(rule: Callable, count: int) -> bool:
    """Whether a rule can be called with so many arguments."""
    code = rule.__code__
    return code.co_argcount - len(rule.__defaults__ or ()) <= count <= code.co_argcount


def _dtype(rules: Rules, code: Any, align: Any = False, copy: Any = False) -> Made:
    import numpy as np

    # Objects and records would let a file lay bytes where numpy expects pointers.
    if not isinstance(code, str) or not PLAIN_DTYPE.fullmatch(code) or {type(align), type(copy)} - {bool, int}:
        raise refusal(f"numpy.dtype({code!r})")
    return Made("dtype", np.dtype(code))


def _array(rules: Rules, kind: Any, shape: Any, code: Any) -> Made | None:
    # Its shape comes with its bytes; a larger one here would show memory that nothing was written into.
    empty = isinstance(kind, Name) and kind.path == "numpy.ndarray" and shape == (0,) and code == b"b"
    return Made("array") if empty else None


def _scalar(rules: Rules, dtype: Any, data: Any) -> Made | None:
    if not is_made(dtype, "dtype") or not isinstance(data, bytes):
        return None
    whole = len(data) == dtype.value.itemsize > 0 and states.is_text(dtype.value, data)
    return Made("scalar") if whole else None


def _encode(rules: Rules, text: Any, encoding: Any = None) -> bytes | None:
    return text.encode("latin1") if isinstance(text, str) and encoding in LATIN else None


def _bytearray(rules: Rules, content: Any = b"", encoding: Any = "latin-1") -> bytes | None:
    return content if isinstance(content, bytes) else _encode(rules, content, encoding)  # a number would be a length


def _no_bytes(rules: Rules) -> bytes:
    return b""  # which a pickle names by its class


def _ordered(rules: Rules, items: Any = ()) -> Table | None:
    """``OrderedDict`` and ``Counter``, empty or with what they hold at once."""
    if isinstance(items, Table):
        return Table(list(items.items), ordered=True)
    if not isinstance(items, list | tuple):
        return None
    for pair in items:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            return None
        rules.key(pair[0])
    return Table([(pair[0], pair[1]) for pair in items], ordered=True)


def _set(rules: Rules, values: Any = ()) -> Table | None:
    if not isinstance(values, list | tuple):
        return None
    for value in values:
        rules.key(value)
    return Table([(value, None) for value in values])


def _complex(rules: Rules, real: Any, imaginary: Any = 0.0) -> complex | None:
    return complex(real, imaginary) if isinstance(real, float) and isinstance(imaginary, float) else None


def _size(rules: Rules, size: Any) -> tuple | None:
    return tuple(size) if isinstance(size, list | tuple) and are_counts(tuple(size)) else None


def _device(rules: Rules, kind: Any, index: Any = 0) -> Made | None:
    return Made("device") if isinstance(kind, str) and is_count(index) else None


def _tensor_1(rules: Rules, storage: Any, offset: Any, size: Any, stride: Any) -> Made | None:
    return rules.tensor(storage, offset, size, stride)


def _tensor_2(
    rules: Rules, storage: Any, offset: Any, size: Any, stride: Any, grad: Any, hooks: Any, flags: Any = None
) -> Made | None:
    return rules.tensor(storage, offset, size, stride) if _is_plain(grad, hooks, flags) else None


def _tensor_3(
    rules: Rules,
    storage: Any,
    offset: Any,
    size: Any,
    stride: Any,
    grad: Any,
    hooks: Any,
    dtype: Any,
    flags: Any = None,
) -> Made | None:
    width = DTYPES.get(dtype.path) if isinstance(dtype, Name) else None
    return rules.tensor(storage, offset, size, stride, width) if width and _is_plain(grad, hooks, flags) else None


def _is_plain(grad: Any, hooks: Any, flags: Any = None) -> bool:
    if isinstance(flags, Table) and flags.items:
        raise damaged("it holds a conjugated or negated view, and weights are dense and plain")
    without = hooks is None or (isinstance(hooks, Table) and hooks.ordered and not hooks.items)  # None: old files
    return type(grad) is bool and without


def _parameter(rules: Rules, data: Any, grad: Any, hooks: Any) -> Made | None:
    return data if is_made(data, "tensor") and _is_plain(grad, hooks) else None


def _old_parameter(rules: Rules, data: Any, grad: Any = True) -> Made | None:
    return data if is_made(data, "tensor") and type(grad) is bool else None


def _method(rules: Rules, owner: Any, name: Any) -> Made:
    known = {HISTORY: STATISTICS, ONE_CYCLE: CURVES}.get(owner.path, ()) if isinstance(owner, Name) else ()
    if name not in known:
        shown = owner if isinstance(owner, Name) else type(owner).__qualname__
        raise refusal(f"builtins.getattr({shown}, {name!r})")
    return Made("function")


def _history(rules: Rules) -> Made:
    return Made("history")


CALLS: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor": _tensor_1,
    "torch._utils._rebuild_tensor_v2": _tensor_2,
    "torch._utils._rebuild_tensor_v3": _tensor_3,
    "torch._utils._rebuild_parameter": _parameter,
    "torch.Size": _size,
    "torch.device": _device,
    "collections.OrderedDict": _ordered,
    "collections.Counter": _ordered,
    "builtins.set": _set,
    "builtins.complex": _complex,
    "builtins.bytearray": _bytearray,
    "builtins.bytes": _no_bytes,
    "builtins.getattr": _method,
    "_codecs.encode": _encode,
    "numpy.dtype": _dtype,
    **{f"numpy.{core}.multiarray._reconstruct": _array for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray.scalar": _scalar for core in ("core", "_core")},
}
NEW: dict[str, Callable[..., Any]] = {  # objects without their constructors
    "torch.nn.parameter.Parameter": _old_parameter,
    HISTORY: _history,
    ONE_CYCLE: lambda rules: None,  # named for two of its methods, and never made
}

"""The arguments of ``pseudo_labels``."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any

from mmdist.errors import ConfigError, nearest

KEY = "model.pseudo_labels"


def check_options(options: Any, function: Callable, key: str) -> dict[str, Any]:
    """A dict of a function's arguments.

    Args:
        options (Any): As the user gave it.
        function (Callable): Whose keyword arguments are the keys.
        key (str): Where it stands in the config.

    Raises:
        ConfigError: No dict, an unknown key, or one that is missing.
    """
    known = {
        name: parameter
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    if not isinstance(options, Mapping):
        raise ConfigError(key, options, f"a dict of {', '.join(known)}")
    for name in options:
        if name not in known:
            close = nearest(str(name), list(known))
            hint = f"did you mean {close[0]!r}?" if close else ""
            raise ConfigError(f"{key}.{name}", options[name], f"one of the keys {', '.join(known)}", hint)
    for name, parameter in known.items():
        if parameter.default is inspect.Parameter.empty and name not in options:
            raise ConfigError(f"{key}.{name}", None, "a value: it has no default")
    return dict(options)


def check_number(name: str, value: Any, least: float, most: float = math.inf) -> float:
    """A finite number in a range.

    Raises:
        ConfigError: It is none.
    """
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not least <= value <= most:
        allowed = f"a number from {least:g}" + (f" to {most:g}" if math.isfinite(most) else "")
        raise ConfigError(f"{KEY}.{name}", value, allowed)
    return float(value)

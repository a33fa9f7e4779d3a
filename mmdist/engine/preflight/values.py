"""Numbers that cannot work, or that would pass in silence: a run of no iteration, a batch of no image."""

from __future__ import annotations

from numbers import Real
from typing import Any

from mmdist.engine.lookup import is_quoted_number
from mmdist.errors import ConfigError


def check_loader_values(cfg: dict, key: str) -> None:
    """Batch size and number of workers of a dataloader.

    Raises:
        ConfigError: Not a whole number, or too small.
    """
    if cfg.get("batch_size") is not None:
        check_whole(cfg["batch_size"], f"{key}.batch_size", least=1)
    check_whole(cfg.get("num_workers", 0), f"{key}.num_workers", least=0)


def check_loop_values(cfg: dict, kind: Any, key: str) -> None:
    """Lengths and intervals of a loop of mmengine's.

    Raises:
        ConfigError: Not a whole number, or below 1.
    """
    if getattr(kind, "__module__", "").partition(".")[0] not in ("mmengine", "mmdist"):
        return  # somebody's own, who may mean something by 0
    for name in ("max_epochs", "max_iters", "val_interval"):
        if name in cfg:
            check_whole(cfg[name], f"{key}.{name}", least=1)
    if "val_begin" in cfg:
        check_whole(cfg["val_begin"], f"{key}.val_begin", least=0)


def check_whole(value: Any, key: str, *, least: int) -> None:
    """A whole number, ``least`` or above.

    Raises:
        ConfigError: It is none.
    """
    if isinstance(value, float) and value.is_integer():
        value_is_whole = True  # 4e5: mmengine converts lengths
    else:
        value_is_whole = isinstance(value, int) and not isinstance(value, bool)
    if not value_is_whole or value < least:
        raise ConfigError(key, value, f"a whole number, {least} or above")


def check_number(value: Any, key: str, *, least: float = 0.0) -> None:
    """A finite number, ``least`` or above; what is no plain value is left to whoever uses it.

    Raises:
        ConfigError: It is none; a number in quotes is named as such.
    """
    if isinstance(value, str):
        raise ConfigError(key, value, "a number", f"write {value} without quotes" if is_quoted_number(value) else "")
    if isinstance(value, dict | list | tuple | bool) or value is None:
        raise ConfigError(key, value, "a number")
    if isinstance(value, Real) and not least <= value < float("inf"):
        raise ConfigError(key, value, f"a finite number, {least:g} or above")


def is_plain(value: Any) -> bool:
    """A plain value, where something that is built, or has been, is wanted."""
    return value is None or isinstance(value, str | int | float | bool | list | tuple | dict)

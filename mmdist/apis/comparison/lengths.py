"""How long a config trains, and the same config trained longer or shorter."""

from __future__ import annotations

import math
from typing import Any

from mmengine.config import Config

from mmdist.errors import ConfigError

ITERATIONS, EPOCHS = "iterations", "epochs"
VALIDATIONS = 5  # points of the validation curve
CHECKPOINTS = 10
LOGGED = 100
# Of a scheduler, what counts iterations or epochs.
COUNTS = ("begin", "end", "T_max", "milestones", "total_steps", "step_size", "periods", "restarts", "patience")
SWITCHES = ("switch_epoch", "switch_iter")  # of hooks: so long before the end, not after the beginning


def length_of(cfg: Config, key: str) -> tuple[int, str]:
    """How long a config trains, and what that counts.

    Args:
        cfg (Config): The config.
        key (str): Its name, for the message.

    Returns:
        tuple[int, str]: A number above 0, and ``iterations`` or ``epochs``.

    Raises:
        ConfigError: Its length is not a number.

    Example:
        >>> length_of(Config(dict(train_cfg=dict(by_epoch=True, max_epochs=12))), 'config')
        (12, 'epochs')
    """
    train = cfg.get("train_cfg") or {}
    for name, unit in (("max_iters", ITERATIONS), ("max_epochs", EPOCHS)):
        count = train.get(name)
        if isinstance(count, int) and not isinstance(count, bool) and count > 0:
            return count, unit
    given = {name: train[name] for name in ("max_iters", "max_epochs") if name in train}
    raise ConfigError(f"{key}: train_cfg", given or None, "max_iters or max_epochs, a number above 0")


def set_length(cfg: Config, length: int) -> None:
    """Make a config train for another length, the learning rate's course stretched with it.

    Schedulers that count in the other unit, such as a warm-up of 500 iterations in a config of epochs, stay as they
    are.
    It is validated five times and checkpoints are kept on the way, the last one for certain.

    Args:
        cfg (Config): Changed.
        length (int): In its own unit.

    Example:
        >>> cfg = Config(dict(train_cfg=dict(max_epochs=12), param_scheduler=[
        ...     dict(type='LinearLR', by_epoch=False, begin=0, end=500),
        ...     dict(type='MultiStepLR', by_epoch=True, begin=0, end=12, milestones=[8, 11])]))
        >>> set_length(cfg, 24)
        >>> [scheduler.end for scheduler in cfg.param_scheduler], cfg.param_scheduler[1].milestones
        ([500, 24], [16, 22])
    """
    old, unit = length_of(cfg, "config")
    train = cfg.train_cfg
    train["max_iters" if unit == ITERATIONS else "max_epochs"] = length
    train["val_interval"] = math.ceil(length / VALIDATIONS)
    train["val_begin"] = 1
    if train.get("dynamic_intervals"):  # (beginning, interval): so long before the end
        train["dynamic_intervals"] = [
            (max(1, length - (old - begin)), interval) for begin, interval in train["dynamic_intervals"]
        ]
    schedulers = cfg.get("param_scheduler") or []
    for scheduler in schedulers if isinstance(schedulers, list | tuple) else [schedulers]:
        if isinstance(scheduler, dict) and scheduler.get("by_epoch", True) == (unit == EPOCHS):
            _stretch(scheduler, length / old)
    for hook in cfg.get("custom_hooks") or ():
        for name in SWITCHES:
            if isinstance(hook.get(name), int):
                hook[name] = max(0, length - (old - hook[name]))
    _keep_checkpoints(cfg, length, unit)


def _stretch(scheduler: dict[str, Any], factor: float) -> None:
    for name in COUNTS:
        value = scheduler.get(name)
        if isinstance(value, list | tuple):
            scheduler[name] = [_scaled(count, factor) for count in value]
        elif value:
            scheduler[name] = _scaled(value, factor)


def _scaled(count: Any, factor: float) -> Any:
    finite = isinstance(count, int | float) and not isinstance(count, bool) and math.isfinite(count)
    if not finite or count >= 10**9:  # mmengine's INF: without an end
        return count
    return max(1, round(count * factor)) if count else count


def _keep_checkpoints(cfg: Config, length: int, unit: str) -> None:
    hooks = dict(cfg.get("default_hooks") or {})
    checkpoint = hooks.get("checkpoint") or {}
    hooks["checkpoint"] = {
        **{"type": "CheckpointHook", **checkpoint},
        "by_epoch": unit == EPOCHS,
        "interval": math.ceil(length / CHECKPOINTS),
        # the hook deletes before it writes: with one kept, an interruption in between would leave none
        "max_keep_ckpts": 2,
        "save_last": True,
        "save_best": None,  # the last one counts, in every arm
    }
    if unit == ITERATIONS:
        hooks["logger"] = {
            **{"type": "LoggerHook", **(hooks.get("logger") or {})},
            "interval": math.ceil(length / LOGGED),
        }
    cfg.default_hooks = hooks

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
COUNTS += ("cooldown",)
WARM_UPS = ("Linear", "Constant", "QuadraticWarmup")  # first words of schedulers that may be over soon
SWITCHES = ("switch_epoch", "switch_iter")  # of hooks: so long before the end, not after the beginning
BEGINNINGS = ("begin_epoch", "begin_iter")  # of hooks, such as a moving average: after such a part of the way
ACTIONS = ("action_epoch", "action_iter")  # of the entries of a hook's schedule
# Of a checkpoint hook, what would leave none to go on from, put it elsewhere, or forget a part of the training.
KEPT = {"out_dir": None, "save_begin": 0, "save_optimizer": True, "save_param_scheduler": True}


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

    A warm-up that counts in the other unit, such as one of 500 iterations in a config of epochs, stays as it is.
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
    given = cfg.get("param_scheduler") or []
    schedulers = [each for each in (given if isinstance(given, list | tuple) else [given]) if isinstance(each, dict)]
    own = [each for each in schedulers if each.get("by_epoch", True) == (unit == EPOCHS)]
    others = [each for each in schedulers if each.get("by_epoch", True) != (unit == EPOCHS)]
    for scheduler in schedulers if any(not _warms_up(each) for each in others) else own:
        _stretch(scheduler, length / old)
    for hook in cfg.get("custom_hooks") or ():
        if isinstance(hook, dict):
            _move(hook, old, length)
    _keep_checkpoints(cfg, length, unit)


def _warms_up(scheduler: dict[str, Any]) -> bool:
    """Whether a scheduler may be a warm-up, which does not last as long as the training."""
    rises = scheduler.get("start_factor", 0.0) <= scheduler.get("end_factor", 1.0)
    return type_name(scheduler).startswith(WARM_UPS) and rises


def _move(hook: dict[str, Any], old: int, length: int) -> None:
    """What a hook does at some time of the training."""
    for name in SWITCHES:
        if _counts(hook.get(name)):
            hook[name] = max(0, length - (old - hook[name]))
    for name in BEGINNINGS:
        if _counts(hook.get(name)):
            hook[name] = _scaled(hook[name], length / old)
    schedule = hook.get("schedule")
    for entry in schedule if isinstance(schedule, list | tuple) else ():
        for name in ACTIONS:
            if isinstance(entry, dict) and _counts(entry.get(name)):
                entry[name] = _scaled(entry[name], length / old)


def _counts(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def type_name(node: Any) -> str:
    """The name of the class of a part of a config, without scope and module.

    Example:
        >>> type_name(dict(type='mmdet.YOLOXModeSwitchHook')), type_name(dict(type=dict))
        ('YOLOXModeSwitchHook', 'dict')
    """
    kind = node.get("type") if isinstance(node, dict) else type(node)
    return str(getattr(kind, "__name__", kind)).rpartition(".")[2]


def _stretch(scheduler: dict[str, Any], factor: float) -> None:
    for name in COUNTS:
        value = scheduler.get(name)
        if isinstance(value, list | tuple):
            scheduler[name] = [_scaled(count, factor) for count in value]
        elif value:
            scheduler[name] = _scaled(value, factor)
    if type_name(scheduler).startswith("Exponential") and isinstance(scheduler.get("gamma"), int | float):
        scheduler["gamma"] **= 1 / factor  # it is applied in every step


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
        **{name: value for name, value in KEPT.items() if name in checkpoint},
        "by_epoch": unit == EPOCHS,
        "interval": math.ceil(length / CHECKPOINTS),
        # the hook deletes before it writes: with one kept, an interruption in between would leave none
        "max_keep_ckpts": 2,
        "save_last": True,
        "save_best": None,  # the last one counts, in every arm
    }
    logger = {"type": "LoggerHook", **(hooks.get("logger") or {})}
    if unit == ITERATIONS:
        logger["interval"] = math.ceil(length / LOGGED)
    if logger.get("log_metric_by_epoch", True) != (unit == EPOCHS):  # validations are looked up by the length
        logger["log_metric_by_epoch"] = unit == EPOCHS
    if unit == ITERATIONS or hooks.get("logger"):
        hooks["logger"] = logger
    cfg.default_hooks = hooks

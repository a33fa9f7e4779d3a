"""What the demo changes in a config: its length, its seed and where the data is."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from mmengine.config import Config

from mmdist.errors import ConfigError

VALIDATIONS = 5  # points of the validation curve
CHECKPOINTS = 10
LOGGED = 100


def iterations_of(cfg: Config, key: str) -> int:
    """How many iterations a config trains for.

    Args:
        cfg (Config): The config.
        key (str): Its name, for the message.

    Raises:
        ConfigError: Its length is not given in iterations.
    """
    count = (cfg.get("train_cfg") or {}).get("max_iters")
    if not isinstance(count, int) or count < 1:
        raise ConfigError(f"{key}: train_cfg.max_iters", count, "a number of iterations above 0")
    return count


def length_options(cfg: Config, iterations: int) -> dict[str, Any]:
    """Overrides that make a config train for so many iterations, the learning rate's course stretched with it.

    Args:
        cfg (Config): With ``train_cfg.max_iters``; not changed.
        iterations (int): The new length.

    Returns:
        dict[str, Any]: Values by dotted key, as ``--cfg-options`` takes them.

    Example:
        >>> cfg = Config(dict(train_cfg=dict(max_iters=100), param_scheduler=[dict(type='PolyLR', begin=10, end=100)]))
        >>> length_options(cfg, 200)['param_scheduler.0.end']
        200
    """
    options: dict[str, Any] = {
        "train_cfg.max_iters": iterations,
        "train_cfg.val_interval": math.ceil(iterations / VALIDATIONS),
        "default_hooks.checkpoint.interval": math.ceil(iterations / CHECKPOINTS),
        # the hook deletes before it writes: with one kept, an interruption in between would leave none
        "default_hooks.checkpoint.max_keep_ckpts": 2,
        "default_hooks.logger.interval": math.ceil(iterations / LOGGED),
    }
    old = cfg.train_cfg.max_iters
    for index, scheduler in enumerate(cfg.get("param_scheduler") or ()):
        for name in ("begin", "end", "T_max"):
            value = scheduler.get(name)
            if value:
                options[f"param_scheduler.{index}.{name}"] = max(1, round(value * iterations / old))
    return options


def relocation_options(cfg: Config, old: str, new: str) -> dict[str, str]:
    """Overrides that read the data from another folder.

    Args:
        cfg (Config): Not changed.
        old (str): The folder that the config names, such as ``data/digit_scenes``.
        new (str): The folder to read instead.

    Returns:
        dict[str, str]: Values by dotted key; empty where the two are the same.
    """
    if old == new:
        return {}
    splits = [f"{split}_{part}" for split in ("train", "val", "test") for part in ("dataloader", "evaluator")]
    found = [pair for name in splits for pair in _strings(cfg.get(name), name)]
    return {key: new + value[len(old) :] for key, value in found if value == old or value.startswith(f"{old}/")}


def _strings(node: Any, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, str):
        yield key, node
    elif isinstance(node, dict | list | tuple):
        for name, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _strings(value, f"{key}.{name}")

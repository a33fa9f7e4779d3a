"""Optimizer, its wrapper, the rules for single parameters, and the schedules."""

from __future__ import annotations

import difflib
from typing import Any

from mmdist.engine.config import did_you_mean
from mmdist.engine.lookup import find_type
from mmdist.engine.preflight.parts import check_part
from mmdist.engine.preflight.values import check_number, check_whole, is_plain
from mmdist.errors import ConfigError, nearest

DEFAULT = "DefaultOptimWrapperConstructor"
RULES = (
    *("custom_keys", "bias_lr_mult", "bias_decay_mult", "norm_decay_mult", "flat_decay_mult", "dwconv_decay_mult"),
    *("dcn_offset_lr_mult", "bypass_duplicate"),
)
FACTORS = ("lr_mult", "decay_mult")
DECAYS = ("bias_decay_mult", "norm_decay_mult", "flat_decay_mult", "dwconv_decay_mult")
NUMBERS = ("lr", "weight_decay", "momentum", "eps")


def check_optimizer(cfg: Any, scope: str | None, key: str = "optim_wrapper") -> None:
    """The optimizer, its wrapper and the rules of ``paramwise_cfg``.

    Args:
        cfg (Any): ``optim_wrapper``, or one of several.
        scope (str, optional): Default scope where it stands.
        key (str): Path of it in the config.

    Raises:
        ConfigError: The first mistake found.
    """
    if not isinstance(cfg, dict):
        if is_plain(cfg):
            raise ConfigError(key, cfg, "a dict with `optimizer`")
        return
    scope = cfg.get("_scope_", scope)
    constructor = cfg.get("constructor", DEFAULT)
    rules = find_type(constructor, scope, f"{key}.constructor", "optimizer wrapper constructor")
    if "optimizer" not in cfg:
        if "constructor" not in cfg:
            near = nearest("optimizer", cfg, 1)
            hint = f"is {near[0]!r} meant to be that?" if near else ""
            raise ConfigError(key, cfg, "`optimizer`, or a `constructor` for several", hint)
        for name, part in cfg.items():
            if isinstance(part, dict) and "optimizer" in part:
                check_optimizer(part, scope, f"{key}.{name}")
        return
    own = ("constructor", "paramwise_cfg")
    check_part(cfg, "optim_wrapper", scope, key, own=own, default="OptimWrapper")
    check_whole(cfg.get("accumulative_counts", 1), f"{key}.accumulative_counts", least=1)
    clip = cfg.get("clip_grad")
    if clip is not None and not isinstance(clip, dict):
        raise ConfigError(f"{key}.clip_grad", clip, "a dict", "such as dict(max_norm=1.0)")
    for name in ("max_norm", "clip_value"):
        if name in (clip or {}):
            check_number(clip[name], f"{key}.clip_grad.{name}")
    optimizer = cfg["optimizer"]
    check_part(optimizer, "optimizer", scope, f"{key}.optimizer", given=("params",))
    if isinstance(optimizer, dict):
        for name in NUMBERS:
            if optimizer.get(name) is not None:
                check_number(optimizer[name], f"{key}.optimizer.{name}")
        if getattr(rules, "__name__", "") == DEFAULT:
            _check_rules(cfg.get("paramwise_cfg"), optimizer, f"{key}.paramwise_cfg")


def _check_rules(rules: Any, optimizer: dict, key: str) -> None:
    """What mmengine's own constructor reads; a key that it does not know, it passes over in silence."""
    if rules is None:
        return
    if not isinstance(rules, dict):
        raise ConfigError(key, rules, "a dict")
    place = f"{key.rpartition('.')[0]}.optimizer"
    for name, value in rules.items():
        if name not in RULES and _misspelt(name, RULES):
            raise ConfigError(f"{key}.{name}", value, "a rule that is known", did_you_mean(name, list(RULES)))
        if name in DECAYS:
            _check_decay(optimizer, f"{key}.{name}", value, place)
    custom = rules.get("custom_keys") or {}
    if not isinstance(custom, dict):
        raise ConfigError(f"{key}.custom_keys", custom, "a dict of parts of parameters' names and factors")
    for part, factors in custom.items():
        where = f"{key}.custom_keys.{part}"
        if not isinstance(factors, dict):
            raise ConfigError(where, factors, "a dict with lr_mult or decay_mult")
        for name, value in factors.items():
            if name not in FACTORS and _misspelt(name, FACTORS):
                raise ConfigError(f"{where}.{name}", value, "a factor that is known", did_you_mean(name, list(FACTORS)))
            if name in FACTORS:
                check_number(value, f"{where}.{name}", least=float("-inf"))
            if name == "decay_mult":
                _check_decay(optimizer, f"{where}.{name}", value, place)


def _misspelt(name: str, known: tuple[str, ...]) -> bool:
    """A letter or two away from one that is known; MMSegmentation's own `wd_mult`, which does nothing, is not."""
    return bool(difflib.get_close_matches(name, known, cutoff=0.8))


def _check_decay(optimizer: dict, key: str, value: Any, place: str) -> None:
    if optimizer.get("weight_decay") is None:
        wanted = f"{place}.weight_decay too, which it is a factor of"
        raise ConfigError(key, value, wanted, "weight_decay=0.0 says that there is none")


def check_schedulers(cfg: Any, scope: str | None, optim_wrapper: Any) -> None:
    """The schedules of learning rate and momentum.

    Args:
        cfg (Any): ``param_scheduler``.
        scope (str, optional): Default scope where it stands.
        optim_wrapper (Any): For its names, where there are several optimizers.

    Raises:
        ConfigError: The first mistake found.
    """
    if cfg is None:
        return
    key = "param_scheduler"
    several = isinstance(cfg, dict) and "type" not in cfg and isinstance(optim_wrapper, dict)
    if several and any(name in optim_wrapper for name in cfg):
        for name, part in cfg.items():
            _check_list(part, scope, f"{key}.{name}")
    else:
        _check_list(cfg, scope, key)


def _check_list(cfg: Any, scope: str | None, key: str) -> None:
    for index, part in enumerate(cfg if isinstance(cfg, list | tuple) else [cfg]):
        place = f"{key}.{index}" if isinstance(cfg, list | tuple) else key
        own = ("convert_to_iter_based", "epoch_length")
        check_part(part, "parameter scheduler", scope, place, given=("optimizer",), own=own)
        if isinstance(part, dict):
            begin, end = part.get("begin", 0), part.get("end")
            if isinstance(begin, int) and isinstance(end, int) and end <= begin:
                raise ConfigError(f"{place}.end", end, f"a number above begin = {begin}")

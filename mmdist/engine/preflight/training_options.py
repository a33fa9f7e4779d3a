"""What trains beside a model and cannot work with it: ``compile``, hooks that write into a teacher, sharded models."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import torch
from mmengine.config import Config

from mmdist.engine.lookup import find_type
from mmdist.engine.weights import algorithm_class
from mmdist.errors import ConfigError

SHARDED = ("FSDPStrategy", "DeepSpeedStrategy", "ColossalAIStrategy")
SHARDED_WRAPPERS = ("MMFullyShardedDataParallel", "MMDeepSpeedEngineWrapper")


def check_training_options(cfg: Config) -> None:
    """What a training runs beside its model goes together with it.

    Args:
        cfg (Config): The whole config.

    Raises:
        ConfigError: Options of ``compile`` that ``torch.compile`` does not have, and beside a teacher that is no part
            of the model, what would write into it or shard the model that is recorded.
    """
    kind = algorithm_class(cfg)
    taught = kind is not None and _keeps_teacher_out(kind, cfg.model)
    _check_compile(cfg, taught=taught)
    _check_flexible(cfg)
    if taught:
        _check_hooks(cfg)
        _check_sharding(cfg)


def _keeps_teacher_out(kind: type, model: dict[str, Any]) -> bool:
    from mmdist.models.algorithms import SingleTeacherDistill  # brings MMRazor along

    return issubclass(kind, SingleTeacherDistill) and not model.get("teacher_trainable", False)


def _check_compile(cfg: Config, *, taught: bool) -> None:
    options = cfg.get("compile")
    if options is None or isinstance(options, bool):
        return
    if not isinstance(options, dict):
        raise ConfigError("compile", options, "True, False, or a dict of options of torch.compile")
    known = [name for name in inspect.signature(torch.compile).parameters if name != "model"]
    for name, value in options.items():
        if name == "target":
            raise ConfigError("compile.target", value, "no such key", "mmengine's Runner compiles train_step alone")
        if name not in known:
            raise ConfigError(f"compile.{name}", value, known)
    backend = options.get("backend")
    if isinstance(backend, str) and backend not in torch.compiler.list_backends(()):
        raise ConfigError("compile.backend", backend, torch.compiler.list_backends())
    if taught and options.get("fullgraph"):
        raise ConfigError("compile.fullgraph", True, "False: a recorder hands its record to Python, outside the graph")


def _check_flexible(cfg: Config) -> None:
    """mmengine's FlexibleRunner, built from a config, fails without one key and passes over another."""
    if cfg.get("runner_type") != "FlexibleRunner":
        return
    if not isinstance(cfg.get("env_cfg"), dict):
        raise ConfigError("env_cfg", cfg.get("env_cfg"), "a dict, such as dict(): FlexibleRunner fails without it")
    if cfg.get("compile"):
        hint = "mmengine's Runner does: take runner_type out"
        raise ConfigError("compile", cfg.compile, "False: FlexibleRunner does not read it from a config", hint)


def _check_hooks(cfg: Config) -> None:
    for key, hook in _hooks(cfg):
        kind = find_type(hook.get("type"), hook.get("_scope_", cfg.get("default_scope")), f"{key}.type", "hook")
        names = [base.__name__ for base in kind.__mro__] if isinstance(kind, type) else []
        if "MeanTeacherHook" in names:
            raise ConfigError(
                f"{key}.type",
                hook["type"],
                "a hook that leaves model.teacher as it is: this one writes the student's weights over the teacher's",
                "to average the student, take EMAHook",
            )


def _hooks(cfg: Config) -> Iterator[tuple[str, dict[str, Any]]]:
    named = {f"default_hooks.{name}": hook for name, hook in (cfg.get("default_hooks") or {}).items()}
    named |= {f"custom_hooks.{index}": hook for index, hook in enumerate(cfg.get("custom_hooks") or [])}
    for key, hook in named.items():
        if isinstance(hook, dict) and "type" in hook:
            yield key, hook


def _check_sharding(cfg: Config) -> None:
    """Nobody has checked that records of a sharded student are whole; a run that may be wrong does not begin."""
    for key, kinds, given in (
        ("strategy", SHARDED, "SingleDeviceStrategy or DDPStrategy"),
        ("model_wrapper_cfg", SHARDED_WRAPPERS, "MMDistributedDataParallel"),
    ):
        part = cfg.get(key)
        if not isinstance(part, dict) or "type" not in part:
            continue
        if key == "strategy" and cfg.get("runner_type") != "FlexibleRunner":
            continue  # nobody reads it
        name = part["type"] if isinstance(part["type"], str) else part["type"].__name__
        if name.rpartition(".")[2] in kinds:
            raise ConfigError(f"{key}.type", name, f"{given}: the student's modules are recorded, and must be whole")

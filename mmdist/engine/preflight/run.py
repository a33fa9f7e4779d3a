"""Everything of a run beside its model: data, evaluation, loops, hooks, visualizer. Nothing of it is built."""

from __future__ import annotations

import difflib
import inspect
from typing import Any

from mmengine.config import Config
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, LogProcessor, Runner, TestLoop, ValLoop
from torch.utils.data import DataLoader

from mmdist.engine.lookup import check_arguments, find_type
from mmdist.engine.overrides import TOP_LEVEL
from mmdist.engine.preflight.optimizer import check_optimizer, check_schedulers
from mmdist.engine.preflight.parts import check_part, check_parts
from mmdist.engine.preflight.values import check_loader_values, check_loop_values, is_plain
from mmdist.errors import ConfigError, nearest, spelling_hint

# What Runner.build_dataloader takes out of a dataloader before DataLoader gets the rest.
OWN = ("dataset", "sampler", "num_batch_per_epoch", "disable_subprocess_warning")
LEVELS = ("CRITICAL", "DEBUG", "ERROR", "FATAL", "INFO", "NOTSET", "WARN", "WARNING")
GROUPS = {
    "train": ("train_dataloader", "train_cfg", "optim_wrapper"),
    "val": ("val_dataloader", "val_cfg", "val_evaluator"),
    "test": ("test_dataloader", "test_cfg", "test_evaluator"),
}
LOOPS = {"train": (EpochBasedTrainLoop, IterBasedTrainLoop), "val": (ValLoop,), "test": (TestLoop,)}
RUN = ("runner", "dataloader", "evaluator")  # what a Runner hands its loops


def check_run(cfg: Config, splits: tuple[str, ...], *, by_runner: bool = True) -> None:
    """The types and arguments of what a Runner builds beside its model.

    Args:
        cfg (Config): The whole config.
        splits (tuple[str, ...]): What will run, of ``train``, ``val``, ``test``.
        by_runner (bool): Whether a Runner will be built of it.

    Raises:
        ConfigError: The first mistake found, with its key path and the nearest right spelling.
    """
    scope = cfg.get("default_scope")
    if by_runner and cfg.get("runner_type") in (None, "Runner", "FlexibleRunner"):  # somebody's own may do without
        for split in GROUPS:
            _check_group(cfg, split, used=split in splits)
    for split in splits:
        _check_loader(cfg.get(f"{split}_dataloader"), scope, f"{split}_dataloader")
        if split != "train":
            _check_evaluator(cfg.get(f"{split}_evaluator"), scope, f"{split}_evaluator")
        _check_loop(cfg.get(f"{split}_cfg"), scope, split)
    if "train" in splits:
        if cfg.get("optim_wrapper") is not None:
            check_optimizer(cfg.optim_wrapper, scope)
        check_schedulers(cfg.get("param_scheduler"), scope, cfg.get("optim_wrapper"))
    _check_hooks(cfg, scope)
    _check_rest(cfg, scope)


def _check_group(cfg: Config, split: str, *, used: bool) -> None:
    """mmengine wants all three of a group, or none."""
    names = GROUPS[split]
    there = [name for name in names if cfg.get(name) is not None]
    absent = [name for name in names if name not in there]
    if not absent or not (there or used):
        return
    others = [key for key in cfg if key not in TOP_LEVEL and isinstance(cfg.get(key), dict | list)]
    near = difflib.get_close_matches(absent[0], others, 1, cutoff=0.8)
    hint = f"is {near[0]!r} meant to be that?" if near else ""
    if not hint and split == "val":
        hint = "to train without validation: --no-validate"
    beside = f", as there is {' and '.join(there)}" if there else ""
    raise ConfigError(absent[0], cfg.get(absent[0]), f"a config for it{beside}", hint)


def _check_loader(cfg: Any, scope: str | None, key: str) -> None:
    if not isinstance(cfg, dict):
        if cfg is not None and is_plain(cfg):
            raise ConfigError(key, cfg, "a dict with dataset, sampler and batch_size")
        return
    for name in ("dataset", "sampler"):
        if name not in cfg:
            raise ConfigError(key, cfg, f"`{name}` too", _meant(name, cfg))
    check_arguments(cfg, DataLoader, key, complete=False, own=OWN)
    if isinstance(cfg["dataset"], dict):
        check_part(cfg["dataset"], "dataset", scope, f"{key}.dataset")
    if isinstance(cfg["sampler"], dict):
        check_part(cfg["sampler"], "data sampler", scope, f"{key}.sampler", given=("dataset", "seed"))
    batches = cfg.get("batch_sampler")
    if isinstance(batches, dict):
        check_part(batches, "data sampler", scope, f"{key}.batch_sampler", given=("sampler", "batch_size"))
    for name in ("collate_fn", "worker_init_fn"):
        if isinstance(cfg.get(name), dict):
            if "type" not in cfg[name]:
                raise ConfigError(f"{key}.{name}", cfg[name], "a dict with `type`")
            find_type(cfg[name]["type"], scope, f"{key}.{name}.type", "function")
    check_loader_values(cfg, key)


def _check_evaluator(cfg: Any, scope: str | None, key: str) -> None:
    if isinstance(cfg, dict) and "metrics" in cfg:
        check_part(cfg, "evaluator", scope, key, default="Evaluator")
        check_parts(cfg["metrics"], "metric", cfg.get("_scope_", scope), f"{key}.metrics")
    elif isinstance(cfg, dict):
        check_part(cfg, "metric", scope, key)
    elif isinstance(cfg, list | tuple):
        for index, metric in enumerate(cfg):
            check_part(metric, "metric", scope, f"{key}.{index}")
    elif cfg is not None and is_plain(cfg):
        raise ConfigError(key, cfg, "a metric's dict, or a list of these")


def _check_loop(cfg: Any, scope: str | None, split: str) -> None:
    key = f"{split}_cfg"
    if not isinstance(cfg, dict):
        if cfg is not None and is_plain(cfg):
            raise ConfigError(key, cfg, "a dict")
        return
    if "type" in cfg:
        if "by_epoch" in cfg:
            raise ConfigError(f"{key}.by_epoch", cfg["by_epoch"], "not both `type` and `by_epoch`")
        kind = check_part(cfg, "loop", scope, key, given=RUN)
    else:
        if split == "train" and "by_epoch" not in cfg:
            raise ConfigError(key, cfg, "`by_epoch` or `type` too", _meant("by_epoch", cfg))
        kind = LOOPS[split][-1] if split != "train" or not cfg["by_epoch"] else LOOPS[split][0]
        check_arguments(cfg, kind, key, given=RUN, own=("by_epoch",) if split == "train" else ())
    check_loop_values(cfg, kind, key)


def _check_hooks(cfg: Config, scope: str | None) -> None:
    default, custom = cfg.get("default_hooks"), cfg.get("custom_hooks")
    if default is not None and not isinstance(default, dict):
        raise ConfigError("default_hooks", default, "a dict of names and hooks")
    for name, hook in (default or {}).items():
        if hook is not None:
            check_part(hook, "hook", scope, f"default_hooks.{name}", own=("priority",))
    if custom is not None and not isinstance(custom, list | tuple):
        hint = "write [dict(...)]" if isinstance(custom, dict) and "type" in custom else ""
        raise ConfigError("custom_hooks", custom, "a list of hooks", hint)
    for index, hook in enumerate(custom or []):
        check_part(hook, "hook", scope, f"custom_hooks.{index}", own=("priority",))


def _check_rest(cfg: Config, scope: str | None) -> None:
    if isinstance(cfg.get("visualizer"), dict):
        check_part(cfg.visualizer, "visualizer", scope, "visualizer", own=("name", "save_dir"))
    processor = cfg.get("log_processor")
    if isinstance(processor, dict):
        if "type" in processor:
            check_part(processor, "log_processor", scope, "log_processor")
        else:
            check_arguments(processor, LogProcessor, "log_processor")
    if isinstance(cfg.get("randomness"), dict):
        check_arguments(cfg.randomness, Runner.set_randomness, "randomness", given=("self", "seed"))
    level = cfg.get("log_level")
    if isinstance(level, str) and level not in LEVELS:
        raise ConfigError("log_level", level, spelling_hint(level, LEVELS))
    kind = cfg.get("runner_type")
    if kind is not None:
        kind = find_type(kind, scope, "runner_type", "runner")
    if isinstance(cfg.get("strategy"), dict) and inspect.isclass(kind) and kind.__name__ == "FlexibleRunner":
        find_type(cfg.strategy.get("type"), scope, "strategy.type", "strategy")
    wrapper = cfg.get("model_wrapper_cfg")
    if isinstance(wrapper, dict) and "type" in wrapper:
        check_part(wrapper, "model_wrapper", scope, "model_wrapper_cfg", given=("module",))


def _meant(name: str, cfg: dict) -> str:
    near = nearest(name, cfg, 1)
    return f"is {near[0]!r} meant to be that?" if near else ""

"""What the command line changes in a config."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.logging import print_log

from mmdist.engine.latest import NOTE, latest_checkpoint
from mmdist.engine.lookup import takes
from mmdist.errors import CheckpointError, ConfigError, nearest

# What a config may hold although few write it: a new one of these is no misspelling.
TOP_LEVEL = (
    *("auto_scale_lr", "compile", "custom_hooks", "custom_imports", "data_preprocessor", "default_hooks"),
    *("default_scope", "env_cfg", "experiment_name", "find_unused_parameters", "launcher", "load_from", "log_level"),
    *("log_processor", "model", "model_wrapper_cfg", "optim_wrapper", "param_scheduler", "randomness", "resume"),
    *("runner_type", "sync_bn", "test_cfg", "test_dataloader", "test_evaluator", "train_cfg", "train_dataloader"),
    *("tta_model", "tta_pipeline", "val_cfg", "val_dataloader", "val_evaluator", "visualizer", "work_dir"),
)


def merge_options(cfg: Config, options: dict[str, Any] | None) -> None:
    """Merge ``--cfg-options``; a key that looks misspelt is warned about, and taken all the same.

    Args:
        cfg (Config): Changed in place.
        options (dict): Values by dotted key, such as ``{'model.backbone.depth': 50}``.

    Raises:
        ConfigError: A key that leads into a value that has no keys, or past the end of a list.
    """
    for key, value in (options or {}).items():
        hint = unknown_key_hint(cfg, key)
        if hint:
            print_log(f"--cfg-options {key}: no such key in the config, {hint}", "current", logging.WARNING)
        try:
            cfg.merge_from_dict({key: value})
        except (KeyError, TypeError, AttributeError, IndexError, AssertionError, ValueError) as error:
            raise ConfigError(f"--cfg-options {key}", value, hint=f"cannot be merged: {error}") from error


def unknown_key_hint(cfg: Config, key: str) -> str:
    """The nearest key of the config, where ``key`` is probably a misspelling of it.

    A new key beside known ones is normal (an argument that the config leaves at its default), so it is reported only
    when it resembles one that is there and is no argument of the dict's class, or when the dict that should hold it is
    missing too.

    Example:
        >>> unknown_key_hint(Config(dict(model=dict(backbone=dict(depth=50)))), 'model.backbone.dpeth')
        "did you mean 'model.backbone.depth'?"
    """
    node: Any = cfg._cfg_dict
    parts, scope = key.split("."), cfg.get("default_scope")
    for index, part in enumerate(parts):
        parent, last = ".".join(parts[:index]), index == len(parts) - 1
        if isinstance(node, dict):
            options = [*node, *(TOP_LEVEL if not parent else ())]
            if part not in options:
                near = nearest(part, [other for other in node if last or isinstance(node[other], dict | list | tuple)])
                spelt = [".".join(filter(None, (parent, other, *parts[index + 1 :]))) for other in near]
                if last and spelt and parent and takes(node, part, node.get("_scope_", scope)):
                    return ""
                if spelt:
                    return f"did you mean {' or '.join(repr(option) for option in spelt)}?"
                return "" if last else f"and no {'.'.join(parts[: index + 1])!r} either"
            scope = node.get("_scope_", scope)
            node = node.get(part)
        elif isinstance(node, list | tuple) and part.isdigit() and int(part) < len(node):
            node = node[int(part)]
        else:
            return ""
    return ""


def set_work_dir(cfg: Config, work_dir: str | None, config: str) -> None:
    """The command line's folder, else the config's own, else ``work_dirs/<name of the config>``."""
    if work_dir is not None:
        cfg.work_dir = work_dir
    elif cfg.get("work_dir") is None:
        cfg.work_dir = str(Path("work_dirs") / Path(config.rpartition("::")[2]).stem)


def keep_written(cfg: Config) -> Config:
    """The same config under another name: mmengine writes a run's whole config over a file of its name in the work dir.

    Args:
        cfg (Config): Of a file in the work dir, as its user is to read and edit it.

    Returns:
        Config: To be written beside it, as ``NAME_full.py``.
    """
    file = Path(cfg.filename)
    return Config(cfg._cfg_dict, cfg_text=cfg.text, filename=str(file.with_name(f"{file.stem}_full.py")))


def enable_amp(cfg: Config) -> None:
    """Train in mixed precision.

    Raises:
        ConfigError: The optimizer wrapper is of a type that cannot be exchanged.
    """
    wrapper = cfg.get("optim_wrapper")
    key = "optim_wrapper"
    if isinstance(wrapper, dict) and "type" not in wrapper and isinstance(wrapper.get("architecture"), dict):
        wrapper, key = wrapper.architecture, "optim_wrapper.architecture"  # MMRazor's, one optimizer per part
    if not isinstance(wrapper, dict):
        raise ConfigError(key, wrapper, "a dict", "--amp changes the type of the optimizer wrapper")
    kind = wrapper.get("type", "OptimWrapper")
    if kind == "AmpOptimWrapper":
        print_log("--amp: the config trains in mixed precision already", "current", logging.WARNING)
    elif kind != "OptimWrapper":
        raise ConfigError(f"{key}.type", kind, "'OptimWrapper'", "--amp can exchange no other type")
    wrapper.type = "AmpOptimWrapper"
    wrapper.setdefault("loss_scale", "dynamic")


def enable_auto_scale_lr(cfg: Config) -> None:
    """Scale the learning rate with the batch size.

    Raises:
        ConfigError: The config does not say what batch size its learning rate is for.
    """
    scale = cfg.get("auto_scale_lr")
    if not isinstance(scale, dict) or "base_batch_size" not in scale:
        raise ConfigError(
            "auto_scale_lr",
            scale,
            "a dict with base_batch_size",
            "--auto-scale-lr needs the batch size of the config's learning rate: "
            "--cfg-options auto_scale_lr.base_batch_size=16",
        )
    scale.enable = True


def set_resume(cfg: Config, resume: str | None) -> None:
    """Go on from a checkpoint, or with ``auto`` from the latest one in the work dir.

    Raises:
        CheckpointError: The work dir names a latest checkpoint that is not there.
    """
    if resume is None:
        return
    cfg.resume = True
    cfg.load_from = None if resume == "auto" else resume
    latest = latest_checkpoint(cfg) if resume == "auto" else None
    if latest is not None and not latest.is_file():
        raise CheckpointError(
            f"--resume: {str(Path(cfg.work_dir) / NOTE)!r} names {latest.name!r}, but {str(latest)!r} does not exist: "
            "name the checkpoint yourself, --resume CKPT"
        )


def set_loader_options(cfg: Config, *, pin_memory: bool = True, persistent_workers: bool = True) -> None:
    """MMPretrain's defaults for its own configs, and both switches for every config."""
    for name in ("train_dataloader", "val_dataloader", "test_dataloader"):
        loader = cfg.get(name)
        if not isinstance(loader, dict):
            continue
        if cfg.get("default_scope") == "mmpretrain":
            loader.setdefault("pin_memory", get_device() != "cpu")  # it only warns there
            loader.setdefault("persistent_workers", loader.get("num_workers", 0) > 0)
            loader.setdefault("collate_fn", ConfigDict(type="default_collate"))
        if not pin_memory:
            loader.pin_memory = False
        if not persistent_workers or not loader.get("num_workers", 0):  # PyTorch refuses to keep workers that are none
            loader.persistent_workers = False


def disable_validation(cfg: Config) -> None:
    """Train without evaluating in between."""
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None

"""What makes a config of the zoo small enough for one iteration on a CPU, as ``--cfg-options``; docs/en/zoo.md."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mmengine.config import Config
from zoo.shrink_dense import mmdet, mmseg, threshold

PICTURE = 64


def mmpretrain(cfg: Config, root: Path) -> list[str]:
    """Batches of two, one epoch of one iteration, pictures of 64 x 64 where the networks can take them.

    Args:
        cfg (Config): A config of the zoo.
        root (Path): The folder with the data, the working directory's ``data/``.

    Returns:
        list[str]: ``key=value``, one an option.
    """
    options = ["train_cfg.max_epochs=1", "default_hooks.logger.interval=1", "default_hooks.checkpoint.interval=-1"]
    options += ["default_hooks.checkpoint.save_last=False"]
    for split in ("train", "val"):
        options += [f"{split}_dataloader.batch_size=2", f"{split}_dataloader.num_workers=0"]
    for index, scheduler in enumerate(cfg.param_scheduler if isinstance(cfg.param_scheduler, list) else []):
        if scheduler.get("begin"):  # after the only epoch
            options.append(f"param_scheduler.{index}.begin=0")
    if "swin" not in str(cfg.model).lower():  # its windows need 224
        for split in ("train", "val"):
            for index, step in enumerate(cfg[f"{split}_dataloader"].dataset.pipeline):
                key = {"RandomResizedCrop": "scale", "ResizeEdge": "scale", "CenterCrop": "crop_size"}.get(step.type)
                if key:
                    options.append(f"{split}_dataloader.dataset.pipeline.{index}.{key}={PICTURE}")
    return options


def demo(cfg: Config, root: Path) -> list[str]:
    """One iteration of a batch of four, for the configs of the demo, which are small already.

    Args:
        cfg (Config): A config of ``configs/demo``.
        root (Path): The folder with the data.

    Returns:
        list[str]: ``key=value``, one an option.
    """
    options = ["train_cfg.max_iters=1", "train_cfg.val_interval=1", "train_dataloader.batch_size=4"]
    options += ["default_hooks.logger.interval=1", "default_hooks.checkpoint.interval=-1"]
    options += ["default_hooks.checkpoint.save_last=False"]
    if cfg.default_scope == "mmdet":  # an untrained student has something to evaluate, too
        options += [f"{threshold(cfg)}.score_thr=0.0"]
    return options


SHRINK: dict[str, Callable[[Config, Path], list[str]]] = dict(mmpretrain=mmpretrain, mmseg=mmseg, mmdet=mmdet)

"""The folder of somebody who compares: a config outside the repository, written images, a teacher's weights."""

from __future__ import annotations

from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from .task_runs import plain_run

VAL = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(48, 48), keep_ratio=False),
    dict(type="LoadAnnotations"),
    dict(type="PackSegInputs"),
]


def write_project(folder: Path) -> None:
    """``student.py``, which trains six iterations, and ``teacher.pth`` for a teacher of the same config.

    Args:
        folder (Path): Where.
    """
    cfg = plain_run("mmseg", folder).to_dict()
    del cfg["work_dir"], cfg["log_level"]
    cfg.update(
        train_cfg=dict(type="IterBasedTrainLoop", max_iters=6, val_interval=3),
        val_cfg=dict(type="ValLoop"),
        val_evaluator=dict(type="IoUMetric", iou_metrics=["mIoU"]),
        default_hooks=dict(checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=2)),
    )
    cfg["train_dataloader"]["sampler"] = dict(type="InfiniteSampler", shuffle=True)
    cfg["val_dataloader"] = dict(
        batch_size=1,
        num_workers=0,
        dataset={**cfg["train_dataloader"]["dataset"], "pipeline": VAL},
        sampler=dict(type="DefaultSampler", shuffle=False),
    )
    (folder / "student.py").write_text("".join(f"{name} = {value!r}\n" for name, value in cfg.items()))
    with DefaultScope.overwrite_default_scope("mmseg"):
        model = MODELS.build(Config(cfg).model)
    torch.save(dict(state_dict=model.state_dict()), folder / "teacher.pth")

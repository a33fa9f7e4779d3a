"""Runs of the task libraries through mmengine's Runner: tiny models, written pictures, all randomness on."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from torch import Tensor

from .tiny_data import write_classification, write_detection, write_segmentation
from .tiny_models import distiller, feature_distiller
from .tiny_students import CLASSES, DETECTOR, META, SEGMENTOR

RUNS = itertools.count()  # mmengine shares visualizers and message hubs among runs of one name
LOGITS = dict(mmseg="decode_head.conv_seg", mmdet="bbox_head.retina_cls", mmpretrain="head.fc")
FEATURES = dict(mmseg="backbone.layer4", mmdet="neck", mmpretrain="backbone")

CLASSIFIER = dict(
    type="ImageClassifier",
    backbone=dict(
        type="VisionTransformer",
        arch=dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32),
        img_size=16,
        patch_size=4,
        out_type="featmap",
        drop_rate=0.1,
        drop_path_rate=0.1,
    ),
    neck=dict(type="GlobalAveragePooling"),
    head=dict(type="LinearClsHead", num_classes=3, in_channels=16, loss=dict(type="CrossEntropyLoss")),
    train_cfg=dict(augments=dict(type="Mixup", alpha=0.8)),
)


def _segmentation(root: Path) -> dict[str, Any]:
    write_segmentation(root, len(CLASSES), 48)
    train = [
        dict(type="LoadImageFromFile"),
        dict(type="LoadAnnotations"),
        dict(type="RandomResize", scale=(48, 48), ratio_range=(0.8, 1.5), keep_ratio=True),
        dict(type="RandomCrop", crop_size=(48, 48), cat_max_ratio=0.9),
        dict(type="RandomFlip", prob=0.5),
        dict(type="PhotoMetricDistortion"),
        dict(type="PackSegInputs"),
    ]
    val = [dict(type="LoadImageFromFile"), dict(type="LoadAnnotations"), dict(type="PackSegInputs")]
    model = deepcopy(SEGMENTOR)
    model["data_preprocessor"].update(seg_pad_val=255)
    model["decode_head"].update(dropout_ratio=0.3)

    def dataset(split: str, pipeline: list) -> dict:
        prefix = dict(img_path=f"images/{split}", seg_map_path=f"annotations/{split}")
        return dict(
            type="BaseSegDataset",
            data_root=str(root),
            metainfo=META,
            data_prefix=prefix,
            img_suffix=".png",
            seg_map_suffix=".png",
            pipeline=pipeline,
            serialize_data=False,
        )

    metric = dict(type="IoUMetric", iou_metrics=["mIoU"])
    return dict(model=model, train=dataset("train", train), val=dataset("val", val), metric=metric)


def _detection(root: Path) -> dict[str, Any]:
    write_detection(root, CLASSES)
    meta = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")
    train = [
        dict(type="LoadImageFromFile"),
        dict(type="LoadAnnotations", with_bbox=True),
        dict(type="RandomResize", scale=(64, 64), ratio_range=(0.8, 1.2), keep_ratio=True),
        dict(type="RandomFlip", prob=0.5),
        dict(type="PhotoMetricDistortion"),
        dict(type="PackDetInputs"),
    ]
    val = [
        dict(type="LoadImageFromFile"),
        dict(type="Resize", scale=(64, 64), keep_ratio=True),
        dict(type="PackDetInputs", meta_keys=meta),
    ]

    def dataset(split: str, pipeline: list) -> dict:
        return dict(
            type="CocoDataset",
            data_root=str(root),
            metainfo=META,
            ann_file=f"annotations/instances_{split}.json",
            data_prefix=dict(img=f"images/{split}"),
            pipeline=pipeline,
            serialize_data=False,
        )

    metric = dict(type="CocoMetric", ann_file=str(root / "annotations/instances_val.json"), metric="bbox")
    assigner = dict(type="MaxIoUAssigner", pos_iou_thr=0.5, neg_iou_thr=0.4, min_pos_iou=0, ignore_iof_thr=-1)
    train_cfg = dict(assigner=assigner, sampler=dict(type="PseudoSampler"), allowed_border=-1, pos_weight=-1)
    model = dict(deepcopy(DETECTOR), train_cfg=dict(train_cfg, debug=False))
    return dict(model=model, train=dataset("train", train), val=dataset("val", val), metric=metric)


def _classification(root: Path) -> dict[str, Any]:
    write_classification(root, CLASSES, 20)
    train = [
        dict(type="LoadImageFromFile"),
        dict(type="RandomResizedCrop", scale=16),
        dict(type="RandomFlip", prob=0.5),
        dict(type="ColorJitter", brightness=0.4, contrast=0.4),
        dict(type="PackInputs"),
    ]
    val = [dict(type="LoadImageFromFile"), dict(type="Resize", scale=16), dict(type="PackInputs")]

    def dataset(split: str, pipeline: list) -> dict:
        return dict(type="CustomDataset", data_root=str(root / split), classes=CLASSES, pipeline=pipeline)

    metric = dict(type="Accuracy", topk=(1,))
    return dict(model=deepcopy(CLASSIFIER), train=dataset("train", train), val=dataset("val", val), metric=metric)


PARTS = dict(mmseg=_segmentation, mmdet=_detection, mmpretrain=_classification)


def plain_run(scope: str, folder: Path, *, iters: int = 20, val_interval: int | None = None, **changes: Any) -> Config:
    """The config of a task library's plain training; its pictures are written into the folder.

    Args:
        scope (str): mmseg, mmdet or mmpretrain.
        folder (Path): Also the parent of the work dirs.
        iters (int): Iterations.
        val_interval (int, optional): Iterations between validations; None: no validation.
        **changes (Any): More keys of the config.
    """
    data = folder / f"data_{next(RUNS)}"
    parts = PARTS[scope](data)
    collate = dict(type="default_collate" if scope == "mmpretrain" else "pseudo_collate")
    loader = dict(batch_size=3, num_workers=0, collate_fn=collate)
    cfg = dict(
        default_scope=scope,
        model=parts["model"],
        train_dataloader=dict(loader, dataset=parts["train"], sampler=dict(type="InfiniteSampler", shuffle=True)),
        train_cfg=dict(type="IterBasedTrainLoop", max_iters=iters, val_interval=val_interval or iters + 1),
        optim_wrapper=dict(optimizer=dict(type="SGD", lr=1e-3, momentum=0.9, weight_decay=1e-4)),
        default_hooks=dict(checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=-1, save_last=False)),
        randomness=dict(seed=3),
        log_level="WARNING",
        work_dir=str(folder),
    )
    if scope == "mmpretrain":  # beside the model, as in its own configs
        cfg["data_preprocessor"] = dict(num_classes=len(CLASSES), mean=[127.5] * 3, std=[60.0] * 3)
    if val_interval is not None:
        cfg["val_dataloader"] = dict(loader, dataset=parts["val"], sampler=dict(type="DefaultSampler", shuffle=False))
        cfg.update(val_cfg=dict(), val_evaluator=parts["metric"])
    return Config({**cfg, **changes})


def distilled(cfg: Config, *, weight: float = 0.0, features: bool = False, **changes: Any) -> Config:
    """The same run under a teacher of the same kind.

    Args:
        cfg (Config): Of :func:`plain_run`.
        weight (float): Of the distillation loss.
        features (bool): Compare features through an ``mmdist.AlignConnector``, not logits.
        **changes (Any): More keys of the model.
    """
    cfg = deepcopy(cfg)
    scope, student = cfg.default_scope, cfg.model
    cfg.model = dict(
        type="mmdist.SingleTeacherDistill",
        architecture=student,
        teacher=deepcopy(student),
        random_teacher=True,
        distiller=feature_distiller(FEATURES[scope]) if features else distiller(LOGITS[scope]),
        **changes,
    )
    cfg.model.distiller.distill_losses.loss_dist.loss_weight = weight
    return cfg


@contextmanager
def quickly(scope: str) -> Iterator[None]:
    """The scope, without the half of a tiny run's time in which yapf lays out its config for the log."""
    with DefaultScope.overwrite_default_scope(scope), patch.object(Config, "pretty_text", ""):
        yield


def build(cfg: Config) -> Runner:
    """mmengine's own Runner, as the task libraries' tools build it."""
    cfg = deepcopy(cfg)
    cfg.experiment_name = f"task_run_{next(RUNS)}"
    cfg.work_dir = str(Path(cfg.work_dir) / cfg.experiment_name)
    return Runner.from_cfg(cfg)


class Start(Hook):
    """Keeps what the student starts from."""

    def before_train(self, runner: Runner) -> None:
        self.state = {name: value.clone() for name, value in student_state(runner).items()}


def train(cfg: Config, *hooks: Hook) -> Runner:
    """Build and train."""
    with quickly(cfg.default_scope):
        runner = build(cfg)
        for hook in hooks:
            runner.register_hook(hook)
        runner.train()
    return runner


def student_state(runner: Runner) -> dict[str, Tensor]:
    """Parameters and buffers of what the run trains."""
    model = getattr(runner.model, "module", runner.model)
    return getattr(model, "student", model).state_dict()


def differing(a: dict[str, Tensor], b: dict[str, Tensor]) -> list[str]:
    """The names whose values are not the same bit for bit, or that only one of them has."""
    return sorted(
        name for name in a.keys() | b.keys() if name not in a or name not in b or not torch.equal(a[name], b[name])
    )


def train_one_rank(rank: int, folder: str) -> dict[str, Any]:
    """One of two gloo processes: a segmenter under a teacher, with a connector, two iterations and a validation."""
    import os

    import mmdist.engine.loops  # noqa: F401
    from mmdist.compat.process_group import use_cpu_model_wrapper

    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank))
    loop = dict(type="mmdist.DistillValLoop", teacher=True)
    cfg = plain_run("mmseg", Path(folder) / f"rank{rank}", iters=2, val_interval=2, val_cfg=loop)
    cfg.launcher, cfg.find_unused_parameters = "pytorch", False
    cfg.work_dir = folder  # one for all ranks
    use_cpu_model_wrapper(cfg)
    run = train(distilled(cfg, weight=1.0, features=True))
    return dict(
        parameters=dict(run.model.named_parameters()),
        head=run.model.module.decode_head is run.model.module.student.decode_head,
        metrics={name: float(h.current()) for name, h in run.message_hub.log_scalars.items() if "/" in name},
    )

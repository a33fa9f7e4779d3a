"""Data sets whose classes are colours, and teachers that learn them in seconds.

A teacher that gets its channels the other way round, or has its classes in another order, is then far off, and nothing
else is wrong with it.
"""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import Runner
from PIL import Image

from mmdist.engine.gap.models import quietly

from .tiny_models import distiller

CLASSES = ("orange", "green", "violet")
COLOURS = np.array([(220, 110, 30), (40, 200, 60), (120, 30, 220)])
META = dict(classes=CLASSES, palette=COLOURS.tolist())
NORM = dict(type="BN", requires_grad=True)
LOGITS = dict(mmseg="decode_head.conv_seg", mmdet="bbox_head.retina_cls", mmpretrain="head.fc")
LAST = dict(mmseg="decode_head.conv_seg", mmdet="bbox_head.retina_cls", mmpretrain="head.fc")
IMAGES = 16


def paint(rng: np.random.Generator, labels: np.ndarray, ground: tuple[int, int, int] | None = None) -> Image.Image:
    """Each pixel in the colour of its label, -1 in that of the ground, with noise."""
    colours = np.concatenate([COLOURS, [ground or (0, 0, 0)]])
    pixels = colours[labels] + rng.normal(0, 12, (*labels.shape, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def segmentation(root: Path, rng: np.random.Generator) -> dict[str, Any]:
    """Four squares of one class each."""
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True)
        for index in range(IMAGES):
            labels = rng.integers(0, 3, (2, 2)).repeat(16, 0).repeat(16, 1)
            paint(rng, labels).save(root / "images" / split / f"{index:02}.png")
            Image.fromarray(labels.astype(np.uint8)).save(root / "labels" / split / f"{index:02}.png")

    def dataset(split: str) -> dict:
        return dict(
            type="BaseSegDataset",
            data_root=str(root),
            metainfo=META,
            data_prefix=dict(img_path=f"images/{split}", seg_map_path=f"labels/{split}"),
            img_suffix=".png",
            seg_map_suffix=".png",
            pipeline=[dict(type="LoadImageFromFile"), dict(type="LoadAnnotations"), dict(type="PackSegInputs")],
        )

    model = dict(
        type="EncoderDecoder",
        data_preprocessor=dict(
            type="SegDataPreProcessor", mean=[127.5] * 3, std=[60.0] * 3, bgr_to_rgb=True, size=(32, 32)
        ),
        backbone=dict(
            **dict(type="ResNet", depth=18, base_channels=8, stem_channels=8, norm_cfg=NORM, num_stages=1),
            **dict(strides=(1,), dilations=(1,), out_indices=(0,)),
        ),
        decode_head=dict(
            type="FCNHead", in_channels=8, in_index=0, num_convs=1, channels=8, num_classes=3, norm_cfg=NORM
        ),
        test_cfg=dict(mode="whole"),
    )
    return dict(model=model, dataset=dataset, metric=dict(type="IoUMetric"), collate="pseudo_collate")


def classification(root: Path, rng: np.random.Generator) -> dict[str, Any]:
    """Images of one colour."""
    for split in ("train", "val"):
        for label, name in enumerate(CLASSES):
            (root / split / name).mkdir(parents=True)
            for index in range(IMAGES // 2):
                paint(rng, np.full((16, 16), label)).save(root / split / name / f"{index}.png")

    def dataset(split: str) -> dict:
        pipeline = [dict(type="LoadImageFromFile"), dict(type="PackInputs")]
        return dict(type="CustomDataset", data_root=str(root / split), classes=CLASSES, pipeline=pipeline)

    model = dict(
        type="ImageClassifier",
        data_preprocessor=dict(
            type="ClsDataPreprocessor", num_classes=3, mean=[127.5] * 3, std=[60.0] * 3, to_rgb=True
        ),
        backbone=dict(type="ResNet_CIFAR", depth=18, base_channels=4, stem_channels=4),
        neck=dict(type="GlobalAveragePooling"),
        head=dict(type="LinearClsHead", num_classes=3, in_channels=32, loss=dict(type="CrossEntropyLoss")),
    )
    return dict(model=model, dataset=dataset, metric=dict(type="Accuracy"), collate="default_collate")


def detection(root: Path, rng: np.random.Generator) -> dict[str, Any]:
    """Two squares on grey ground."""
    categories = [dict(id=index + 1, name=name) for index, name in enumerate(CLASSES)]
    (root / "annotations").mkdir(parents=True)
    for split in ("train", "val"):
        (root / "images" / split).mkdir(parents=True)
        images, boxes = [], []
        for index in range(IMAGES):
            labels = np.full((64, 64), -1)
            for half in (0, 32):
                side, kind = int(rng.integers(16, 25)), int(rng.integers(0, 3))
                x, y = int(rng.integers(0, 64 - side)), half + int(rng.integers(0, 33 - side))
                labels[y : y + side, x : x + side] = kind
                entry = dict(id=len(boxes) + 1, image_id=index, category_id=kind + 1, iscrowd=0)
                boxes.append(dict(entry, bbox=[x, y, side, side], area=side * side))
            paint(rng, labels, (120, 120, 120)).save(root / "images" / split / f"{index}.png")
            images.append(dict(id=index, file_name=f"{index}.png", width=64, height=64))
        content = dict(images=images, annotations=boxes, categories=categories)
        (root / "annotations" / f"{split}.json").write_text(json.dumps(content))
    meta = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")

    def dataset(split: str) -> dict:
        return dict(
            type="CocoDataset",
            data_root=str(root),
            metainfo=META,
            ann_file=f"annotations/{split}.json",
            data_prefix=dict(img=f"images/{split}"),
            pipeline=[
                dict(type="LoadImageFromFile"),
                dict(type="LoadAnnotations", with_bbox=True),
                dict(type="Resize", scale=(64, 64), keep_ratio=True),
                dict(type="PackDetInputs", meta_keys=meta),
            ],
        )

    assigner = dict(type="MaxIoUAssigner", pos_iou_thr=0.5, neg_iou_thr=0.4, min_pos_iou=0, ignore_iof_thr=-1)
    model = dict(
        type="RetinaNet",
        data_preprocessor=dict(
            type="DetDataPreprocessor", mean=[127.5] * 3, std=[60.0] * 3, bgr_to_rgb=True, pad_size_divisor=32
        ),
        backbone=dict(
            **dict(type="ResNet", depth=18, base_channels=8, stem_channels=8, norm_cfg=NORM),
            **dict(num_stages=2, strides=(1, 2), dilations=(1, 1), out_indices=(0, 1)),
        ),
        neck=dict(type="FPN", in_channels=[8, 16], out_channels=16, num_outs=2),
        bbox_head=dict(
            **dict(type="RetinaHead", num_classes=3, in_channels=16, feat_channels=16, stacked_convs=1),
            anchor_generator=dict(type="AnchorGenerator", ratios=[1.0], scales=[4], strides=[4, 8]),
            bbox_coder=dict(type="DeltaXYWHBBoxCoder"),
        ),
        train_cfg=dict(assigner=assigner, sampler=dict(type="PseudoSampler"), allowed_border=-1, pos_weight=-1),
        test_cfg=dict(nms_pre=100, score_thr=0.05, nms=dict(type="nms", iou_threshold=0.5), max_per_img=20),
    )
    metric = dict(type="CocoMetric", ann_file=str(root / "annotations" / "val.json"), metric="bbox")
    return dict(model=model, dataset=dataset, metric=metric, collate="pseudo_collate")


PARTS = dict(mmseg=segmentation, mmpretrain=classification, mmdet=detection)
# Iterations and learning rate (Adam) of a teacher
SCHEDULE = dict(mmseg=(40, 0.02), mmpretrain=(30, 0.01), mmdet=(150, 0.01))


def plain_config(scope: str, root: Path) -> Config:
    """A plain training; its images are written into the folder."""
    parts = PARTS[scope](root / "data", np.random.default_rng(0))
    loader = dict(batch_size=8, num_workers=0, collate_fn=dict(type=parts["collate"]))
    sampler = dict(type="InfiniteSampler", shuffle=True)
    return Config(
        dict(
            default_scope=scope,
            custom_imports=dict(imports=["mmdist"], allow_failed_imports=False),
            model=parts["model"],
            train_dataloader=dict(loader, dataset=parts["dataset"]("train"), sampler=sampler),
            val_dataloader=dict(
                loader, dataset=parts["dataset"]("val"), sampler=dict(type="DefaultSampler", shuffle=False)
            ),
            val_evaluator=parts["metric"],
            val_cfg=dict(),
            train_cfg=dict(type="IterBasedTrainLoop", max_iters=100, val_interval=100),
            optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.01, momentum=0.9)),
        )
    )


def distillation(plain: Config, teacher_ckpt: str | None) -> Config:
    """The same student under a teacher of its own kind: class scores, by mean squared error or KL."""
    cfg = deepcopy(plain)
    student = cfg.model
    cfg.model = dict(
        type="mmdist.SingleTeacherDistill",
        architecture=student,
        teacher=deepcopy(student),
        teacher_ckpt=teacher_ckpt,
        distiller=distiller(LOGITS[cfg.default_scope]),
    )
    losses = cfg.model.distiller.distill_losses
    losses.loss_dist = (
        dict(type="mmdist.ChannelRelationLoss") if cfg.default_scope == "mmdet" else dict(type="mmdist.DISTLoss")
    )
    if cfg.default_scope == "mmdet":
        pair = cfg.model.distiller.loss_forward_mappings.loss_dist
        cfg.model.distiller.loss_forward_mappings.loss_dist = dict(preds_S=pair.logits_S, preds_T=pair.logits_T)
    return cfg


def train_teacher(plain: Config, file: Path) -> None:
    """Train a model on its data for some dozen iterations, and save it."""
    iterations, rate = SCHEDULE[plain.default_scope]
    with quietly(), DefaultScope.overwrite_default_scope(plain.default_scope):
        torch.manual_seed(0)
        model = MODELS.build(deepcopy(plain.model))
        model.init_weights()
        loader = Runner.build_dataloader(deepcopy(plain.train_dataloader), seed=0)
        optimizer = torch.optim.Adam(model.parameters(), rate)
        model.train()
        for _, batch in zip(range(iterations), loader, strict=False):
            data = model.data_preprocessor(batch, True)
            loss, _ = model.parse_losses(model._run_forward(data, mode="loss"))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    torch.save({"state_dict": model.state_dict(), "meta": {}}, file)


def permuted(scope: str, file: Path, out: Path, order: tuple[int, ...] = (1, 2, 0)) -> None:
    """The same model with its classes in another order: class ``i`` moves to number ``order[i]``."""
    state = torch.load(file)["state_dict"]
    for name in ("weight", "bias"):
        value = state[f"{LAST[scope]}.{name}"]
        moved = value.clone()
        for index, place in enumerate(order):
            moved[place] = value[index]
        state[f"{LAST[scope]}.{name}"] = moved
    torch.save({"state_dict": state, "meta": {}}, out)


def random_weights(plain: Config, out: Path) -> None:
    """A checkpoint of a model that was never trained."""
    with quietly(), DefaultScope.overwrite_default_scope(plain.default_scope):
        torch.manual_seed(1)
        model = MODELS.build(deepcopy(plain.model))
        model.init_weights()
    torch.save({"state_dict": model.state_dict(), "meta": {}}, out)

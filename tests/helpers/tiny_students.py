"""Tiny models of every task library, as students of a distiller, and checkpoints of it."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor

CLASSES = ("square", "round", "other")
META = dict(classes=CLASSES, palette=[(1, 2, 3), (4, 5, 6), (7, 8, 9)])
NORM = dict(type="BN", requires_grad=True)

CLASSIFIER = dict(
    type="ImageClassifier",
    data_preprocessor=dict(type="ClsDataPreprocessor", mean=[127.5] * 3, std=[60.0] * 3),
    backbone=dict(type="ResNet_CIFAR", depth=18, base_channels=4, stem_channels=4),
    neck=dict(type="GlobalAveragePooling"),
    head=dict(type="LinearClsHead", num_classes=3, in_channels=32, loss=dict(type="CrossEntropyLoss")),
)
SEGMENTOR = dict(
    type="EncoderDecoder",
    data_preprocessor=dict(type="SegDataPreProcessor", mean=[127.5] * 3, std=[60.0] * 3, size=(48, 48)),
    backbone=dict(type="ResNetV1c", depth=18, base_channels=4, stem_channels=4, norm_cfg=NORM),
    decode_head=dict(type="FCNHead", in_channels=32, in_index=3, channels=4, num_classes=3, norm_cfg=NORM),
    test_cfg=dict(mode="whole"),
)
PYRAMID = dict(
    data_preprocessor=dict(type="DetDataPreprocessor", mean=[127.5] * 3, std=[60.0] * 3, pad_size_divisor=32),
    backbone=dict(type="ResNet", depth=18, base_channels=4, stem_channels=4, norm_cfg=NORM),
    neck=dict(type="FPN", in_channels=[4, 8, 16, 32], out_channels=8, num_outs=5),
)
CODER = dict(type="DeltaXYWHBBoxCoder")
DETECTOR = dict(
    type="RetinaNet",
    **PYRAMID,
    bbox_head=dict(
        type="RetinaHead",
        num_classes=3,
        in_channels=8,
        feat_channels=8,
        stacked_convs=1,
        anchor_generator=dict(type="AnchorGenerator", ratios=[1.0], scales=[4], strides=[4, 8, 16, 32, 64]),
        bbox_coder=CODER,
    ),
    test_cfg=dict(nms_pre=50, score_thr=0.0, nms=dict(type="nms", iou_threshold=0.5), max_per_img=20),
)
TWO_STAGE = dict(
    type="FasterRCNN",
    **PYRAMID,
    rpn_head=dict(
        type="RPNHead",
        in_channels=8,
        feat_channels=8,
        anchor_generator=dict(type="AnchorGenerator", ratios=[1.0], scales=[4], strides=[4, 8, 16, 32, 64]),
        bbox_coder=CODER,
        loss_cls=dict(type="CrossEntropyLoss", use_sigmoid=True),
    ),
    roi_head=dict(
        type="StandardRoIHead",
        bbox_roi_extractor=dict(
            type="SingleRoIExtractor",
            roi_layer=dict(type="RoIAlign", output_size=7, sampling_ratio=0),
            out_channels=8,
            featmap_strides=[4, 8, 16, 32],
        ),
        bbox_head=dict(
            type="Shared2FCBBoxHead", in_channels=8, fc_out_channels=8, roi_feat_size=7, num_classes=3, bbox_coder=CODER
        ),
    ),
    train_cfg=None,
    test_cfg=dict(
        rpn=dict(nms_pre=50, max_per_img=20, nms=dict(type="nms", iou_threshold=0.7), min_bbox_size=0),
        rcnn=dict(score_thr=0.0, nms=dict(type="nms", iou_threshold=0.5), max_per_img=20),
    ),
)
STUDENTS = dict(
    classifier=("mmpretrain", CLASSIFIER),
    segmentor=("mmseg", SEGMENTOR),
    detector=("mmdet", DETECTOR),
    two_stage=("mmdet", TWO_STAGE),
)
PIPELINES = dict(
    mmpretrain=[dict(type="LoadImageFromFile"), dict(type="PackInputs")],
    mmseg=[dict(type="LoadImageFromFile"), dict(type="PackSegInputs")],
    mmdet=[
        dict(type="LoadImageFromFile"),
        dict(type="Resize", scale=(64, 64), keep_ratio=False),
        dict(type="PackDetInputs", meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")),
    ],
)


def plain_config(name: str) -> Config:
    """The plain task config of a student, with what its library's inference functions read."""
    scope, model = STUDENTS[name]
    kind = "CocoDataset" if scope == "mmdet" else "CustomDataset"
    dataset = dict(type=kind, metainfo=META, pipeline=PIPELINES[scope])
    return Config(
        deepcopy(
            dict(
                default_scope=scope,
                model=model,
                test_pipeline=PIPELINES[scope],
                test_dataloader=dict(batch_size=1, dataset=dataset),
            )
        )
    )


def distill_config(name: str) -> Config:
    """The same student under a teacher of its own kind."""
    cfg = plain_config(name)
    recorders = dict(feature=dict(type="mmrazor.ModuleOutputs", source="backbone.layer4"))
    pair = dict(
        preds_S=dict(recorder="feature", from_student=True), preds_T=dict(recorder="feature", from_student=False)
    )
    student = cfg.pop("model")
    cfg.custom_imports = dict(imports=["mmdist"], allow_failed_imports=False)
    cfg.model = dict(
        type="mmdist.SingleTeacherDistill",
        architecture=student,
        teacher=deepcopy(student),
        random_teacher=True,
        distiller=dict(
            type="mmrazor.ConfigurableDistiller",
            student_recorders=recorders,
            teacher_recorders=deepcopy(recorders),
            distill_losses=dict(loss_feature=dict(type="mmdist.ChannelRelationLoss")),
            loss_forward_mappings=dict(loss_feature=pair),
        ),
    )
    return cfg


def build_algorithm(name: str) -> BaseModel:
    """The distiller, its student's weights and statistics random."""
    cfg = distill_config(name)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model)
    for key, value in model.architecture.state_dict().items():
        if key.endswith("running_var"):
            value.uniform_(0.5, 1.5)
        elif value.is_floating_point():
            value.normal_(0, value[0].numel() ** -0.5 if value.dim() > 1 else 0.5)
    return model.eval()


def write_checkpoint(path: Path, name: str, state: dict[str, Tensor], **entries: Any) -> Path:
    """What mmengine writes at the end of an epoch, as far as an export looks at it."""
    meta = dict(cfg=distill_config(name).pretty_text, dataset_meta=META, epoch=3, iter=120, seed=0)
    torch.save(dict(meta=meta, state_dict=state, optimizer=dict(state={}, param_groups=[])) | entries, path)
    return path

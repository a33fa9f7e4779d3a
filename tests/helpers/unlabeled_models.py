"""Small models of the three libraries under themselves, for batches of labelled and unlabelled images."""

from __future__ import annotations

import random
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from helpers.tiny_models import distiller, feature_distiller
from helpers.tiny_students import CLASSIFIER, DETECTOR, SEGMENTOR, TWO_STAGE
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn

LABELED = [(40, 33), (28, 48), (36, 36)]  # heights and widths
UNLABELED = [(90, 44), (20, 24), (36, 36), (48, 130)]  # a batch of other sides than the labelled images


def without_size(model: dict[str, Any]) -> dict[str, Any]:
    """A segmenter whose batches are as large as their largest image."""
    model = deepcopy(model)
    model["data_preprocessor"].update(size=None, size_divisor=32, seg_pad_val=255)
    return model


def trained(model: dict[str, Any]) -> dict[str, Any]:
    """A detector with what it trains by."""
    model = {**deepcopy(model), "train_cfg": TRAIN[model["type"]]}
    model["backbone"]["norm_eval"] = False
    if "roi_head" in model:  # of a map of one pixel mmdet's RPN makes no regions
        model["data_preprocessor"]["pad_size_divisor"] = 128
    return model


ASSIGNER = dict(type="MaxIoUAssigner", pos_iou_thr=0.5, neg_iou_thr=0.4, min_pos_iou=0, ignore_iof_thr=-1)
SAMPLER = dict(type="RandomSampler", num=32, pos_fraction=0.5, neg_pos_ub=-1, add_gt_as_proposals=True)
RCNN = dict(assigner=ASSIGNER, sampler=SAMPLER, pos_weight=-1, debug=False)
TRAIN = dict(
    RetinaNet=dict(
        assigner=ASSIGNER, sampler=dict(type="PseudoSampler"), allowed_border=-1, pos_weight=-1, debug=False
    ),
    FasterRCNN=dict(
        rpn=dict(RCNN, allowed_border=-1),
        rpn_proposal=dict(nms_pre=50, max_per_img=20, nms=dict(type="nms", iou_threshold=0.7), min_bbox_size=0),
        rcnn=RCNN,
    ),
)
RESIZED = dict(type="BatchSyncRandomResize", random_size_range=(64, 128), size_divisor=32, interval=1)
MIXED = dict(type="ClsDataPreprocessor", num_classes=3, mean=[127.5] * 3, std=[60.0] * 3, pad_size_divisor=8)


def resized(model: dict[str, Any]) -> dict[str, Any]:
    model = trained(model)
    model["data_preprocessor"]["batch_augments"] = [RESIZED]
    return model


MODELS_OF = dict(
    segmenter=("mmseg", without_size(SEGMENTOR), distiller("decode_head.conv_seg")),
    detector=("mmdet", trained(DETECTOR), distiller("bbox_head.retina_cls")),
    resized_detector=("mmdet", resized(DETECTOR), feature_distiller("neck")),
    two_stage=("mmdet", trained(TWO_STAGE), distiller("roi_head.bbox_head.fc_cls")),
    classifier=("mmpretrain", {**deepcopy(CLASSIFIER), "data_preprocessor": MIXED}, distiller("head.fc")),
    mixup=(
        "mmpretrain",
        {**deepcopy(CLASSIFIER), "data_preprocessor": MIXED, "train_cfg": dict(augments=dict(type="Mixup", alpha=0.8))},
        distiller("head.fc"),
    ),
)


def built(name: str, weight: float = 1.0, **changes: Any) -> tuple[str, Any]:
    scope, student, comparison = MODELS_OF[name]
    comparison = deepcopy(comparison)
    comparison["distill_losses"]["loss_dist"]["loss_weight"] = weight
    cfg = dict(architecture=student, teacher=student, distiller=comparison, random_teacher=True)
    with DefaultScope.overwrite_default_scope(scope):
        torch.manual_seed(0)
        return scope, MODELS.build(Config({"type": "mmdist.SingleTeacherDistill", **deepcopy({**cfg, **changes})}))


def losses_of(model: nn.Module, batch: dict[str, Any], seed: int = 3) -> dict[str, Any]:
    """One pass as a training step does it; gradients are left in the model."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)
    data = model.data_preprocessor(deepcopy(batch), True)
    losses = model(**data, mode="loss")
    total, logged = model.parse_losses(losses)
    total.backward()
    return {**logged, "numbers": torch.rand(2), "more": torch.tensor(np.random.rand(2))}


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

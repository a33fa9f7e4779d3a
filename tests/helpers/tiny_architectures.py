"""Small versions of segmenters and detectors that differ in how they call their losses."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.config import ConfigDict
from torch import Tensor

CLASSES = 3
SIDE = 32
NORM = dict(type="BN", requires_grad=True)
CE = dict(type="mmseg.CrossEntropyLoss")
FCN = dict(type="mmseg.FCNHead", channels=4, num_classes=CLASSES, dropout_ratio=0.0, norm_cfg=NORM)


def resnet(width: int) -> dict[str, Any]:
    places = dict(strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4))
    return dict(type="mmseg.ResNetV1c", depth=18, base_channels=width, stem_channels=width, norm_cfg=NORM, **places)


def segmenter(backbone: dict, decode_head: dict | list, side: int = SIDE, **parts: Any) -> dict[str, Any]:
    stages = dict(num_stages=len(decode_head)) if isinstance(decode_head, list) else {}
    return dict(
        type="mmseg.CascadeEncoderDecoder" if stages else "mmseg.EncoderDecoder",
        data_preprocessor=dict(type="mmseg.SegDataPreProcessor", size=(side, side)),
        backbone=backbone,
        decode_head=decode_head,
        **stages,
        **parts,
    )


def fcn(width: int = 4, auxiliaries: int = 0, *, channels: int = CLASSES, **head: Any) -> dict[str, Any]:
    """FCN with none, one or a list of auxiliary heads."""
    common = {**FCN, "out_channels": channels, **head}
    if channels == 1:
        common.update(num_classes=2, threshold=0.5)
    places = [dict(common, in_channels=width * 2**i, in_index=i) for i in (2, 0)][:auxiliaries]
    parts = dict(auxiliary_head=places if auxiliaries > 1 else places[0]) if auxiliaries else {}
    return segmenter(resnet(width), dict(common, in_channels=8 * width, in_index=3), **parts)


def cascade(width: int = 4) -> dict[str, Any]:
    """OCRNet on a ResNet."""
    first = dict(FCN, in_channels=8 * width, in_index=3)
    second = {**FCN, "type": "mmseg.OCRHead", "ocr_channels": 4, "in_channels": 8 * width, "in_index": 3}
    return segmenter(resnet(width), [first, second])


def segformer(width: int = 8) -> dict[str, Any]:
    backbone = dict(
        type="mmseg.MixVisionTransformer",
        embed_dims=width,
        num_layers=[1] * 4,
        num_heads=[1, 1, 2, 2],
        sr_ratios=[8, 4, 2, 1],
    )
    widths = [width, width, 2 * width, 2 * width]
    head = dict(type="mmseg.SegformerHead", in_channels=widths, in_index=[0, 1, 2, 3], channels=width)
    return segmenter(backbone, dict(head, num_classes=CLASSES, norm_cfg=NORM))


def danet(width: int = 8) -> dict[str, Any]:
    """A head that returns three maps."""
    head = {**FCN, "type": "mmseg.DAHead", "channels": 8, "pam_channels": 4, "in_channels": 8 * width, "in_index": 3}
    return segmenter(resnet(width), head)


def mask2former(width: int = 4) -> dict[str, Any]:
    dims = 16
    attention = dict(embed_dims=dims, num_heads=2, batch_first=True)
    deformable = dict(embed_dims=dims, num_heads=2, num_levels=3, num_points=2, batch_first=True)
    ffn = dict(embed_dims=dims, feedforward_channels=16)
    position = dict(num_feats=dims // 2, normalize=True)
    head = dict(
        type="mmseg.Mask2FormerHead",
        in_channels=[width * 2**i for i in range(4)],
        strides=[4, 8, 16, 32],
        feat_channels=dims,
        out_channels=dims,
        num_classes=CLASSES,
        num_queries=6,
        num_transformer_feat_level=3,
        pixel_decoder=dict(
            type="mmdet.MSDeformAttnPixelDecoder",
            num_outs=3,
            norm_cfg=dict(type="GN", num_groups=2),
            act_cfg=dict(type="ReLU"),
            encoder=dict(num_layers=1, layer_cfg=dict(self_attn_cfg=deformable, ffn_cfg=ffn)),
            positional_encoding=position,
        ),
        positional_encoding=position,
        transformer_decoder=dict(
            return_intermediate=True,
            num_layers=2,
            layer_cfg=dict(self_attn_cfg=attention, cross_attn_cfg=attention, ffn_cfg=ffn),
        ),
        loss_cls=dict(type="mmdet.CrossEntropyLoss", class_weight=[1.0] * CLASSES + [0.1]),
        loss_mask=dict(type="mmdet.CrossEntropyLoss", use_sigmoid=True),
        loss_dice=dict(type="mmdet.DiceLoss", naive_dice=True, eps=1.0),
    )
    backbone = dict(type="mmseg.ResNet", depth=18, base_channels=width, stem_channels=width, norm_cfg=NORM)
    return segmenter(backbone, ConfigDict(head))


def ddrnet(width: int = 4, loss: dict = CE) -> dict[str, Any]:
    backbone = dict(type="mmseg.DDRNet", channels=width, ppm_channels=width, norm_cfg=NORM)
    head = {
        **FCN,
        "type": "mmseg.DDRHead",
        "in_channels": 4 * width,
        "loss_decode": [loss, dict(loss, loss_weight=0.4)],
    }
    return segmenter(backbone, head, 64)


def pidnet(width: int = 4, loss: dict = CE) -> dict[str, Any]:
    backbone = dict(
        type="mmseg.PIDNet", channels=width, ppm_channels=width, num_stem_blocks=1, num_branch_blocks=1, norm_cfg=NORM
    )
    losses = [dict(CE, loss_weight=0.4), loss, dict(type="mmseg.BoundaryLoss", loss_weight=20.0), loss]
    return segmenter(backbone, {**FCN, "type": "mmseg.PIDHead", "in_channels": 4 * width, "loss_decode": losses}, 64)


def pictures(side: int = SIDE, size: int = 2, classes: int = CLASSES, ignored: int | None = 255) -> dict[str, Any]:
    """A batch for a segmenter, with an edge map; a corner of the labels is ignored."""
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    samples = []
    for _ in range(size):
        sample = SegDataSample(metainfo=dict(img_shape=(side, side), ori_shape=(side, side), pad_shape=(side, side)))
        labels = torch.randint(0, classes, (1, side, side))
        if ignored is not None:
            labels[:, : side // 4, : side // 3] = ignored
        sample.gt_sem_seg = PixelData(data=labels)
        sample.gt_edge_map = PixelData(data=torch.randint(0, 2, (1, side, side)))
        samples.append(sample)
    return dict(inputs=_images(side, size), data_samples=samples)


def _images(side: int, size: int) -> list[Tensor]:
    return [torch.randint(0, 256, (3, side, side), dtype=torch.uint8) for _ in range(size)]


def pyramid(width: int) -> dict[str, Any]:
    return dict(
        data_preprocessor=dict(type="mmdet.DetDataPreprocessor", mean=[127.5] * 3, std=[60.0] * 3, pad_size_divisor=32),
        backbone=dict(type="mmdet.ResNet", depth=18, base_channels=width, stem_channels=width, norm_cfg=NORM),
        neck=dict(type="mmdet.FPN", in_channels=[width * 2**i for i in range(4)], out_channels=width, num_outs=5),
    )


STRIDES = [4, 8, 16, 32, 64]
CODER = dict(type="mmdet.DeltaXYWHBBoxCoder")
SQUARES = dict(type="mmdet.AnchorGenerator", ratios=[1.0], scales=[4], strides=STRIDES)
PSEUDO = dict(sampler=dict(type="mmdet.PseudoSampler"), allowed_border=-1, pos_weight=-1, debug=False)
ATSS = dict(PSEUDO, assigner=dict(type="mmdet.ATSSAssigner", topk=9))
FOCAL = dict(type="mmdet.FocalLoss", use_sigmoid=True, gamma=2.0, alpha=0.25)
QUALITY = dict(type="mmdet.QualityFocalLoss", use_sigmoid=True, beta=2.0)


def detector(kind: str, width: int = 4, **head: Any) -> dict[str, Any]:
    """A one-stage detector on a pyramid: RetinaNet, FCOS, GFL, ATSS or RTMDet."""
    common = dict(num_classes=CLASSES, in_channels=width, feat_channels=width, stacked_convs=1)
    iou = dict(type="mmdet.GIoULoss")
    max_iou = dict(type="mmdet.MaxIoUAssigner", pos_iou_thr=0.5, neg_iou_thr=0.4, min_pos_iou=0)
    kinds = dict(
        RetinaNet=(
            dict(type="RetinaHead", anchor_generator=SQUARES, bbox_coder=CODER, loss_cls=FOCAL),
            dict(PSEUDO, assigner=max_iou),
        ),
        FCOS=(dict(type="FCOSHead", strides=STRIDES, norm_cfg=None, loss_cls=FOCAL), None),
        GFL=(dict(type="GFLHead", anchor_generator=SQUARES, loss_cls=QUALITY, loss_bbox=iou, norm_cfg=NORM), ATSS),
        ATSS=(
            dict(
                type="ATSSHead",
                anchor_generator=SQUARES,
                bbox_coder=CODER,
                loss_cls=FOCAL,
                loss_bbox=iou,
                norm_cfg=NORM,
            ),
            ATSS,
        ),
        RTMDet=(
            dict(
                type="RTMDetSepBNHead",
                anchor_generator=dict(type="mmdet.MlvlPointGenerator", offset=0, strides=STRIDES),
                bbox_coder=dict(type="mmdet.DistancePointBBoxCoder"),
                loss_cls=QUALITY,
                loss_bbox=iou,
                with_objectness=False,
                exp_on_reg=True,
                norm_cfg=NORM,
            ),
            dict(PSEUDO, assigner=dict(type="mmdet.DynamicSoftLabelAssigner", topk=5)),
        ),
    )
    own, train_cfg = kinds[kind]
    own = {**common, **own, "type": f"mmdet.{own['type']}", **head}
    return dict(type=f"mmdet.{kind}", **pyramid(width), bbox_head=own, train_cfg=train_cfg)


def boxes(side: int = 64, size: int = 2) -> dict[str, Any]:
    """A batch for a detector: two objects in each picture."""
    from mmdet.structures import DetDataSample
    from mmengine.structures import InstanceData

    samples = []
    for index in range(size):
        shape = (side, side)
        sample = DetDataSample(metainfo=dict(img_shape=shape, ori_shape=shape, pad_shape=shape, scale_factor=(1, 1)))
        corners = torch.tensor([[4.0, 6.0, 22.0, 24.0], [20.0, 24.0, 60.0, 58.0]]) - index
        sample.gt_instances = InstanceData(bboxes=corners, labels=torch.tensor([index % CLASSES, CLASSES - 1]))
        samples.append(sample)
    return dict(inputs=_images(side, size), data_samples=samples)

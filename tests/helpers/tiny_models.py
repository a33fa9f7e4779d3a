"""Small models of the task libraries, and algorithms around them."""

from __future__ import annotations

import copy

import torch
from mmengine.registry import MODELS

from mmdist.models.algorithms import SingleTeacherDistill


def classifier(width: int = 4) -> dict:
    return dict(
        type="mmpretrain.ImageClassifier",
        backbone=dict(type="mmpretrain.ResNet_CIFAR", depth=18, base_channels=width, stem_channels=width),
        neck=dict(type="mmpretrain.GlobalAveragePooling"),
        head=dict(
            type="mmpretrain.LinearClsHead",
            num_classes=3,
            in_channels=8 * width,
            loss=dict(type="mmpretrain.CrossEntropyLoss"),
        ),
        data_preprocessor=dict(type="mmpretrain.ClsDataPreprocessor", mean=[0, 0, 0], std=[255, 255, 255]),
    )


def segmentor(width: int = 4, auxiliary: bool = False) -> dict:
    head = dict(type="mmseg.FCNHead", channels=4, num_classes=3, dropout_ratio=0.5)
    model = dict(
        type="mmseg.EncoderDecoder",
        data_preprocessor=dict(type="mmseg.SegDataPreProcessor", size=(16, 16)),
        backbone=dict(type="mmseg.ResNetV1c", depth=18, base_channels=width, stem_channels=width),
        decode_head=dict(head, in_channels=8 * width, in_index=3),
    )
    if auxiliary:
        model["auxiliary_head"] = dict(head, in_channels=4 * width, in_index=2)
    return model


def distiller(source: str = "head.fc", loss: str = "mmdist.DISTLoss") -> dict:
    recorders = dict(logits=dict(type="mmrazor.ModuleOutputs", source=source))
    return dict(
        type="mmrazor.ConfigurableDistiller",
        student_recorders=recorders,
        teacher_recorders=copy.deepcopy(recorders),
        distill_losses=dict(loss_dist=dict(type=loss)),
        loss_forward_mappings=dict(
            loss_dist=dict(
                logits_S=dict(recorder="logits", from_student=True),
                logits_T=dict(recorder="logits", from_student=False),
            )
        ),
    )


def algorithm(**changes) -> SingleTeacherDistill:
    cfg = dict(
        type="mmdist.SingleTeacherDistill",
        architecture=classifier(),
        teacher=classifier(8),
        distiller=distiller(),
        random_teacher="teacher_ckpt" not in changes,
    )
    return MODELS.build({**cfg, **changes})


def batch(size: int = 8) -> dict:
    from mmpretrain.structures import DataSample

    samples = [DataSample().set_gt_label(index % 3) for index in range(size)]
    return dict(
        inputs=[torch.randint(0, 256, (3, 16, 16), dtype=torch.uint8) for _ in range(size)], data_samples=samples
    )


def segmentor_batch(size: int = 2) -> dict:
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    samples = []
    for _ in range(size):
        sample = SegDataSample(metainfo=dict(img_shape=(16, 16), ori_shape=(16, 16), pad_shape=(16, 16)))
        sample.gt_sem_seg = PixelData(data=torch.randint(0, 3, (1, 16, 16)))
        samples.append(sample)
    return dict(
        inputs=[torch.randint(0, 256, (3, 16, 16), dtype=torch.uint8) for _ in range(size)], data_samples=samples
    )


def detector(width: int = 4, cascade: bool = False) -> dict:
    """Faster R-CNN, or Cascade R-CNN, of ResNet-18 and a pyramid of 16 channels; 5 classes."""
    from mmengine.config import Config

    name = "cascade-rcnn_r50_fpn" if cascade else "faster-rcnn_r50_fpn"
    model = Config.fromstring(f"_base_ = 'mmdet::_base_/models/{name}.py'", ".py").model
    model.update(_scope_="mmdet")
    backbone = dict(depth=18, base_channels=width, stem_channels=width, frozen_stages=-1, init_cfg=None)
    model["backbone"].update(backbone)
    model["neck"].update(in_channels=[width, 2 * width, 4 * width, 8 * width], out_channels=16)
    model["rpn_head"].update(in_channels=16, feat_channels=16)
    model["roi_head"]["bbox_roi_extractor"].update(out_channels=16)
    heads = model["roi_head"]["bbox_head"]
    for head in heads if cascade else [heads]:
        head.update(in_channels=16, fc_out_channels=32, num_classes=5)
    return model


def detector_batch(size: int = 2) -> dict:
    from mmdet.structures import DetDataSample
    from mmengine.structures import InstanceData

    samples = []
    for _ in range(size):
        sample = DetDataSample(metainfo=dict(img_shape=(64, 64), ori_shape=(64, 64), scale_factor=(1.0, 1.0)))
        boxes = torch.tensor([[4.0, 4.0, 30.0, 30.0], [20.0, 24.0, 60.0, 58.0]])
        sample.gt_instances = InstanceData(bboxes=boxes, labels=torch.tensor([1, 4]))
        samples.append(sample)
    pictures = [torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8) for _ in range(size)]
    return dict(inputs=pictures, data_samples=samples)


def feature_distiller(source: str = "neck", loss: str = "mmdist.ChannelRelationLoss") -> dict:
    """Features of the student, aligned, against the teacher's."""
    cfg = distiller(source, loss)
    cfg["connectors"] = dict(align=dict(type="mmdist.AlignConnector"))
    cfg["loss_forward_mappings"] = dict(
        loss_dist=dict(
            preds_S=dict(recorder="logits", from_student=True, connector="align"),
            preds_T=dict(recorder="logits", from_student=False),
        )
    )
    return cfg

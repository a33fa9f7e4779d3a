"""``mmdist.SDDHead`` on detectors: five versions of each region of a two-stage one, the levels of a dense one."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from helpers.tiny_models import algorithm, detector, detector_batch
from helpers.tiny_students import DETECTOR
from mmcv.ops import RoIAlign
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn

from mmdist.errors import MMDistError
from mmdist.functional import dkd_loss, kd_loss, pool_regions
from mmdist.models.heads import SDDHead
from mmdist.models.recorders import MethodRecorder

STRIDES = (4, 8, 16, 32)
BASE = dict(type="mmdist.DKDLoss", alpha=1.0, beta=0.25, tau=1.0)


def distiller(labels: str = "roi_head.bbox_head.loss_cls", base: dict = BASE) -> dict:
    recorder = dict(rois=dict(type="mmdist.Method", source="roi_head._bbox_forward", what="inputs"))
    return dict(
        type="mmrazor.ConfigurableDistiller",
        student_recorders=dict(recorder, labels=dict(type="mmdist.Module", source=labels, what="inputs")),
        teacher_recorders=recorder,
        connectors=dict(regions=dict(type="mmdist.SDDHead")),
        distill_losses=dict(loss_sdd=dict(type="mmdist.SDDLoss", base=base, complementary_weight=1.0)),
        loss_forward_mappings=dict(
            loss_sdd=dict(
                preds_S=dict(recorder="rois", from_student=True, connector="regions"),
                preds_T=dict(recorder="rois", from_student=False, connector="regions"),
                gt_labels=dict(recorder="labels", from_student=True, data_idx=1),
            )
        ),
    )


def two_stage(student: bool = False, teacher: bool = False) -> nn.Module:
    """Each of them a cascade or not."""
    labels = f"roi_head.bbox_head{'.0' if student else ''}.loss_cls"
    return algorithm(architecture=detector(4, student), teacher=detector(8, teacher), distiller=distiller(labels))


def losses(model: nn.Module) -> dict[str, Tensor]:
    return model(**model.data_preprocessor(copy.deepcopy(detector_batch()), training=True), mode="loss")


def first(part: nn.Module) -> nn.Module:
    return part[0] if isinstance(part, nn.ModuleList) else part


def align(pyramid: list[Tensor], rois: Tensor) -> Tensor:
    """Each region from the level that its size asks for, 14 x 14, as in the FPN paper."""
    regions = []
    for roi in rois:
        side = math.sqrt((roi[3] - roi[1]) * (roi[4] - roi[2]))
        level = min(max(math.floor(math.log2(side / 56 + 1e-6)), 0), len(STRIDES) - 1)
        regions.append(RoIAlign(14, 1 / STRIDES[level], 0)(pyramid[level], roi[None]))
    return torch.cat(regions)


def scores(model: nn.Module, pyramid: list[Tensor], rois: Tensor) -> list[Tensor]:
    """Of the five versions, one by one."""
    x = align(pyramid, rois)
    phases = [x[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1)]
    return [first(model.roi_head.bbox_head)(version)[0] for version in (sum(phases) / 4, *phases)]


@pytest.mark.parametrize("teacher", [False, True], ids=["faster teacher", "cascade teacher"])
@pytest.mark.parametrize("student", [False, True], ids=["faster student", "cascade student"])
def test_the_loss_is_the_mean_over_five_versions_of_the_students_regions(student, teacher):
    model = two_stage(student, teacher)
    pyramids, seen, rois = {}, {}, []
    for side in ("student", "teacher"):
        neck = getattr(model, side).neck
        neck.register_forward_hook(lambda module, args, output, side=side: pyramids.update({side: output}))
    head = model.student.roi_head
    first(head.bbox_roi_extractor).register_forward_hook(lambda module, args, output: rois.append(args[1]))
    first(head.bbox_head).loss_cls.register_forward_hook(lambda module, args, output: seen.update(labels=args[1]))
    found = losses(model)["distill.loss_sdd"]
    sides = [scores(getattr(model, side), pyramids[side], rois[0]) for side in ("student", "teacher")]
    assert sides[0][0].shape == (len(seen["labels"]), 6)
    assert (seen["labels"] == 5).any() and (seen["labels"] < 5).any()  # background, and objects
    each = [dkd_loss(s, t, seen["labels"], beta=0.25, tau=1.0) for s, t in zip(*sides, strict=True)]
    torch.testing.assert_close(found, sum(each) / 5, rtol=1e-4, atol=1e-6)
    found.backward()
    for part in (first(head.bbox_head).fc_cls.weight, model.student.backbone.conv1.weight):
        assert part.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in model.teacher.parameters())


def test_the_size_of_the_regions_is_only_doubled_for_a_moment():
    model = two_stage()
    losses(model)
    for side in (model.student, model.teacher):
        assert {layer.output_size for layer in side.roi_head.bbox_roi_extractor.roi_layers} == {(7, 7)}


def test_an_algorithm_with_regions_can_be_copied():
    model = two_stage()
    losses(model)
    copied = copy.deepcopy(model)
    torch.manual_seed(1)
    expected = losses(model)["distill.loss_sdd"]
    torch.manual_seed(1)
    torch.testing.assert_close(losses(copied)["distill.loss_sdd"], expected)


def test_another_record_of_a_two_stage_detector_is_answered_with_the_right_one():
    model = MODELS.build(detector())
    wanted = (
        r"mmdist.SDDHead = '{}': expected dict\(type='mmdist.Method', source='roi_head._bbox_forward', what='inputs'\)"
    )
    for source, what, kind in (("neck.forward", "outputs", "tuple"), ("roi_head._bbox_forward", "outputs", "dict")):
        recorder = MethodRecorder(source, what)
        recorder.initialize(model)
        with recorder, torch.no_grad():
            pyramid = model.extract_feat(torch.randn(1, 3, 64, 64))
            model.roi_head._bbox_forward(pyramid, torch.tensor([[0.0, 4, 4, 30, 30]]))
        with pytest.raises(MMDistError, match=wanted.format(kind)):
            SDDHead()(recorder.get_record_data())


def test_a_box_head_with_batch_norm_is_refused_where_it_would_learn_the_statistics_of_regions():
    cfg = detector()
    cfg["roi_head"]["bbox_head"].update(type="Shared4Conv1FCBBoxHead", conv_out_channels=8, norm_cfg=dict(type="BN"))
    plain = distiller()
    with pytest.raises(MMDistError, match=r"'Shared4Conv1FCBBoxHead': expected a head without batch norm"):
        losses(algorithm(architecture=cfg, teacher=detector(8), distiller=plain))
    model = algorithm(architecture=detector(), teacher=cfg, distiller=plain)
    assert losses(model)["distill.loss_sdd"].isfinite()  # a teacher's are frozen


def dense(width: int) -> dict:
    assigner = dict(type="MaxIoUAssigner", pos_iou_thr=0.5, neg_iou_thr=0.4, min_pos_iou=0, ignore_iof_thr=-1)
    train_cfg = dict(assigner=assigner, sampler=dict(type="PseudoSampler"), allowed_border=-1, pos_weight=-1)
    cfg = copy.deepcopy(DETECTOR)
    cfg["backbone"].update(base_channels=width, stem_channels=width)
    cfg["neck"].update(in_channels=[width, 2 * width, 4 * width, 8 * width])
    cfg["bbox_head"].update(num_classes=5)
    return dict(cfg, _scope_="mmdet", train_cfg=train_cfg)


def test_the_levels_of_a_dense_detector_are_pooled():
    recorders = dict(scores=dict(type="mmdist.Module", source="bbox_head.retina_cls"))
    loss = dict(
        type="mmdist.SDDLoss", base=dict(type="mmdist.KDLoss", activation="sigmoid"), split="agreement", loss_weight=2.0
    )
    cfg = dict(
        type="mmrazor.ConfigurableDistiller",
        student_recorders=recorders,
        teacher_recorders=recorders,
        connectors=dict(regions=dict(type="mmdist.SDDHead")),
        distill_losses={f"loss_sdd_{level}": loss for level in range(3)},
        loss_forward_mappings={
            f"loss_sdd_{level}": {
                name: dict(recorder="scores", from_student=side, record_idx=level, connector="regions")
                for name, side in (("preds_S", True), ("preds_T", False))
            }
            for level in range(3)
        },
    )
    with DefaultScope.overwrite_default_scope("mmdet"):
        model = algorithm(architecture=dense(4), teacher=dense(8), distiller=cfg)
    levels: dict[str, list[Tensor]] = dict(student=[], teacher=[])
    for side, kept in levels.items():
        layer = getattr(model, side).bbox_head.retina_cls
        nn.init.normal_(layer.weight)
        layer.register_forward_hook(lambda module, args, output, kept=kept: kept.append(output))
    found = losses(model)
    for level in range(3):
        student, teacher = (pool_regions(levels[side][level]) for side in levels)
        values = kd_loss(student, teacher, activation="sigmoid", reduction="none")
        differ = teacher.argmax(1) != teacher.argmax(1)[:, :1]
        assert differ.any()
        expected = 2 * torch.where(differ, 2 * values, values).mean()
        torch.testing.assert_close(found[f"distill.loss_sdd_{level}"], expected)

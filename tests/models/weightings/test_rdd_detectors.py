"""``mmdist.RDDWeighting`` on one-stage detectors, and on classifiers with many classes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers.tiny_architectures import ATSS, CLASSES, FOCAL, PSEUDO, QUALITY, SQUARES, STRIDES, boxes, detector
from helpers.tiny_models import batch, classifier
from helpers.tiny_models import detector as two_stage
from helpers.weighted_losses import LAST_OF_FIRST, SECOND, Call, at, losses_of, training, weighted
from torch import Tensor
from torch.nn.functional import logsigmoid, one_hot

from mmdist.errors import ConfigError
from mmdist.models.algorithms import SingleTeacherDistill
from mmdist.models.weightings.answers import Answers
from mmdist.models.weightings.targets import Target

THRESHOLD = 0.6
KINDS = ["RetinaNet", "FCOS", "GFL", "ATSS", "RTMDet"]
PATH = "bbox_head.loss_cls"


@pytest.fixture(autouse=True)
def _training() -> None:
    training()


def teacher_rows(model: SingleTeacherDistill, data: dict[str, Any]) -> list[Tensor]:
    """The teacher's scores, one row an anchor and one tensor a level, in float64."""
    with torch.no_grad():
        levels = model.teacher.bbox_head(model.teacher.extract_feat(data["inputs"]))[0]
    found = []
    for level in levels:
        count, channels, height, width = level.shape
        anchors = level.view(count, channels // CLASSES, CLASSES, height, width)
        found.append(anchors.permute(0, 3, 4, 1, 2).reshape(-1, CLASSES).double())
    return found


def label_score(logits: Tensor, label: Tensor) -> Tensor:
    """Of the label's class, or for the background of no class at all."""
    scores = logits.double().sigmoid()
    found = [float(row[y]) if y < len(row) else 1 - float(row.max()) for row, y in zip(scores, label, strict=True)]
    return torch.tensor(found, dtype=torch.float64)


def position_weight(student: Tensor, teacher: Tensor, label: Tensor, stage: int) -> Tensor:
    """Of each anchor: written out."""
    if stage == 1:
        return (teacher.sigmoid() * logsigmoid(teacher) + (-teacher).sigmoid() * logsigmoid(-teacher)).sum(1).exp()
    hard = label_score(student, label) <= THRESHOLD, label_score(teacher, label) <= THRESHOLD
    return (hard[0] != hard[1]).double()


def focal(logits: Tensor, label: Tensor) -> Tensor:
    """Focal loss of each anchor, summed over the classes; gamma 2, alpha 0.25."""
    p = logits.double().sigmoid()
    hit = one_hot(label, logits.shape[1] + 1)[:, :-1].double()
    yes, no = -logsigmoid(logits.double()), -logsigmoid(-logits.double())
    return (hit * 0.25 * (1 - p) ** 2 * yes + (1 - hit) * 0.75 * p**2 * no).sum(1)


def quality_focal(logits: Tensor, label: Tensor, quality: Tensor) -> Tensor:
    """Quality focal loss of each anchor, summed over the classes; beta 2."""
    p = logits.double().sigmoid()
    target = torch.zeros_like(p)
    positive = label < CLASSES
    target[positive, label[positive]] = quality[positive].double()
    entropy = -(target * logsigmoid(logits.double()) + (1 - target) * logsigmoid(-logits.double()))
    return ((target - p).abs() ** 2 * entropy).sum(1)


def each(call: Call) -> tuple[Tensor, Tensor]:
    """Labels of the anchors, and their plain losses with the head's own weights."""
    soft = isinstance(call.label, tuple)
    label = call.label[0] if soft else call.label
    values = quality_focal(call.logits, *call.label) if soft else focal(call.logits, label)
    return label, values if call.weight is None else values * call.weight


@pytest.mark.parametrize("blend", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_every_anchor_is_weighed_and_the_divisor_stays(kind: str, blend: bool) -> None:
    model, data = weighted(detector(kind), detector(kind, 8), threshold=THRESHOLD, blend=blend), boxes()
    for iteration in (LAST_OF_FIRST, 55) if blend else (LAST_OF_FIRST, SECOND):
        at(iteration)
        found, calls, prepared = losses_of(model, data)
        calls = [call for call in calls if call.path == PATH]
        assert len(calls) == (1 if kind == "FCOS" else len(STRIDES))
        rows = teacher_rows(model, prepared)
        rows = [torch.cat(rows)] if kind == "FCOS" else rows
        weights, labels = [], []
        for call, teacher in zip(calls, rows, strict=True):
            label, values = each(call)
            first = position_weight(call.logits, teacher, label, 1)
            second = position_weight(call.logits, teacher, label, 2) if iteration > LAST_OF_FIRST else first
            weight = (first + second) / 2 if iteration == 55 else second
            expected = (weight * values).sum() / float(call.divisor)
            torch.testing.assert_close(call.value.double(), expected, rtol=1e-4, atol=1e-6)
            counted = torch.ones_like(weight) if call.weight is None else call.weight
            weights.append(weight[counted > 0])
            labels.append(label)
        assert (torch.cat(labels) < CLASSES).any()  # something is an object
        every = torch.cat(weights)
        assert 0 < every.mean() < 1
        torch.testing.assert_close(found["rdd.weight"].double(), every.mean(), rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(found["rdd.kept"].double(), (every > 0).double().mean(), rtol=1e-4, atol=1e-6)
        assert found["rdd.stage"] == 1 + (iteration > LAST_OF_FIRST)


def test_the_classes_weigh_in_the_second_stage_and_the_background_weighs_one() -> None:
    values = [0.5, 2.0, 3.0]
    model = weighted(detector("FCOS"), detector("FCOS", 8), threshold=THRESHOLD, class_weight=values)
    at(SECOND)
    _, (call, *_), data = losses_of(model, boxes())
    label, each_ = each(call)
    weight = position_weight(call.logits, torch.cat(teacher_rows(model, data)), label, 2)
    expected = (weight * torch.tensor([*values, 1.0])[label] * each_).sum() / float(call.divisor)
    torch.testing.assert_close(call.value.double(), expected, rtol=1e-4, atol=1e-6)


def test_a_head_with_a_softmax_has_its_background_among_the_classes() -> None:
    loss = dict(type="mmdet.CrossEntropyLoss")
    model = weighted(detector("RetinaNet", loss_cls=loss), detector("RetinaNet", 8, loss_cls=loss), threshold=THRESHOLD)
    at(SECOND)
    _, calls, data = losses_of(model, boxes())
    with torch.no_grad():
        levels = model.teacher.bbox_head(model.teacher.extract_feat(data["inputs"]))[0]
    for call, level in zip(calls, levels, strict=False):
        sides = call.logits.double(), level.permute(0, 2, 3, 1).reshape(-1, CLASSES + 1).double()
        own, other = (z.log_softmax(1).gather(1, call.label[:, None])[:, 0] for z in sides)
        kept = (own.exp() <= THRESHOLD) != (other.exp() <= THRESHOLD)
        expected = (kept * call.weight * -own).sum() / float(call.divisor)
        torch.testing.assert_close(call.value.double(), expected, rtol=1e-4, atol=1e-6)


MORE = dict(type="mmdet.AnchorGenerator", ratios=[0.5, 1.0, 2.0], scales=[4], strides=STRIDES)


@pytest.mark.parametrize(
    "anchors",
    [MORE, dict(SQUARES, scales=[8]), dict(SQUARES, strides=[8, 16, 32, 64, 128])],
    ids=lambda a: str(a)[-40:],
)
def test_a_teacher_of_other_anchors_is_refused_when_the_model_is_built(anchors: dict) -> None:
    with pytest.raises(ConfigError, match=r"model.teacher.bbox_head.anchor_generator = .*the student's anchors"):
        weighted(detector("RetinaNet"), detector("RetinaNet", 8, anchor_generator=anchors))


@pytest.mark.parametrize(("student", "teacher"), [("RetinaNet", "FCOS"), ("FCOS", "RetinaNet")])
def test_an_anchor_is_not_held_against_another_position(student: str, teacher: str) -> None:
    own, other = detector(student), detector(teacher, 8)
    for side in (own, other):
        if side["type"] == "mmdet.RetinaNet":
            side["bbox_head"]["anchor_generator"] = MORE
    with pytest.raises(
        ConfigError, match=r"model.teacher: bbox_head.forward = .*the same classes and, in detectors, an"
    ):
        losses_of(weighted(own, other), boxes())


def test_a_loss_of_the_positive_anchors_alone_is_refused() -> None:
    loss = dict(type="mmdet.CrossEntropyLoss", use_sigmoid=True, reduction="sum")
    head = dict(type="mmdet.YOLOXHead", num_classes=CLASSES, in_channels=4, feat_channels=4, stacked_convs=1)
    yolox = dict(detector("FCOS"), type="mmdet.SingleStageDetector")
    yolox["bbox_head"] = dict(head, strides=STRIDES, use_depthwise=False, loss_cls=loss)
    yolox["train_cfg"] = dict(assigner=dict(type="mmdet.SimOTAAssigner", center_radius=2.5))
    with pytest.raises(ConfigError, match=r"model.architecture.bbox_head.loss_cls.*order of the levels or of the im"):
        losses_of(weighted(yolox, dict(yolox)), boxes())


IOU, CENTRE = dict(type="mmdet.GIoULoss"), dict(type="mmdet.CrossEntropyLoss", use_sigmoid=True)
ANY_IOU = dict(PSEUDO, assigner=dict(type="mmdet.MaxIoUAssigner", pos_iou_thr=0.1, neg_iou_thr=0.1, min_pos_iou=0))


def like_atss(kind: str, width: int = 4, **head: Any) -> dict[str, Any]:
    """ATSS with the head of a relative of it."""
    model = detector("ATSS", width, **{"type": f"mmdet.{kind}Head", **head})
    return dict(
        model, type="mmdet.SingleStageDetector", train_cfg=ANY_IOU if kind in ("PAA", "FreeAnchorRetina") else ATSS
    )


def paa(width: int = 4) -> dict[str, Any]:
    return like_atss("PAA", width, loss_bbox=IOU, loss_centerness=CENTRE)


def in_images(levels: list[Tensor], images: int) -> Tensor:
    """Rows of levels, (N, H, W, A) in each, as image after image."""
    return torch.cat([level.view(images, -1, CLASSES) for level in levels], 1).flatten(0, 1)


@pytest.mark.parametrize("iteration", [LAST_OF_FIRST, SECOND])
def test_paa_whose_loss_takes_image_after_image_gets_the_weights_in_that_order(iteration: int) -> None:
    pytest.importorskip("sklearn")
    model, data = weighted(paa(), paa(8), threshold=THRESHOLD), boxes()
    at(iteration)
    _, calls, prepared = losses_of(model, data)
    (call,) = [call for call in calls if call.path == PATH]
    label, values = each(call)
    rows = teacher_rows(model, prepared)
    value = {}
    for name, teacher in dict(images=in_images(rows, 2), levels=torch.cat(rows)).items():
        weight = position_weight(call.logits, teacher, label, 1 if iteration == LAST_OF_FIRST else 2)
        value[name] = (weight * values).sum() / float(call.divisor)
    torch.testing.assert_close(call.value.double(), value["images"], rtol=1e-4, atol=1e-6)
    assert not torch.isclose(value["images"], value["levels"], rtol=1e-3)


@pytest.mark.parametrize(("kind", "images"), [("PAA", 2), ("FCOS", 2), ("RetinaNet", 2), ("YOLOF", 2), ("PAA", 1)])
def test_a_student_that_is_its_own_teacher_meets_its_own_rows(
    kind: str, images: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "PAA":
        pytest.importorskip("sklearn")
    config = {"PAA": paa, "YOLOF": yolof}.get(kind, lambda: detector(kind))()
    model = weighted(config, config)
    model.student.load_state_dict(model.teacher.state_dict())
    compared: list[tuple[Tensor, Tensor]] = []
    own = Answers.logits

    def noted(self: Answers, target: Target, name: str, student: Tensor, *order: Any) -> Tensor:
        found = own(self, target, name, student, *order)
        compared.append((student.detach(), found))
        return found

    monkeypatch.setattr(Answers, "logits", noted)
    model.student.eval()  # the same statistics on both sides
    for size in (images, 2):  # an order that one image cannot tell is looked for again
        losses_of(model, boxes(size=size))
    assert compared
    for student, teacher in compared:
        torch.testing.assert_close(teacher, student, rtol=1e-3, atol=1e-3)
        assert student.std() > 0


def yolof() -> dict[str, Any]:
    """Its class scores are those of a layer and of what another layer says of objects."""
    model = detector("RetinaNet")
    generator = dict(type="mmdet.AnchorGenerator", ratios=[1.0], scales=[1, 4], strides=[8])
    head = dict(type="mmdet.YOLOFHead", num_classes=CLASSES, in_channels=4, anchor_generator=generator, loss_cls=FOCAL)
    coder = dict(type="mmdet.DeltaXYWHBBoxCoder", add_ctr_clamp=True, ctr_clamp=32)
    assigner = dict(type="mmdet.UniformAssigner", pos_ignore_thr=0.15, neg_ignore_thr=0.7)
    model["backbone"] = dict(model["backbone"], out_indices=(1,))
    model["neck"] = dict(type="mmdet.ChannelMapper", in_channels=[8], out_channels=4, kernel_size=1)
    model["bbox_head"] = dict(head, num_cls_convs=1, num_reg_convs=1, bbox_coder=coder, loss_bbox=IOU)
    return dict(model, type="mmdet.YOLOF", train_cfg=dict(PSEUDO, assigner=assigner))


def test_a_head_that_never_calls_its_loss_is_refused() -> None:
    free = dict(type="mmdet.FreeAnchorRetinaHead", anchor_generator=SQUARES, loss_bbox=dict(type="mmdet.SmoothL1Loss"))
    free = dict(detector("RetinaNet", **free), train_cfg=ANY_IOU)
    with pytest.raises(ConfigError, match=r"bbox_head.loss_cls = 'never called'"):
        losses_of(weighted(free, free), boxes())


def test_losses_and_teachers_of_probabilities_are_refused() -> None:
    quality = dict(QUALITY, activated=True)
    tood = like_atss("TOOD", loss_cls=quality, initial_loss_cls=dict(FOCAL, activated=True), num_dcn=0)
    tood["train_cfg"] = dict(ATSS, initial_assigner=ATSS["assigner"], initial_epoch=4, alpha=1, beta=6)
    with pytest.raises(ConfigError, match=r"model.architecture.bbox_head.loss_cls = 'QualityFocalLoss'.*logits"):
        weighted(tood, tood)
    with pytest.raises(ConfigError, match=r"model.teacher.bbox_head = 'TOODHead'.*logits"):
        weighted(detector("GFL"), tood)


def test_margins_that_a_classifier_adds_for_its_loss_are_refused() -> None:
    model = classifier()
    head = dict(type="mmpretrain.ArcFaceClsHead", num_classes=5, in_channels=model["head"]["in_channels"])
    model["head"] = dict(head, loss=dict(type="mmpretrain.CrossEntropyLoss"))
    with pytest.raises(ConfigError, match=r"model.architecture.head.loss_module"):
        losses_of(weighted(model, dict(model)), batch())


def test_a_two_stage_detector_is_refused_with_the_reason() -> None:
    with pytest.raises(ConfigError, match=r"model.weighting = 'FasterRCNN'.*regions comes after the student's pass"):
        weighted(two_stage(), two_stage(8))


def test_class_255_of_a_classifier_is_a_class_like_any_other() -> None:
    student, teacher = classifier(), classifier(8)
    for side in (student, teacher):
        side["head"]["num_classes"] = 300
    model, data = weighted(student, teacher, mode="student", threshold=0.9), batch()
    for sample in data["data_samples"]:
        sample.set_gt_label(255)
    at(SECOND)
    found, (call,), _ = losses_of(model, data)
    p = call.logits.double().softmax(1)[:, 255]
    assert (p <= 0.9).all()
    assert found["rdd.kept"] == 1
    torch.testing.assert_close(call.value.double(), -p.log().mean(), rtol=1e-4, atol=1e-6)


def test_label_255_of_a_detector_is_an_object_like_any_other() -> None:
    student, teacher = (detector("FCOS", width, num_classes=300) for width in (4, 8))
    model, data = weighted(student, teacher, mode="student", threshold=0.9), boxes()
    for sample in data["data_samples"]:
        sample.gt_instances.labels[:] = 255
    at(SECOND)
    _, (call, *_), _ = losses_of(model, data)
    kept = label_score(call.logits, call.label) <= 0.9
    assert kept[call.label == 255].any()
    expected = (kept * focal(call.logits, call.label)).sum() / float(call.divisor)
    torch.testing.assert_close(call.value.double(), expected, rtol=1e-4, atol=1e-6)


def test_focal_losses_of_this_file_are_those_of_the_library() -> None:
    from mmdet.registry import MODELS

    logits, label = torch.randn(6, CLASSES), torch.tensor([0, 1, 2, 3, 3, 1])
    module = MODELS.build(dict(FOCAL, reduction="none"))
    torch.testing.assert_close(module(logits, label).double().sum(1), focal(logits, label), rtol=1e-4, atol=1e-6)

"""What is recorded is what the model decides with: compared with its own predictions, on two pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.shrunk_configs import write_shrunk
from helpers.tiny_architectures import ATSS, FOCAL, QUALITY, ddrnet, detector, resnet, segmenter
from helpers.tiny_pairs import model_config, write_config
from torch import Tensor
from torch.nn.functional import interpolate

from mmdist.engine.new.dry import dry_run
from mmdist.engine.new.load import load_pair
from mmdist.engine.new.methods import METHODS, wire
from mmdist.engine.new.pair import Pair
from mmdist.engine.new.passes import given, recorded
from mmdist.engine.new.sides import Side
from mmdist.errors import ConfigError
from mmdist.models.algorithms.passes import forward_rois
from mmdist.models.weightings.targets import auxiliary_source, find_targets

KNET = "mmseg::knet/knet-s3_r50-d8_fcn_8xb2-adamw-80k_ade20k-512x512.py"
STDC = "mmseg::stdc/stdc1_4xb12-80k_cityscapes-512x1024.py"
SCNET = "mmdet::scnet/scnet_r50_fpn_1x_coco.py"
HTC = "mmdet::htc/htc_r50_fpn_1x_coco.py"
WHOLE = dict(mode="whole")
CONDINST = "mmdet::condinst/condinst_r50_fpn_ms-poly-90k_coco_instance.py"


def pair_of(folder: Path, student: Any, teacher: Any = None, *, kind: str = "segmentor", side: int = 64) -> Pair:
    """Of models, or of the libraries' configs made small."""
    paths = []
    for name, source in (("student", student), ("teacher", teacher or student)):
        write: Callable[..., Path] = write_config if isinstance(source, dict) else write_shrunk
        path = write(folder, kind, name, model=source) if isinstance(source, dict) else write(folder, source, name)
        paths.append(str(path))
    with dry_run():
        return load_pair(*paths, (side, side))


def class_map(side: Side, pair: Pair) -> Tensor:
    """What a segmenter's predictions are made of, at the size of the picture."""
    side.model.eval()
    with torch.no_grad():
        found = side.model(**given(pair.batch), mode="predict")
    return torch.stack([sample.seg_logits.data for sample in found])


def recorded_map(side: Side, pair: Pair) -> Tensor:
    (found,) = recorded(side, pair.batch, side.logits)
    return interpolate(found, pair.tried, mode="bilinear", align_corners=side.model.decode_head.align_corners)


def ham() -> dict[str, Any]:
    """A head that draws random bases in each pass."""
    head = dict(type="mmseg.LightHamHead", in_channels=[8, 16, 32], in_index=[1, 2, 3], channels=8, ham_channels=8)
    kwargs = dict(MD_S=1, MD_R=4, train_steps=2, eval_steps=3, inv_t=100, rand_init=True)
    return segmenter(resnet(4), dict(head, num_classes=3, dropout_ratio=0.1, ham_kwargs=kwargs), 64, test_cfg=WHOLE)


@pytest.mark.parametrize(
    "source", [KNET, STDC, dict(ddrnet(), test_cfg=WHOLE), ham()], ids=["knet", "stdc", "ddrnet", "ham"]
)
def test_the_scores_of_a_segmenter_are_those_it_predicts_from(source: Any, tmp_path: Path) -> None:
    pair = pair_of(tmp_path, source)
    for side in (pair.student, pair.teacher):
        assert side.logits
        torch.manual_seed(0)
        expected = class_map(side, pair)
        torch.testing.assert_close(recorded_map(side, pair), expected, rtol=1e-3, atol=1e-4)
        assert expected.std() > 1e-3


def test_knets_first_stage_does_not_answer_for_its_last(tmp_path: Path) -> None:
    pair = pair_of(tmp_path, KNET)
    with torch.no_grad():
        first = pair.student.model.decode_head.kernel_generate_head.forward(
            pair.student.model.extract_feat(pair.batch["inputs"])
        )
    assert all(
        "kernel_generate_head" not in spot.source for side in (pair.student, pair.teacher) for spot in side.logits
    )
    own = recorded(pair.student, pair.batch, pair.student.logits)[0]
    assert not torch.allclose(own, first, atol=1e-3)


def test_stdcs_edges_are_no_second_opinion_about_two_classes(tmp_path: Path) -> None:
    files = [str(write_shrunk(tmp_path, STDC, name, 2)) for name in ("student", "teacher")]
    with dry_run():
        pair = load_pair(*files, (64, 64))
        losses = find_targets(pair.student.model, pair.teacher.model, None, None)
    for side in (pair.student, pair.teacher):
        assert [spot.source for spot in side.auxiliary] == ["auxiliary_head.1.conv_seg"]
    assert auxiliary_source(pair.teacher.model) == "auxiliary_head.1.forward"
    assert [target.head for target in losses] == ["decode_head", "auxiliary_head.0", "auxiliary_head.1"]


def tood() -> dict[str, Any]:
    first = dict(FOCAL, activated=True)
    head = dict(type="mmdet.TOODHead", loss_cls=dict(QUALITY, activated=True), initial_loss_cls=first)
    model = detector("ATSS", **head, feat_channels=16)
    train = dict(ATSS, initial_assigner=ATSS["assigner"], initial_epoch=4, alpha=1, beta=6)
    return dict(model, type="mmdet.TOOD", train_cfg=train, test_cfg=dict(nms_pre=10, score_thr=0.1))


def test_a_detector_that_decides_with_two_layers_is_not_compared_by_one(tmp_path: Path) -> None:
    pair = pair_of(tmp_path, tood(), kind="retina")
    with dry_run(), pytest.raises(ConfigError, match=r"'pkd', 'mimic'; .*tood_cls is not what TOODHead decides with"):
        wire(pair, "dist")


def yolof() -> dict[str, Any]:
    model = detector("RetinaNet")
    generator = dict(type="mmdet.AnchorGenerator", ratios=[1.0], scales=[1, 4], strides=[8])
    coder = dict(type="mmdet.DeltaXYWHBBoxCoder", add_ctr_clamp=True, ctr_clamp=32)
    head = dict(type="mmdet.YOLOFHead", num_classes=3, in_channels=4, anchor_generator=generator, loss_cls=FOCAL)
    model["backbone"] = dict(model["backbone"], out_indices=(1,))
    model["neck"] = dict(type="mmdet.ChannelMapper", in_channels=[8], out_channels=4, kernel_size=1)
    loss = dict(loss_bbox=dict(type="mmdet.GIoULoss"))
    model["bbox_head"] = dict(head, num_cls_convs=1, num_reg_convs=1, bbox_coder=coder, **loss)
    assigner = dict(type="mmdet.UniformAssigner", pos_ignore_thr=0.15, neg_ignore_thr=0.7)
    train = dict(ATSS, assigner=assigner)
    return dict(model, type="mmdet.YOLOF", train_cfg=train, test_cfg=dict(nms_pre=10, score_thr=0.1))


def test_where_a_layer_is_half_of_the_decision_what_the_head_returns_is_recorded(tmp_path: Path) -> None:
    pair = pair_of(tmp_path, yolof(), kind="retina")
    for side in (pair.student, pair.teacher):
        assert [spot.source for spot in side.logits] == ["bbox_head.forward_single"]
        (found,) = recorded(side, pair.batch, side.logits)
        with torch.no_grad():
            (expected,) = side.model.bbox_head(side.model.extract_feat(pair.batch["inputs"]))[0]
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("source", [SCNET, HTC], ids=["scnet", "htc"])
def test_box_heads_that_see_the_whole_picture_do_so_as_teachers_too(source: str, tmp_path: Path) -> None:
    pair = pair_of(tmp_path, source)
    assert "sdd" not in {method for method in METHODS if not METHODS[method].why_not(pair)}
    with dry_run():
        wiring = wire(pair, "kd")
    assert any("first stage" in note for note in wiring.notes)
    head, model = pair.teacher.model.roi_head, pair.teacher.model
    rois = torch.tensor([[0.0, 4, 4, 40, 40], [1.0, 8, 2, 60, 30]])
    with torch.no_grad():
        features = model.extract_feat(pair.batch["inputs"])
        context = {"semantic_feat": head.semantic_head(features)[1]}
        if source == SCNET:
            context["glbctx_feat"] = head.glbctx_head(features)[1]
        expected = head._bbox_forward(0, features, rois, **context)["cls_score"]
        heard: list[Tensor] = []
        handle = head.bbox_head[0].fc_cls.register_forward_hook(lambda module, args, output: heard.append(output))
        forward_rois(model, features, rois)
        handle.remove()
    torch.testing.assert_close(heard[0], expected)


def test_a_head_that_runs_twice_has_each_level_once(tmp_path: Path) -> None:
    pair = pair_of(tmp_path, CONDINST)
    assert [spot.record_idx for spot in pair.teacher.logits] == [0, 1, 2, 3, 4]


def test_heads_of_one_meaning_and_the_same_anchors_are_compared(tmp_path: Path) -> None:
    pair = pair_of(tmp_path, detector("GFL"), detector("ATSS", 8), kind="retina")
    assert not METHODS["dist"].why_not(pair)
    yolox = dict(type="mmdet.YOLOXHead", num_classes=3, in_channels=4, feat_channels=4, stacked_convs=1)
    yolox = dict(detector("FCOS"), type="mmdet.YOLOX", bbox_head=dict(yolox, strides=[4, 8, 16, 32, 64]))
    yolox["train_cfg"] = dict(assigner=dict(type="mmdet.SimOTAAssigner", center_radius=2.5))
    points = dict(type="mmdet.MlvlPointGenerator", offset=0, strides=[4, 8, 16, 32, 64])
    other = pair_of(tmp_path, yolox, detector("RTMDet", 8, anchor_generator=points), kind="retina")
    assert "mean different things" in METHODS["dist"].why_not(other)


def test_a_classifier_whose_backbone_classifies_is_recorded_at_its_head(tmp_path: Path) -> None:
    model = dict(type="ImageClassifier", backbone=dict(type="LeNet5", num_classes=10), neck=None)
    model |= dict(
        head=dict(type="ClsHead"), data_preprocessor=dict(type="ClsDataPreprocessor", mean=[33.0], std=[78.0])
    )
    pair = pair_of(tmp_path, model, kind="classifier", side=32)
    assert [spot.source for spot in pair.student.logits] == ["head"] and pair.student.classes == 10
    (found,) = recorded(pair.teacher, pair.batch, pair.teacher.logits)
    with torch.no_grad():
        predicted = pair.teacher.model(**given(pair.batch), mode="predict")
    torch.testing.assert_close(found.softmax(1), torch.stack([sample.pred_score for sample in predicted]))


def test_margins_of_the_training_are_not_what_a_classifier_decides_with(tmp_path: Path) -> None:
    model = model_config("classifier")
    model["head"] = dict(type="ArcFaceClsHead", num_classes=3, in_channels=32)
    pair = pair_of(tmp_path, model, kind="classifier", side=32)
    assert "is not what ArcFaceClsHead decides with" in METHODS["kd"].why_not(pair)


def test_rdd_is_refused_where_the_loss_that_it_would_weigh_is_never_called(tmp_path: Path) -> None:
    iou = dict(type="mmdet.MaxIoUAssigner", pos_iou_thr=0.5, neg_iou_thr=0.4, min_pos_iou=0)
    model = detector("RetinaNet", type="mmdet.FreeAnchorRetinaHead", loss_bbox=dict(type="mmdet.SmoothL1Loss"))
    model = dict(model, train_cfg=dict(ATSS, assigner=iou), test_cfg=dict(nms_pre=10, score_thr=0.1))
    pair = pair_of(tmp_path, model, kind="retina")
    assert "never called" in METHODS["rdd"].why_not(pair)
    assert not METHODS["kd"].why_not(pair)

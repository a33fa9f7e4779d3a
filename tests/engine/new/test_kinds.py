"""Models of many kinds: what suits them, with which settings, and that what is written trains."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.shrunk_configs import write_shrunk
from helpers.tiny_pairs import model_config, write_config
from mmengine.config import Config

from mmdist.engine.modules.batch import random_batch
from mmdist.engine.new import new_config
from mmdist.engine.new.dry import dry_run
from mmdist.engine.new.load import load_pair
from mmdist.engine.new.methods import METHODS, wire
from mmdist.engine.new.pair import Pair
from mmdist.errors import ConfigError, MMDistError
from mmdist.models.input_channels import input_channels

SIDE = 64
SIGMOID = dict(type="CrossEntropyLoss", use_sigmoid=True)


def segmentor(**head: Any) -> dict[str, Any]:
    model = model_config("segmentor")
    model["decode_head"].update(head)
    model["auxiliary_head"].update(head)
    return model


def classifier(**head: Any) -> dict[str, Any]:
    model = model_config("classifier")
    model["head"] = dict(num_classes=3, in_channels=32, **head)
    return model


def pair_of(folder: Path, kind: str, model: dict[str, Any], teacher: dict[str, Any] | None = None) -> Pair:
    files = [write_config(folder, kind, n, model=m) for n, m in (("student", model), ("teacher", teacher or model))]
    with dry_run():
        return load_pair(*map(str, files), (SIDE, SIDE))


def suiting(pair: Pair) -> set[str]:
    with dry_run():
        return {name for name, method in METHODS.items() if not method.why_not(pair)}


def written(folder: Path, kind: str, model: dict[str, Any], method: str) -> tuple[Config, dict[str, float]]:
    """What is written, and the losses of its check."""
    plain = str(write_config(folder, kind, "plain", model=model))
    out = folder / "written.py"
    losses = new_config(plain, plain, method, str(out), size=(SIDE, SIDE), force=True).losses
    return Config.fromfile(out), losses


@pytest.mark.parametrize("method", ["kd", "dist", "rdd", "cwd", "mimic"])
def test_a_segmenter_of_a_single_score_gets_sigmoid_losses(method: str, tmp_path: Path) -> None:
    model = segmentor(out_channels=1, num_classes=2, threshold=0.3, loss_decode=SIGMOID)
    cfg, losses = written(tmp_path, "segmentor", model, method)
    assert all(value == value for value in losses.values())
    found = cfg.model.distiller.distill_losses
    if method in ("kd", "rdd"):
        assert found.loss_kd.activation == "sigmoid"
    if method == "dist":
        assert (found.loss_dist.activation, found.loss_dist.inter_loss_weight) == ("sigmoid", 0)
        assert losses["distill.loss_dist"] > 0


def test_methods_of_competing_classes_do_not_suit_a_single_score(tmp_path: Path) -> None:
    pair = pair_of(tmp_path, "segmentor", segmentor(out_channels=1, num_classes=2, threshold=0.3, loss_decode=SIGMOID))
    assert not suiting(pair) & {"dkd", "nkd", "dckd", "sdd"}
    assert "a single score" in METHODS["dkd"].why_not(pair)


def test_classes_that_do_not_compete_are_compared_by_sigmoid(tmp_path: Path) -> None:
    several = pair_of(tmp_path, "segmentor", segmentor(loss_decode=SIGMOID))
    multi = classifier(type="MultiLabelLinearClsHead", loss=SIGMOID)
    labels = pair_of(tmp_path, "classifier", multi)
    for pair, inter in ((several, 1.0), (labels, 0.0)):
        for method in ("kd", "dist"):
            assert wire(pair, method).losses[0].config["activation"] == "sigmoid"
        assert wire(pair, "dist").losses[0].config["inter_loss_weight"] == inter
        assert "by itself (sigmoid)" in METHODS["dkd"].why_not(pair)
    other = pair_of(tmp_path, "segmentor", segmentor(loss_decode=SIGMOID), segmentor())
    assert "compete (softmax)" in METHODS["kd"].why_not(other)


@pytest.mark.parametrize(("classes", "tau"), [(2, 4.0), (3, 1.0)])
def test_two_classes_get_the_larger_tau(classes: int, tau: float, tmp_path: Path) -> None:
    pair = pair_of(tmp_path, "segmentor", segmentor(num_classes=classes))
    assert wire(pair, "dist").losses[0].config["tau"] == tau


def test_a_classifier_with_a_loss_of_each_class_is_refused_for_rdd_for_that_reason(tmp_path: Path) -> None:
    pair = pair_of(tmp_path, "classifier", classifier(type="LinearClsHead", loss=SIGMOID))
    assert {"kd", "dist", "mimic"} <= suiting(pair)
    assert "use_sigmoid=False" in METHODS["rdd"].why_not(pair)


def test_rdd_weighs_the_losses_that_take_a_weight(tmp_path: Path) -> None:
    losses = [dict(type="CrossEntropyLoss"), dict(type="DiceLoss")]
    cfg, _ = written(tmp_path, "segmentor", segmentor(loss_decode=losses), "rdd")
    assert cfg.model.weighting.losses == ["decode_head.loss_decode.0", "auxiliary_head.loss_decode.0"]
    pair = pair_of(tmp_path, "segmentor", segmentor(loss_decode=dict(type="DiceLoss")))
    assert "DiceLoss" in METHODS["rdd"].why_not(pair)


@pytest.mark.parametrize("name", ["segmentor", "classifier", "retina"])
def test_pictures_of_four_channels_without_a_mean(name: str, tmp_path: Path) -> None:
    model = model_config(name)
    model["backbone"]["in_channels"] = 4
    kept = ("type", "size", "pad_size_divisor")
    given = model.get("data_preprocessor") or dict(type="ClsDataPreprocessor")
    model["data_preprocessor"] = {key: value for key, value in given.items() if key in kept}
    _, losses = written(tmp_path, name, model, "mimic")
    assert "distill.loss_mimic" in losses or "distill.loss_mimic_0" in losses


def test_the_channels_of_a_folding_stem_are_counted_unfolded() -> None:
    from mmdet.models import CSPDarknet

    assert input_channels(CSPDarknet(arch="P5", deepen_factor=0.1, widen_factor=0.1)) == 3


POINTREND = "mmseg::point_rend/pointrend_r50_4xb2-80k_cityscapes-512x1024.py"
SOLO = "mmdet::solo/solo_r50_fpn_1x_coco.py"


def test_a_segmenter_of_points_gives_its_features(tmp_path: Path) -> None:
    plain = str(write_shrunk(tmp_path, POINTREND, "plain"))
    found = new_config(plain, plain, "mimic", str(tmp_path / "out.py"), size=(64, 64))
    assert "distill.loss_mimic" in found.losses
    with pytest.raises(ConfigError, match=r"'mimic'; .*PointHead returns one map"):
        new_config(plain, plain, "kd", str(tmp_path / "other.py"), size=(64, 64))


def rtmdet(name: str = "rtmdet-ins_tiny_8xb32-300e_coco") -> dict[str, Any]:
    cfg = Config.fromstring(f"_base_ = 'mmdet::rtmdet/{name}.py'", ".py").to_dict()["model"]
    cfg["backbone"].update(deepen_factor=0.167, widen_factor=0.125, init_cfg=None, norm_cfg=dict(type="BN"))
    cfg["neck"].update(in_channels=[32, 64, 128], out_channels=32, num_csp_blocks=1, norm_cfg=dict(type="BN"))
    cfg["bbox_head"].update(num_classes=3, in_channels=32, feat_channels=32, norm_cfg=dict(type="BN"))
    return cfg


def test_instances_with_masks_are_distilled(tmp_path: Path) -> None:
    _, losses = written(tmp_path, "retina", rtmdet(), "dist")
    assert losses["student.loss_mask"] > 0


def test_the_same_detector_without_masks_is_distilled(tmp_path: Path) -> None:
    _, losses = written(tmp_path, "retina", rtmdet("rtmdet_tiny_8xb32-300e_coco"), "dist")
    assert losses["student.loss_bbox"] > 0


def test_the_last_layer_before_a_classifier_is_on_the_main_path(tmp_path: Path) -> None:
    before = {
        "mmpretrain::seresnet/seresnet50_8xb32_in1k.py": "backbone.layer4.2.conv3",
        "mmseg::encnet/encnet_r50-d8_4xb2-40k_cityscapes-512x1024.py": "decode_head.enc_module.encoding_project.conv",
        "mmseg::danet/danet_r50-d8_4xb2-40k_cityscapes-512x1024.py": "decode_head.cam_out_conv.conv",
    }
    for source, layer in before.items():
        plain = str(write_shrunk(tmp_path, source, "plain"))
        with dry_run():
            pair = load_pair(plain, plain, (64, 64))
        if "encnet" in source:  # whose last map comes from a gate, after this layer and fusions
            assert not any(".fc." in name or "se_layer" in name for name in pair.teacher.last)
        else:
            assert pair.teacher.last[0] == layer


REFUSED = {
    "mmdet::soft_teacher/soft-teacher_faster-rcnn_r50-caffe_fpn_180k_semi-0.1-coco.py": "a model by itself",
    "mmseg::upernet/upernet_r18_4xb4-80k_ade20k-512x512.py": r"model.data_preprocessor.size = None",
    "mmdet::ld/ld_r18-gflv1-r101_fpn_1x_coco.py": "cannot be built",
}


@pytest.mark.parametrize(("source", "reason"), REFUSED.items(), ids=["soft-teacher", "no-size", "ld"])
def test_what_cannot_be_a_student_is_answered_in_a_line(source: str, reason: str, tmp_path: Path) -> None:
    plain = str(write_shrunk(tmp_path, source, "plain"))
    with pytest.raises(MMDistError, match=reason) as caught:
        new_config(plain, plain, "kd", str(tmp_path / "out.py"), size=(64, 64))
    assert "\n" not in str(caught.value)


def test_a_head_of_masks_alone_is_named_as_such(tmp_path: Path) -> None:
    plain = str(write_shrunk(tmp_path, SOLO, "plain"))
    with dry_run():
        pair = load_pair(plain, plain, (64, 64))
    assert "a head of masks alone" in METHODS["kd"].why_not(pair)
    assert "mimic" in suiting(pair)


def test_a_check_is_the_same_every_time_and_draws_nothing_outside(tmp_path: Path) -> None:
    states = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    first = written(tmp_path, "retina", model_config("retina"), "dist")[1]
    assert random.getstate() == states[0]
    assert (np.random.get_state()[1] == states[1]).all()
    assert torch.equal(torch.get_rng_state(), states[2])
    torch.rand(7)
    assert written(tmp_path, "retina", model_config("retina"), "dist")[1] == first


def test_boxes_of_the_random_batch_vary_and_have_masks(tmp_path: Path) -> None:
    pair = pair_of(tmp_path, "retina", model_config("retina"))
    batch = random_batch(pair.cfg, pair.student.model, 2, (64, 96))
    boxes = [sample.gt_instances.bboxes for sample in batch["data_samples"]]
    assert not torch.equal(*boxes)
    for sample, found in zip(batch["data_samples"], boxes, strict=True):
        sizes = found[:, 2:] - found[:, :2]
        assert (sizes > 0).all() and len(set(sizes.prod(1).tolist())) == len(found)
        assert (found[:, 0::2] <= 96).all() and (found[:, 1::2] <= 64).all()
        areas = sample.gt_instances.masks.masks.sum((1, 2))
        assert (areas == sizes.prod(1).numpy()).all()
        assert sample.gt_sem_seg.sem_seg.shape == (1, 64, 96)

"""A teacher of one input size under a student of another: it sees the student's batch, resized."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from helpers.fixed_sizes import ANY, FIXED, fixed, flexible
from helpers.task_runs import differing, distilled, plain_run, student_state, train
from helpers.tiny_models import algorithm, batch, classifier, distiller, feature_distiller, segmentor
from mmengine.registry import MODELS, DefaultScope

import mmdist.engine.loops  # noqa: F401
from mmdist.errors import ConfigError
from mmdist.functional import dist_loss, resize_images
from mmdist.models.algorithms.input_size import own_size, why_not


def scoped(name: str) -> tuple[dict[str, Any], tuple[int, int]]:
    teacher, size = fixed(name)
    return dict(teacher, _scope_="mmpretrain"), size


@pytest.mark.parametrize("name", FIXED)
def test_the_one_size_that_a_backbone_takes_is_found(name: str) -> None:
    cfg, size = fixed(name)
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        model = MODELS.build(cfg)
    assert why_not(model, torch.zeros(1, 3, *size)) is None
    assert why_not(model, torch.zeros(1, 3, 32, 32)) is not None
    assert own_size(model, (32, 32)) == size


@pytest.mark.parametrize("name", ANY)
def test_a_backbone_that_takes_any_size_is_left_alone(name: str) -> None:
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        model = MODELS.build(flexible(name))
    assert [why_not(model, torch.zeros(1, 3, side, side)) for side in (64, 96)] == [None, None]


@pytest.mark.parametrize("name", ["TinyViT", "MlpMixer", "BEiT"])
def test_its_scores_are_those_of_the_resized_batch_in_its_own_normalisation(name: str) -> None:
    teacher, size = scoped(name)
    teacher["data_preprocessor"].update(mean=[100.0, 110.0, 120.0], std=[50.0, 55.0, 60.0], to_rgb=True)
    model = algorithm(teacher=teacher, teacher_input_size=size).eval()
    data = batch()
    prepared = model.data_preprocessor(data, training=True)
    loss = model(**prepared, mode="loss")["distill.loss_dist"]
    with torch.no_grad():
        own = model.teacher.data_preprocessor(dict(inputs=data["inputs"]), training=False)["inputs"]
        images = F.interpolate(own.double(), size, mode="bilinear", antialias=True, align_corners=False)
        expected = dist_loss(
            model.student(prepared["inputs"], mode="tensor").double(),
            model.teacher.double()(images, mode="tensor"),
        )
    assert float(loss) == pytest.approx(float(expected), rel=1e-4)


def test_features_of_a_teacher_of_another_size_are_aligned() -> None:
    teacher, size = scoped("TinyViT")
    cfg = feature_distiller("backbone.layer4")
    cfg["teacher_recorders"]["logits"]["source"] = "backbone.patch_embed"
    model = algorithm(teacher=teacher, teacher_input_size=list(size), distiller=cfg)
    (conv,) = model.distiller.connectors["align"].convs
    assert (conv.in_channels, conv.out_channels) == (32, 8)
    losses = model(**model.data_preprocessor(batch(), training=True), mode="loss")
    assert losses["distill.loss_dist"].isfinite()


def test_a_size_that_the_teacher_does_not_take_is_answered_with_the_one_that_it_takes() -> None:
    with pytest.raises(ConfigError, match=r"model\.teacher_input_size = 32: expected \[64, 64\]"):
        algorithm(teacher=scoped("TinyViT")[0], teacher_input_size=32)


@pytest.mark.parametrize("size", [0, -1, True, "64", (64,), (64, 64.0), (1, 2, 3)])
def test_what_is_no_size_is_refused(size: Any) -> None:
    with pytest.raises(ConfigError, match=r"model\.teacher_input_size"):
        algorithm(teacher=scoped("TinyViT")[0], teacher_input_size=size)


def test_a_segmenter_cannot_be_of_another_size() -> None:
    cfg = distiller("decode_head.conv_seg")
    with pytest.raises(ConfigError, match=r"model\.teacher_input_size = 32.*except for a classifier"):
        algorithm(architecture=segmentor(), teacher=segmentor(8), distiller=cfg, teacher_input_size=32)


def test_a_teacher_that_trains_cannot_be_of_another_size() -> None:
    with pytest.raises(ConfigError, match=r"model\.teacher_input_size.*teacher_trainable"):
        algorithm(teacher=classifier(8), teacher_trainable=True, teacher_input_size=32)


def test_images_are_resized_as_data_pipelines_do() -> None:
    images = torch.rand(2, 3, 20, 14)
    for size in ((31, 33), (9, 5)):
        expected = F.interpolate(images.double(), size, mode="bilinear", antialias=True, align_corners=False)
        torch.testing.assert_close(resize_images(images, size).double(), expected, rtol=1e-5, atol=1e-5)
        half = resize_images(images.bfloat16(), size)
        assert half.dtype == torch.bfloat16
        torch.testing.assert_close(half.double(), expected, rtol=2e-2, atol=2e-2)
    assert resize_images(images, (20, 14)) is images
    with pytest.raises(ValueError, match="size"):
        resize_images(images, (3, 0))


def test_a_run_validates_such_a_teacher_and_trains_as_plain_at_weight_zero(tmp_path: Path) -> None:
    loop = dict(type="mmdist.DistillValLoop", teacher=True)
    cfg = plain_run("mmpretrain", tmp_path, iters=4, val_interval=4)
    plain = student_state(train(cfg))
    teacher, size = fixed("TinyViT")
    cfg.val_cfg = loop
    with_teacher = distilled(cfg, teacher_input_size=size)
    with_teacher.model.teacher = teacher
    run = train(with_teacher)
    assert not differing(student_state(run), plain)
    assert "val/teacher.accuracy/top1" in run.message_hub.log_scalars

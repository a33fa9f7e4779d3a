"""Fix 11: layer-wise learning rates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers.task_runs import differing, distilled, plain_run, student_state, train
from helpers.tiny_models import algorithm, classifier, detector, feature_distiller, segmentor
from mmengine.model import BaseModel
from mmengine.optim import DefaultOptimWrapperConstructor, build_optim_wrapper
from mmengine.registry import MODELS, OPTIM_WRAPPER_CONSTRUCTORS
from torch import nn

from mmdist.compat import layer_decay, versions
from mmdist.errors import ConfigError

RATE, DECAY = 1e-2, 0.05
MMSEG, MMDET, OLD, MMPRETRAIN = (
    "mmseg.LearningRateDecayOptimizerConstructor",
    "mmdet.LearningRateDecayOptimizerConstructor",
    "mmseg.LayerDecayOptimizerConstructor",
    "mmpretrain.LearningRateDecayOptimWrapperConstructor",
)
CONVNEXT = dict(
    type="mmpretrain.ConvNeXt",
    arch=dict(depths=[1, 2, 4, 1], channels=[4, 8, 16, 32]),
    out_indices=[0, 1, 2, 3],
    gap_before_final_norm=False,
)
BEIT = dict(img_size=32, patch_size=8, embed_dims=16, num_layers=3, num_heads=2, mlp_ratio=2, out_indices=[0, 1, 2, 2])
VIT = dict(
    type="mmpretrain.VisionTransformer",
    arch=dict(embed_dims=16, num_layers=3, num_heads=2, feedforward_channels=32),
    img_size=16,
    patch_size=4,
    out_type="avg_featmap",
)


def segmenter(backbone: dict[str, Any], channels: int) -> dict[str, Any]:
    model = segmentor()
    model["backbone"] = backbone
    model["decode_head"].update(in_channels=channels)
    return model


def student(name: str) -> dict[str, Any]:
    if name == "convnext":
        return segmenter(CONVNEXT, 32)
    if name in ("BEiT", "MAE"):
        return segmenter(dict(type=f"mmseg.{name}", **BEIT), 16)
    if name == "detector":
        return dict(detector(), backbone=CONVNEXT)
    return dict(classifier(), backbone=VIT, head=dict(classifier()["head"], in_channels=16))


STAGES = dict(decay_rate=0.5, decay_type="stage_wise", num_layers=6)
LAYERS = dict(decay_rate=0.5, decay_type="layer_wise", num_layers=6)
CASES = {
    "mmseg-convnext-stages": ("convnext", MMSEG, STAGES),
    "mmseg-convnext-layers": ("convnext", MMSEG, LAYERS),
    "mmseg-beit": ("BEiT", MMSEG, dict(LAYERS, num_layers=3)),
    "mmseg-mae": ("MAE", MMSEG, dict(LAYERS, num_layers=3)),
    "mmseg-beit-old": ("BEiT", OLD, dict(layer_decay_rate=0.5, num_layers=3)),
    "mmdet-convnext-stages": ("detector", MMDET, STAGES),
    "mmdet-convnext-layers": ("detector", MMDET, LAYERS),
    "mmpretrain-vit": ("vit", MMPRETRAIN, dict(layer_decay_rate=0.5, flat_decay_mult=0.0)),
}
BY_NAME = [case for case in CASES if not case.startswith("mmpretrain")]
LOGITS = dict(detector="roi_head.bbox_head.fc_cls", vit="head.fc")
ACCLIMATED = dict(custom_keys=dict(acclimated=dict(lr_mult=0.1, decay_mult=0.0)))


def distil(name: str, **changes: Any) -> BaseModel:
    """The student under a teacher like it; both have a layer of logits, which a connector is put behind."""
    logits = LOGITS.get(name, "decode_head.conv_seg")
    compare = feature_distiller(logits)
    compare["connectors"]["align"].update(in_channels=3, out_channels=4)
    model = dict(architecture=student(name), teacher=student(name), random_teacher=True, distiller=compare)
    return algorithm(**{**model, "acclimated": [logits], **changes})


def settings(model: nn.Module, constructor: str | None, paramwise: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What the optimizer has for every parameter, by its name."""
    cfg = dict(optimizer=dict(type="AdamW", lr=RATE, weight_decay=DECAY), paramwise_cfg=dict(paramwise))
    optimizer = build_optim_wrapper(model, dict(cfg, constructor=constructor) if constructor else cfg).optimizer
    own = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    assert len(own) == sum(len(group["params"]) for group in optimizer.param_groups)
    return {
        name: {key: value for key, value in own[id(p)].items() if key != "params"}
        for name, p in getattr(model, "module", model).named_parameters()
        if id(p) in own
    }


def under(prefix: str, found: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name.removeprefix(prefix): group for name, group in found.items() if name.startswith(prefix)}


@pytest.fixture
def without_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DefaultOptimWrapperConstructor, "__call__", DefaultOptimWrapperConstructor.__call__.__wrapped__)


@pytest.mark.parametrize("case", BY_NAME)
def test_without_the_fix_no_layer_of_the_student_is_found(case: str, without_the_fix: None) -> None:
    name, constructor, paramwise = CASES[case]
    assert len({group["lr"] for group in settings(distil(name), constructor, paramwise).values()}) == 1


@pytest.mark.parametrize("case", CASES)
def test_every_parameter_of_the_student_is_set_as_in_its_plain_training(case: str) -> None:
    name, constructor, paramwise = CASES[case]
    plain = settings(MODELS.build(student(name)), constructor, paramwise)
    assert len({group["lr"] for group in plain.values()}) > 2
    assert under("architecture.", settings(distil(name), constructor, paramwise)) == plain


@pytest.mark.parametrize("case", CASES)
def test_connectors_train_at_the_base_rate_and_acclimated_modules_at_that_of_their_key(case: str) -> None:
    name, constructor, paramwise = CASES[case]
    found = settings(distil(name), constructor, {**paramwise, **ACCLIMATED})
    connectors = under("distiller.connectors.", found)
    assert {n.rsplit(".")[-1]: (g["lr"], g["weight_decay"]) for n, g in connectors.items()} == {
        "weight": (RATE, DECAY),
        "bias": (RATE, 0.0),
    }
    acclimated = under("acclimated.", found)
    assert len(acclimated) == 2
    assert {(g["lr"], g["weight_decay"]) for g in acclimated.values()} == {(0.1 * RATE, 0.0)}


def test_where_the_students_biases_decay_those_of_a_connector_do() -> None:
    connectors = under("distiller.connectors.", settings(distil("vit"), MMPRETRAIN, dict(layer_decay_rate=0.5)))
    assert {group["weight_decay"] for group in connectors.values()} == {DECAY}


def test_a_wrapped_model_is_looked_into() -> None:
    wrapped, model = nn.Module(), distil("convnext")
    wrapped.module = model
    assert settings(wrapped, MMSEG, STAGES) == settings(model, MMSEG, STAGES)


def test_algorithms_of_mmrazor_get_the_same_rates() -> None:
    cfg = dict(type="mmrazor.SingleTeacherDistill", architecture=student("convnext"), teacher=student("convnext"))
    compare = feature_distiller("decode_head.conv_seg", "mmrazor.L2Loss")
    compare["connectors"]["align"].update(in_channels=3, out_channels=4)
    compare["loss_forward_mappings"]["loss_dist"] = dict(
        s_feature=dict(recorder="logits", from_student=True, connector="align"),
        t_feature=dict(recorder="logits", from_student=False),
    )
    found = settings(MODELS.build(dict(cfg, distiller=compare)), MMSEG, STAGES)
    assert under("architecture.", found) == settings(MODELS.build(student("convnext")), MMSEG, STAGES)
    assert {group["lr"] for group in under("distiller.", found).values()} == {RATE}


def test_a_module_that_the_algorithm_shares_with_the_student_is_the_students() -> None:
    model = distil("convnext")
    model.distiller.add_module("shared", model.architecture.decode_head)
    found = settings(model, MMSEG, STAGES)
    assert under("architecture.", found) == settings(MODELS.build(student("convnext")), MMSEG, STAGES)


def test_a_key_with_the_algorithms_name_of_the_student_is_an_error() -> None:
    keys = {"architecture.backbone": dict(decay_mult=0.0)}
    with pytest.raises(ConfigError, match=r"custom_keys = 'architecture\.backbone'.* without 'architecture\.'"):
        settings(distil("vit"), MMPRETRAIN, dict(layer_decay_rate=0.5, custom_keys=keys))


@pytest.mark.parametrize("constructor", [None, "mmseg.ForceDefaultOptimWrapperConstructor", "ByAlgorithm"])
def test_constructors_without_layers_see_the_whole_algorithm(constructor: str | None, monkeypatch) -> None:
    class ByAlgorithm(OPTIM_WRAPPER_CONSTRUCTORS.get(MMSEG)):
        add_params = DefaultOptimWrapperConstructor.add_params

    monkeypatch.setitem(OPTIM_WRAPPER_CONSTRUCTORS.module_dict, "ByAlgorithm", ByAlgorithm)
    keys = {"architecture.backbone": dict(lr_mult=0.1)}
    found = settings(distil("convnext"), constructor, dict(custom_keys=keys))
    assert {g["lr"] for g in under("architecture.backbone", found).values()} == {0.1 * RATE}
    assert {g["lr"] for g in under("architecture.decode_head", found).values()} == {RATE}


def test_training_under_a_teacher_that_weighs_nothing_is_plain_training(tmp_path: Path) -> None:
    optimizer = dict(type="AdamW", lr=1e-3, weight_decay=DECAY)
    wrapper = dict(optimizer=optimizer, constructor=MMSEG.partition(".")[2], paramwise_cfg=STAGES)
    cfg = plain_run("mmseg", tmp_path, iters=2, optim_wrapper=wrapper)
    cfg.model.backbone = CONVNEXT
    assert not differing(student_state(train(distilled(cfg))), student_state(train(cfg)))


@pytest.mark.parametrize("first", ["import mmengine.runner, mmdist", "import mmdist"], ids=["tools", "script"])
def test_it_is_in_force_before_any_algorithm_of_mmdist_is_there(first: str, run_python) -> None:
    done = run_python(f"""
        {first}
        from mmengine.registry import MODELS
        print(MODELS.get("mmdist.SingleTeacherDistill") is not None, mmdist.compat.layer_decay.active())
    """)
    assert done.stdout.split() == ["True", "True"], done.stderr


def test_applying_again_wraps_nothing_twice() -> None:
    before = DefaultOptimWrapperConstructor.__call__
    layer_decay.apply()
    assert DefaultOptimWrapperConstructor.__call__ is before
    assert layer_decay.active()


@pytest.mark.parametrize(("mmrazor", "expected"), [("1.0.0", True), (None, False)])
def test_it_is_needed_with_mmrazor(monkeypatch: pytest.MonkeyPatch, mmrazor: str | None, expected: bool) -> None:
    monkeypatch.setattr(versions, "installed", lambda *_: mmrazor)
    assert layer_decay.needed() is expected

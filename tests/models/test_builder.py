"""Weights that the task libraries load in full are loaded in full; what does not fit changes nothing."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.tiny_models import classifier
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from mmengine.runner import load_checkpoint
from mmpretrain.models.backbones import swin_transformer
from torch import Tensor, nn

from mmdist.errors import CheckpointError
from mmdist.models.builder import load_weights

KEY = "model.teacher_ckpt"


def image_classifier(backbone: dict[str, Any]) -> BaseModel:
    head = dict(type="mmpretrain.LinearClsHead", num_classes=3, in_channels=16)
    return MODELS.build(dict(type="mmpretrain.ImageClassifier", backbone=backbone, head=head))


def vit(size: int, width: int = 16) -> BaseModel:
    arch = dict(embed_dims=width, num_layers=1, num_heads=2, feedforward_channels=32)
    return image_classifier(dict(type="mmpretrain.VisionTransformer", arch=arch, img_size=size, patch_size=8))


def swin(size: int, window: int, version: str = "") -> BaseModel:
    arch = dict(embed_dims=16, depths=[1, 1], num_heads=[2, 2])
    if version:
        arch["extra_norm_every_n_blocks"] = 0
    kind = f"mmpretrain.SwinTransformer{version}"
    sizes = dict(img_size=size, window_size=window, patch_size=2)
    return image_classifier(dict(type=kind, arch=arch, out_indices=(1,), **sizes))


def beit(size: int) -> BaseModel:
    arch = dict(embed_dims=16, num_layers=1, num_heads=2, feedforward_channels=32)
    return image_classifier(dict(type="mmpretrain.BEiTViT", arch=arch, img_size=size, patch_size=8))


def fcos() -> BaseModel:
    head = dict(type="mmdet.FCOSHead", num_classes=3, in_channels=4, feat_channels=4, stacked_convs=1, norm_cfg=None)
    backbone = dict(type="mmdet.ResNet", depth=18, base_channels=4)
    neck = dict(type="mmdet.FPN", in_channels=[4, 8, 16, 32], out_channels=4, num_outs=5)
    return MODELS.build(dict(type="mmdet.FCOS", backbone=backbone, neck=neck, bbox_head=head))


def standardised() -> BaseModel:
    """With mmcv's convolutions that compute two of their buffers from the weights where a file has none."""
    model = classifier()
    model["backbone"]["conv_cfg"] = dict(type="ConvAWS")
    return MODELS.build(model)


def old_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """As mmdet named FCOS's predictors before its versions had numbers."""
    return {name.replace("head.conv_", "head.fcos_"): value for name, value in state.items()}


def resized_table(source: int, target: int, table: Tensor, heads: int) -> Tensor:
    """mmpretrain's own needs a SciPy before 1.14."""
    grid = table.T.reshape(1, heads, source, source)
    return nn.functional.interpolate(grid, size=(target, target), mode="bicubic").reshape(heads, -1).T


def save(path: Path, state: dict[str, Tensor]) -> str:
    torch.save(dict(state_dict=state), path)
    return str(path)


def assert_unchanged(model: BaseModel, before: dict[str, Tensor], tensors: dict[str, Tensor]) -> None:
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    now = dict([*model.named_parameters(), *model.named_buffers()])
    assert all(now[name] is tensor for name, tensor in tensors.items())


def tensors_of(model: BaseModel) -> dict[str, Tensor]:
    return dict([*model.named_parameters(), *model.named_buffers()])


@pytest.mark.parametrize(
    ("trained", "model"),
    [
        pytest.param(lambda: vit(32), lambda: vit(48), id="position embedding of another picture size"),
        pytest.param(lambda: swin(32, 4), lambda: swin(32, 8), id="relative positions of another window"),
        pytest.param(lambda: swin(32, 4, "V2"), lambda: swin(32, 8, "V2"), id="tables that the model computes itself"),
        pytest.param(lambda: beit(32), lambda: beit(32), id="an index that the model computes itself"),
        pytest.param(fcos, fcos, id="the same model"),
    ],
)
def test_weights_of_another_size_load_as_mmengine_loads_them(
    trained: Any, model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swin_transformer, "resize_relative_position_bias_table", resized_table)
    path = save(tmp_path / "trained.pth", trained().state_dict())
    loaded = model()
    expected = copy.deepcopy(loaded)
    tensors = tensors_of(loaded)
    load_checkpoint(expected, path, map_location="cpu")
    load_weights(loaded, path, KEY)
    assert_unchanged(loaded, expected.state_dict(), tensors)


@pytest.mark.parametrize("wrapped", ["", "module."])
def test_a_detectors_old_names_are_understood(wrapped: str, tmp_path: Path) -> None:
    trained, model = fcos(), fcos()
    state = {f"{wrapped}{name}": value for name, value in old_names(trained.state_dict()).items()}
    assert f"{wrapped}bbox_head.fcos_cls.weight" in state
    load_weights(model, save(tmp_path / "old.pth", state), KEY)
    assert_unchanged(model, trained.state_dict(), {})


def test_old_names_are_kept_where_weights_are_taken_in_part(tmp_path: Path) -> None:
    trained, model = fcos(), fcos()
    state = old_names(trained.state_dict())
    del state["bbox_head.fcos_reg.bias"]
    path = save(tmp_path / "old.pth", state)
    with pytest.raises(CheckpointError, match=r"1 of \d+ keys: bbox_head\.conv_reg\.bias \(missing\)\. Is it"):
        load_weights(model, path, KEY)
    load_weights(model, path, KEY, partly=True)
    assert torch.equal(model.bbox_head.conv_cls.weight, trained.bbox_head.conv_cls.weight)


def test_buffers_that_a_convolution_computes_from_its_weights_are_not_missing(tmp_path: Path) -> None:
    model = standardised()
    state = {name: torch.randn_like(value) for name, value in model.state_dict().items() if value.is_floating_point()}
    plain = {name: value for name, value in state.items() if not name.endswith(("weight_gamma", "weight_beta"))}
    path = save(tmp_path / "plain.pth", plain)
    expected, tensors = copy.deepcopy(model), tensors_of(model)
    load_checkpoint(expected, path, map_location="cpu")
    load_weights(model, path, KEY)
    assert_unchanged(model, expected.state_dict(), tensors)


@pytest.mark.parametrize("partly", [False, True])
def test_a_checkpoint_of_another_model_leaves_the_model_as_it_was(partly: bool, tmp_path: Path) -> None:
    path = save(tmp_path / "other.pth", {"something.else": torch.zeros(3)})
    model = standardised()
    before, tensors = copy.deepcopy(model.state_dict()), tensors_of(model)
    with pytest.raises(CheckpointError, match=rf"{KEY} = .* does not fit ImageClassifier: \d+ of \d+ keys"):
        load_weights(model, path, KEY, partly=partly)
    assert_unchanged(model, before, tensors)
    assert not model.backbone.is_init


def test_one_key_of_another_shape_leaves_the_model_as_it_was(tmp_path: Path) -> None:
    model = standardised()
    state = {name: torch.ones_like(value) for name, value in model.state_dict().items()}
    state["head.fc.weight"] = torch.zeros(5, 32)
    path = save(tmp_path / "classes.pth", state)
    before, tensors = copy.deepcopy(model.state_dict()), tensors_of(model)
    with pytest.raises(CheckpointError, match=r"head\.fc\.weight \(\(5, 32\) in the file, \(3, 32\) in the model\)"):
        load_weights(model, path, KEY)
    assert_unchanged(model, before, tensors)
    load_weights(model, path, KEY, partly=True)
    assert torch.equal(model.head.fc.weight, before["head.fc.weight"])
    assert torch.equal(model.head.fc.bias, state["head.fc.bias"])


def test_a_vit_of_another_width_is_refused_with_its_keys(tmp_path: Path) -> None:
    path = save(tmp_path / "wide.pth", vit(32, width=24).state_dict())
    with pytest.raises(CheckpointError, match=r"backbone\.cls_token \(\(1, 1, 24\) in the file, \(1, 1, 16\)"):
        load_weights(vit(48), path, KEY)


@pytest.mark.parametrize("partly", [False, True])
def test_a_load_hook_that_fails_is_an_error_and_leaves_the_model_as_it_was(partly: bool, tmp_path: Path) -> None:
    model = vit(48)
    state = {name: torch.ones_like(value) for name, value in model.state_dict().items()}
    state["backbone.pos_embed"] = torch.zeros(3)
    before, tensors = copy.deepcopy(model.state_dict()), tensors_of(model)
    with pytest.raises(CheckpointError, match=rf"{KEY} = .* does not fit ImageClassifier: preparing it failed"):
        load_weights(model, save(tmp_path / "odd.pth", state), KEY, partly=partly)
    assert_unchanged(model, before, tensors)


def test_weights_are_in_the_models_own_precision_and_stay_trainable(tmp_path: Path) -> None:
    trained, model = vit(32), vit(32)
    model.backbone.cls_token.requires_grad_(False)
    path = save(tmp_path / "half.pth", {name: value.half() for name, value in trained.state_dict().items()})
    load_weights(model, path, KEY)
    assert {value.dtype for value in model.parameters()} == {torch.float32}
    assert [name for name, value in model.named_parameters() if not value.requires_grad] == ["backbone.cls_token"]


def test_a_checkpoint_of_a_distillation_is_answered_with_how_to_take_the_student_out(tmp_path):
    model = MODELS.build(classifier())
    state = {f"architecture.{name}": value for name, value in model.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "distilled.pth")
    with pytest.raises(CheckpointError, match=r"mmdist export .*distilled\.pth OUT"):
        load_weights(model, str(tmp_path / "distilled.pth"), "model.student_ckpt")

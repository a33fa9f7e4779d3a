"""``mmdist.SDDHead`` on classifiers: each family's own classifier, applied to regions."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmrazor.models.task_modules import ModuleOutputsRecorder
from torch import Tensor, nn

from mmdist.errors import ConfigError
from mmdist.functional import pool_regions
from mmdist.models.heads import SDDHead
from mmdist.models.recorders import MethodRecorder, ModuleRecorder

CIFAR = Path(__file__).parents[3] / "configs" / "_base_" / "models" / "cifar"
CLASSES = 5

SWIN = dict(embed_dims=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 1, 1])
CONVNEXT = dict(depths=[1, 1, 1, 1], channels=[8, 8, 16, 16])
STACKED = dict(type="StackedLinearClsHead", mid_channels=[16], dropout_rate=0.2, act_cfg=dict(type="HSwish"))
# backbone, channels of its last map, head (linear where none is given)
FAMILIES = {
    "ResNet": (dict(type="ResNet", depth=18, stem_channels=4, base_channels=4), 32, {}),
    "RegNet": (dict(type="RegNet", arch="regnetx_400mf"), 384, {}),
    "MobileNetV2": (dict(type="MobileNetV2", widen_factor=0.25), 1280, {}),
    "MobileNetV3": (dict(type="MobileNetV3", arch="small_050"), 288, STACKED),
    "ShuffleNetV2": (dict(type="ShuffleNetV2", widen_factor=0.5), 1024, {}),
    "EfficientNet": (dict(type="EfficientNet", arch="b0"), 1280, {}),
    "ConvNeXt": (dict(type="ConvNeXt", arch=CONVNEXT), 16, {}),
    "Swin": (dict(type="SwinTransformer", arch=SWIN, img_size=128, window_size=2), 64, {}),
}
NETWORKS = [
    *FAMILIES,
    *("resnet8x4", "wrn_16_1", "vgg8", "mobilenetv2", "shufflenetv1", "shufflenetv2"),
]
SOURCES = {"ConvNeXt": "backbone.stages.3"}
NOT_LINEAR = ("MobileNetV3", "ConvNeXt")  # a hidden layer, and a norm layer, between the average and the logits
VIT = dict(
    type="VisionTransformer",
    arch=dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32),
    img_size=32,
    patch_size=8,
)


def build(backbone: dict, channels: int, head: dict, neck: bool = True) -> nn.Module:
    head = {**dict(type="LinearClsHead", num_classes=CLASSES, in_channels=channels), **head}
    cfg = dict(type="ImageClassifier", backbone=backbone, head=head)
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        model = MODELS.build({**cfg, "neck": dict(type="GlobalAveragePooling")} if neck else cfg)
    for parameter in model.head.parameters():  # some heads start at 0
        nn.init.normal_(parameter)
    return model.eval()


@torch.no_grad()
def network(name: str) -> nn.Module:
    """A tiny one of a family, or one of the CIFAR tables; its norm layers know what pictures look like."""
    if name in FAMILIES:
        model = build(*FAMILIES[name], neck=name != "ConvNeXt")
    else:
        with DefaultScope.overwrite_default_scope("mmpretrain"):
            model = MODELS.build(Config.fromfile(CIFAR / f"{name}.py").model)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    model.double().train().backbone(pictures(name))
    return model.eval()


def pictures(name: str, height: int = 4, width: int = 4) -> Tensor:
    """Pictures whose last map has a certain size in most families: stride 32, or 8 of a CIFAR network."""
    stride = 32 if name in FAMILIES else 8
    return torch.randn(2, 3, height * stride, width * stride, dtype=torch.float64)


def run(model: nn.Module, x: Tensor, source: str = "backbone", **head) -> tuple[Tensor, Tensor, Tensor]:
    """The last map, the model's own logits, and those of the regions."""
    recorder = ModuleRecorder(source)
    recorder.initialize(model)
    with recorder:
        logits = model(x)
    record = recorder.get_record_data()
    return record if isinstance(record, Tensor) else record[-1], logits, SDDHead(**head)(record)


def classify(model: nn.Module, crop: Tensor) -> Tensor:
    """The model's own tail on a part of the last map."""
    if hasattr(model.backbone, "gap_before_final_norm"):
        pooled = (model.backbone.norm3(crop.mean((2, 3), keepdim=True)).flatten(1),)
    else:
        pooled = model.neck((crop,))
    return model.head(pooled)


def cells(size: int, scale: int) -> list[slice]:
    return [slice(i * size // scale, -(-(i + 1) * size // scale)) for i in range(scale)]


@torch.no_grad()
@pytest.mark.parametrize("size", [(4, 4), (3, 5)])
@pytest.mark.parametrize("name", NETWORKS)
def test_region_0_is_the_models_own_prediction_and_the_others_are_those_of_crops_of_its_last_map(name, size):
    model = network(name)
    feature, logits, regions = run(model, pictures(name, *size), SOURCES.get(name, "backbone"), nested=False)
    assert regions.shape == (2, logits.shape[1], 21)
    torch.testing.assert_close(regions[:, :, 0], logits)
    crops = [
        feature[:, :, row, column]
        for scale in (1, 2, 4)
        for row in cells(feature.shape[2], scale)
        for column in cells(feature.shape[3], scale)
    ]
    assert len(crops) == 21
    for index, crop in enumerate(crops):
        torch.testing.assert_close(regions[:, :, index], classify(model, crop))
    assert regions.std(2).min() > 1e-3  # they do differ


@torch.no_grad()
@pytest.mark.parametrize("name", NETWORKS)
def test_grids_pooled_from_the_finest_are_the_same_where_they_divide_the_map(name):
    model, x = network(name), pictures(name, *((8, 8) if name == "mobilenetv2" else (4, 4)))
    source = SOURCES.get(name, "backbone")
    feature, logits, nested = run(model, x, source)
    assert not any(side % 4 for side in feature.shape[2:])
    torch.testing.assert_close(nested[:, :, 0], logits)
    torch.testing.assert_close(nested, run(model, x, source, nested=False)[2])


@torch.no_grad()
@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in NOT_LINEAR])
def test_pooling_before_the_classifier_is_pooling_its_map_of_logits(name, nested):
    model = network(name)
    feature, _, regions = run(model, pictures(name, 3, 5), nested=nested)
    fc = model.head.fc
    scores = nn.functional.conv2d(feature, fc.weight[:, :, None, None], fc.bias)
    torch.testing.assert_close(regions, pool_regions(scores, nested=nested))


@torch.no_grad()
@pytest.mark.parametrize("scales", [(1,), (1, 2), (1, 2, 4)])
def test_maps_of_any_size_give_the_same_regions(scales):
    head, student, teacher = SDDHead(scales=scales), network("mobilenetv2"), network("resnet8x4")
    shapes = []
    for model in (student, teacher):
        recorder = ModuleRecorder("backbone")
        recorder.initialize(model)
        with recorder:
            model(pictures("resnet8x4"))
        shapes.append((recorder.get_record_data()[-1].shape[2], head(recorder.get_record_data()).shape))
    assert shapes[0][0] < 4 < shapes[1][0]
    assert shapes[0][1] == shapes[1][1] == (2, 100, sum(scale**2 for scale in scales))


@torch.no_grad()
@pytest.mark.parametrize(("out_type", "source"), [("cls_token", "backbone.ln1"), ("raw", "backbone")])
def test_tokens_are_taken_on_request_without_the_class_token(out_type, source):
    head = dict(type="VisionTransformerClsHead")
    model = build(dict(VIT, out_type=out_type), 16, head, neck=False)
    recorder = ModuleRecorder(source)
    recorder.initialize(model)
    with recorder:
        model.backbone(torch.randn(2, 3, 32, 32))
    record = recorder.get_record_data()
    with pytest.raises(ConfigError, match=r"mmdist.SDDHead = \(2, 17, 16\): .*tokens=True takes tokens"):
        SDDHead()(record)
    tokens = record[-1] if isinstance(record, tuple) else record
    maps = tokens[:, 1:].reshape(2, 4, 4, 16).permute(0, 3, 1, 2)
    expected = model.head.layers.head(pool_regions(maps).transpose(1, 2)).transpose(1, 2)
    torch.testing.assert_close(SDDHead(tokens=True)(record), expected)


@torch.no_grad()
def test_the_patches_that_a_vit_averages_give_its_own_prediction():
    vit = dict(VIT, out_type="avg_featmap", final_norm=False)
    model = build(vit, 16, {}, neck=False)
    nn.init.normal_(model.backbone.ln2.weight)
    feature, logits, regions = run(model, torch.randn(2, 3, 32, 32), "backbone.layers.1", tokens=True)
    torch.testing.assert_close(regions[:, :, 0], logits)
    patch = model.head((model.backbone.ln2(feature[:, 1 + 6]),))
    torch.testing.assert_close(regions[:, :, 5 + 6], patch)


@torch.no_grad()
def test_tokens_of_a_map_that_is_not_square_are_refused():
    model = build(dict(VIT, out_type="raw", img_size=(32, 40)), 16, dict(type="VisionTransformerClsHead"), neck=False)
    recorder = ModuleRecorder("backbone")
    recorder.initialize(model)
    with recorder:
        model.backbone(torch.randn(2, 3, 32, 40))
    with pytest.raises(ConfigError, match=r"\(2, 21, 16\): expected tokens of a square map, after 1 that"):
        SDDHead(tokens=True)(recorder.get_record_data())


def test_every_region_trains_classifier_and_backbone():
    model = network("ResNet").train()
    _, _, regions = run(model, pictures("ResNet"))
    for index in range(21):
        model.zero_grad()
        regions[:, 0, index].sum().backward(retain_graph=True)
        assert model.head.fc.weight.grad[0].abs().sum() > 0
        assert model.backbone.conv1.weight.grad.abs().sum() > 0


@torch.no_grad()
def test_half_precision_maps_meet_the_classifier_in_its_own_dtype():
    model, recorder = network("ResNet").float(), ModuleRecorder("backbone")
    recorder.initialize(model)
    with torch.autocast("cpu", dtype=torch.bfloat16), recorder:
        logits = model(pictures("ResNet").float())
    assert recorder.get_record_data()[-1].dtype == torch.bfloat16
    regions = SDDHead()(recorder.get_record_data())
    assert regions.dtype == torch.float32
    torch.testing.assert_close(regions[:, :, 0], logits.float(), rtol=0.05, atol=0.05)


def test_the_connector_has_nothing_of_its_own():
    head = SDDHead()
    assert not list(head.state_dict()) and not list(head.parameters())
    assert repr(head) == "SDDHead(scales=(1, 2, 4), nested=True, tokens=False)"


def refused(model: nn.Module, source: str, message: str, **head) -> None:
    with pytest.raises(ConfigError, match=message):
        run(model, torch.randn(2, 3, 64, 64).to(next(model.parameters()).dtype), source, **head)


def test_a_feature_that_is_not_the_last_map_is_refused():
    model = network("ResNet")
    refused(model, "neck", r"mmdist.SDDHead = \(2, 32\): expected the last feature map.*source='backbone'")
    refused(model, "head.fc", r"\(2, 5\): expected the last feature map")
    refused(model, "backbone.layer2", "'8 channels': expected 32 channels; .*record the last feature map")


def test_convnexts_output_is_answered_with_the_stage_before_it_pools():
    refused(network("ConvNeXt"), "backbone", r"\(2, 16\): .*source='backbone.stages.3'")


def test_a_head_with_batch_norm_is_refused_where_it_would_learn_the_statistics_of_regions():
    backbone, channels, _ = FAMILIES["ResNet"]
    model = build(backbone, channels, {**STACKED, "norm_cfg": dict(type="BN1d")})
    message = "'StackedLinearClsHead': expected a head without batch norm; regions would change the statistics"
    refused(model.train(), "backbone", message)
    _, logits, regions = run(model.eval(), torch.randn(2, 3, 64, 64))
    torch.testing.assert_close(regions[:, :, 0], logits)


def test_another_way_of_pooling_is_refused():
    model = network("ResNet")
    model.neck = MODELS.build(dict(type="mmpretrain.GeneralizedMeanPooling"))
    refused(model, "backbone", "'GeneralizedMeanPooling': expected a classifier with GlobalAveragePooling")
    model.neck = None
    model.extract_feat = model.backbone
    with pytest.raises(ConfigError, match="'no neck': expected a classifier with GlobalAveragePooling"):
        recorder = ModuleRecorder("backbone")
        recorder.initialize(model)
        with recorder:
            model.backbone(pictures("ResNet"))
        SDDHead()(recorder.get_record_data())


def test_a_recorder_that_does_not_remember_the_model_is_refused():
    model, recorder = network("ResNet"), ModuleOutputsRecorder("backbone")
    recorder.initialize(model)
    with recorder:
        model(pictures("ResNet"))
    with pytest.raises(ConfigError, match=r"mmdist.SDDHead = 'tuple': expected a record of mmdist.Module or mmdist.M"):
        SDDHead()(recorder.get_record_data())


def test_a_method_of_the_model_can_be_recorded_too():
    model, recorder = network("ResNet"), MethodRecorder("backbone.forward")
    recorder.initialize(model)
    with recorder, torch.no_grad():
        logits = model(pictures("ResNet"))
    torch.testing.assert_close(SDDHead()(recorder.get_record_data())[:, :, 0], logits)


def test_a_model_without_a_known_head_is_refused():
    model = nn.Sequential(nn.Conv2d(3, 4, 1))
    refused(model, "0", "'Sequential': expected a model with a head, decode_head, bbox_head or roi_head")


@pytest.mark.parametrize("scales", [(2, 4), "1,2", (1, 2, 2)])
def test_scales_that_cannot_be_are_refused_when_it_is_built(scales):
    with pytest.raises(ValueError, match=r"scales = .*expected ascending integers with 1 first"):
        MODELS.build(dict(type="mmdist.SDDHead", scales=scales))

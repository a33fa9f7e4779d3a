"""MobileNetV1: the network of the ImageNet distillation tables, in mmpretrain's classifier."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn

from mmdist.errors import ConfigError
from mmdist.models.backbones import MobileNetV1

STRIDES = [2, 1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1]


def classifier() -> nn.Module:
    config = dict(
        type="ImageClassifier",
        backbone=dict(type="mmdist.MobileNetV1"),
        neck=dict(type="GlobalAveragePooling"),
        head=dict(type="LinearClsHead", num_classes=1000, in_channels=1024),
    )
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        return MODELS.build(config)


def from_weights_alone(state: dict[str, Tensor], x: Tensor) -> Tensor:
    """The last map, computed from the weights by the names that they have in the original code."""

    def conv_bn_relu(x: Tensor, layer: int, index: int, stride: int, padding: int) -> Tensor:
        weight = state[f"model.{layer}.{index}.weight"]
        groups = x.shape[1] // weight.shape[1]
        x = F.conv2d(x, weight, stride=stride, padding=padding, groups=groups)
        names = ("running_mean", "running_var", "weight", "bias")
        norm = [state[f"model.{layer}.{index + 1}.{name}"] for name in names]
        return F.relu(F.batch_norm(x, *norm))

    for layer, stride in enumerate(STRIDES):
        x = conv_bn_relu(x, layer, 0, stride, 1)
        if layer:
            x = conv_bn_relu(x, layer, 3, 1, 0)
    return x


def test_a_classifier_of_1000_classes_has_the_parameters_of_the_original():
    assert sum(parameter.numel() for parameter in classifier().parameters()) == 4_231_976


def test_the_last_map_is_that_of_the_original_code():
    net = MobileNetV1().eval()
    for name, value in net.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 1.5)
        elif name.endswith("running_mean"):
            value.normal_()
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        (last,) = net(x)
        torch.testing.assert_close(last, from_weights_alone(net.state_dict(), x))


def test_a_stage_ends_before_every_stride():
    maps = MobileNetV1(out_indices=(0, 1, 2, 3, 4)).eval()(torch.randn(1, 3, 64, 64))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (64, 32, 32),
        (128, 16, 16),
        (256, 8, 8),
        (512, 4, 4),
        (1024, 2, 2),
    ]


def test_a_stage_that_there_is_not_is_refused_with_those_that_there_are():
    with pytest.raises(ConfigError, match=r"MobileNetV1\.out_indices.*0 to 4"):
        MobileNetV1(out_indices=(5,))

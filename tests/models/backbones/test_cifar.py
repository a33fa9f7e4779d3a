"""The CIFAR backbones: the networks of the original code, key for key, in mmpretrain's classifier."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn

from mmdist.errors import ConfigError
from mmdist.models.backbones import CIFARVGG, CIFARMobileNetV2, CIFARResNet, CIFARWideResNet

RESNET, WRN, VGG = "mmdist.CIFARResNet", "mmdist.CIFARWideResNet", "mmdist.CIFARVGG"
X4 = (32, 64, 128, 256)
# backbone, channels and side of its last map, parameters with a linear classifier of 100 classes in the original code
NETWORKS = {
    "resnet20": (dict(type=RESNET, depth=20), 64, 8, 278_324),
    "resnet56": (dict(type=RESNET, depth=56), 64, 8, 861_620),
    "resnet110": (dict(type=RESNET, depth=110), 64, 8, 1_736_564),
    "resnet8x4": (dict(type=RESNET, depth=8, channels=X4), 256, 8, 1_233_540),
    "resnet32x4": (dict(type=RESNET, depth=32, channels=X4), 256, 8, 7_433_860),
    "wrn_16_2": (dict(type=WRN, depth=16, widen_factor=2), 128, 8, 703_284),
    "wrn_40_1": (dict(type=WRN, depth=40), 64, 8, 569_780),
    "wrn_40_2": (dict(type=WRN, depth=40, widen_factor=2), 128, 8, 2_255_156),
    "vgg8": (dict(type=VGG, depth=8), 512, 4, 3_965_028),
    "vgg13": (dict(type=VGG, depth=13), 512, 4, 9_462_180),
    "MobileNetV2": (dict(type="mmdist.CIFARMobileNetV2"), 1280, 2, 812_836),
    "ShuffleNetV1": (dict(type="mmdist.CIFARShuffleNetV1"), 960, 4, 949_258),
    "ShuffleNetV2": (dict(type="mmdist.CIFARShuffleNetV2"), 1024, 4, 1_355_528),
}
FAMILIES = ["resnet8x4", "wrn_16_2", "vgg13", "MobileNetV2", "ShuffleNetV1", "ShuffleNetV2"]
SIDES = {
    "resnet8x4": [32, 16, 8],
    "wrn_16_2": [32, 16, 8],
    "vgg13": [32, 16, 8, 4, 4],
    "MobileNetV2": [16, 16, 8, 4, 4, 2, 2, 2],
    "ShuffleNetV1": [16, 8, 4],
    "ShuffleNetV2": [16, 8, 4, 4],
}
NETWORK = pytest.mark.parametrize("name", NETWORKS)
FAMILY = pytest.mark.parametrize("name", FAMILIES)


def build(name: str, **changes) -> nn.Module:
    return MODELS.build(dict(NETWORKS[name][0], **changes))


def pictures(count: int = 2) -> Tensor:
    return torch.randn(count, 3, 32, 32)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def classifier(name: str) -> nn.Module:
    backbone, channels, *_ = NETWORKS[name]
    config = dict(
        type="ImageClassifier",
        data_preprocessor=dict(mean=[127.5] * 3, std=[60.0] * 3),
        backbone=backbone,
        neck=dict(type="GlobalAveragePooling"),
        head=dict(type="LinearClsHead", num_classes=100, in_channels=channels),
    )
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        model = MODELS.build(config)
    model.init_weights()
    return model


def batch(size: int = 4) -> dict:
    from mmpretrain.structures import DataSample

    inputs = [torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8) for _ in range(size)]
    return dict(inputs=inputs, data_samples=[DataSample().set_gt_label(label) for label in range(size)])


# ---------------------------------------------------------------- the networks once more, from their weights alone


class Weights:
    """Weights by name, which remember what was read."""

    def __init__(self, module: nn.Module) -> None:
        self.values = {key: value for key, value in module.state_dict().items() if "num_batches" not in key}
        self.read: set[str] = set()

    def take(self, key: str) -> Tensor:
        self.read.add(key)
        return self.values[key]

    def conv(self, name: str, x: Tensor, stride: int = 1, groups: int = 1) -> Tensor:
        weight = self.take(f"{name}.weight")
        bias = self.take(f"{name}.bias") if f"{name}.bias" in self.values else None
        return F.conv2d(x, weight, bias, stride, weight.shape[-1] // 2, groups=groups)

    def norm(self, name: str, x: Tensor) -> Tensor:
        mean, var, weight, bias = (
            self.take(f"{name}.{key}") for key in ("running_mean", "running_var", "weight", "bias")
        )
        return F.batch_norm(x, mean, var, weight, bias)


def shuffled(x: Tensor, groups: int) -> Tensor:
    """The first channel of each group, then the second of each, and so on."""
    size = x.shape[1] // groups
    return x[:, [channel for first in range(size) for channel in range(first, x.shape[1], size)]]


def plain_resnet(w: Weights, x: Tensor) -> Tensor:
    """resnet8x4: one block a stage, all of them projected."""
    x = F.relu(w.norm("bn1", w.conv("conv1", x)))
    for stage, stride in ((1, 1), (2, 2), (3, 2)):
        block = f"layer{stage}.0"
        out = F.relu(w.norm(f"{block}.bn1", w.conv(f"{block}.conv1", x, stride)))
        out = w.norm(f"{block}.bn2", w.conv(f"{block}.conv2", out))
        x = F.relu(out + w.norm(f"{block}.downsample.1", w.conv(f"{block}.downsample.0", x, stride)))
    return x


def plain_wide_resnet(w: Weights, x: Tensor) -> Tensor:
    """wrn_16_2: two blocks a stage, the first of them projected."""
    x = w.conv("conv1", x)
    for stage, stride in ((1, 1), (2, 2), (3, 2)):
        for block in (f"block{stage}.layer.0", f"block{stage}.layer.1"):
            active = F.relu(w.norm(f"{block}.bn1", x))
            first = block.endswith("0")
            out = F.relu(w.norm(f"{block}.bn2", w.conv(f"{block}.conv1", active, stride if first else 1)))
            x = (w.conv(f"{block}.convShortcut", active, stride) if first else x) + w.conv(f"{block}.conv2", out)
    return F.relu(w.norm("bn1", x))


def plain_vgg(w: Weights, x: Tensor) -> Tensor:
    """vgg13: two convolutions a stage."""
    for stage in range(5):
        for conv, norm in ((0, 1), (3, 4)):
            x = F.relu(w.norm(f"block{stage}.{norm}", w.conv(f"block{stage}.{conv}", x)))
        x = F.max_pool2d(x, 2) if stage < 3 else x
    return x


def plain_mobilenet(w: Weights, x: Tensor) -> Tensor:
    x = F.relu(w.norm("conv1.1", w.conv("conv1.0", x, 2)))
    for stage, (blocks, stride) in enumerate([(1, 1), (2, 1), (3, 2), (4, 2), (3, 1), (3, 2), (1, 1)]):
        for index in range(blocks):
            block = f"blocks.{stage}.{index}.conv"
            out = F.relu(w.norm(f"{block}.1", w.conv(f"{block}.0", x)))
            out = w.conv(f"{block}.3", out, 1 if index else stride, groups=out.shape[1])
            out = w.norm(f"{block}.7", w.conv(f"{block}.6", F.relu(w.norm(f"{block}.4", out))))
            x = x + out if index else out
    return F.relu(w.norm("conv2.1", w.conv("conv2.0", x)))


def plain_shufflenet_v1(w: Weights, x: Tensor) -> Tensor:
    x = F.relu(w.norm("bn1", w.conv("conv1", x)))
    for stage, blocks in ((1, 4), (2, 8), (3, 4)):
        for index in range(blocks):
            block, groups = f"layer{stage}.{index}", 1 if stage == 1 and index == 0 else 3
            out = shuffled(F.relu(w.norm(f"{block}.bn1", w.conv(f"{block}.conv1", x, 1, groups))), groups)
            out = F.relu(w.norm(f"{block}.bn2", w.conv(f"{block}.conv2", out, 1 if index else 2, out.shape[1])))
            out = w.norm(f"{block}.bn3", w.conv(f"{block}.conv3", out, 1, 3))
            x = F.relu(out + x if index else torch.cat([out, F.avg_pool2d(x, 3, 2, 1)], 1))
    return x


def plain_shufflenet_v2(w: Weights, x: Tensor) -> Tensor:
    def step(block: str, index: int, x: Tensor, stride: int | None = None) -> Tensor:
        groups = 1 if stride is None else x.shape[1]
        return w.norm(f"{block}.bn{index}", w.conv(f"{block}.conv{index}", x, stride or 1, groups))

    x = F.relu(w.norm("bn1", w.conv("conv1", x)))
    for stage, blocks in ((1, 4), (2, 8), (3, 4)):
        for index in range(blocks):
            block = f"layer{stage}.{index}"
            if index:
                left, right = x[:, : x.shape[1] // 2], x[:, x.shape[1] // 2 :]
                right = F.relu(step(block, 3, step(block, 2, F.relu(step(block, 1, right)), stride=1)))
            else:
                left = F.relu(step(block, 2, step(block, 1, x, stride=2)))
                right = F.relu(step(block, 5, step(block, 4, F.relu(step(block, 3, x)), stride=2)))
            x = shuffled(torch.cat([left, right], 1), 2)
    return F.relu(w.norm("bn2", w.conv("conv2", x)))


PLAIN: dict[str, Callable[[Weights, Tensor], Tensor]] = dict(
    zip(
        FAMILIES,
        (plain_resnet, plain_wide_resnet, plain_vgg, plain_mobilenet, plain_shufflenet_v1, plain_shufflenet_v2),
        strict=True,
    )
)


@FAMILY
def test_the_last_map_is_that_of_the_original_network_from_weights_of_the_same_names(name):
    backbone = build(name).double().eval()
    for key, value in backbone.state_dict().items():
        if value.ndim > 1:
            nn.init.kaiming_normal_(value)  # signals neither die nor explode
        elif key.endswith(("bias", "mean")):
            nn.init.normal_(value, std=0.2)
        elif not key.endswith("num_batches_tracked"):
            nn.init.uniform_(value, 0.7, 1.4)
    weights, inputs = Weights(backbone), 10 * pictures().double()  # so that a ReLU6 would show
    with torch.no_grad():
        (actual,) = backbone(inputs)
        expected = PLAIN[name](weights, inputs)
    assert actual.std() > 1e-6
    torch.testing.assert_close(actual, expected)
    assert weights.read == set(weights.values)


# ------------------------------------------------------------------------------------------------- size


@NETWORK
def test_the_parameters_and_the_last_map_are_those_of_the_distillation_tables(name):
    _, channels, side, parameters = NETWORKS[name]
    backbone = build(name)
    maps = backbone(pictures())
    assert isinstance(maps, tuple)
    assert [tuple(level.shape) for level in maps] == [(2, channels, side, side)]
    assert backbone.out_channels == channels
    assert count(backbone) + count(nn.Linear(channels, 100)) == parameters


def unit(inputs: int, outputs: int, kernel: int) -> int:
    """A convolution without bias, and the norm of its outputs."""
    return kernel**2 * inputs * outputs + 2 * outputs


@pytest.mark.parametrize("depth", [8, 14, 20, 26, 32, 44, 56, 110])
@pytest.mark.parametrize("channels", [(16, 16, 32, 64), X4], ids=str)
def test_a_resnet_has_the_parameters_that_its_definition_counts(depth, channels):
    blocks, expected = (depth - 2) // 6, unit(3, channels[0], 3)
    for inputs, outputs in pairwise(channels):
        expected += unit(inputs, outputs, 3) + (2 * blocks - 1) * unit(outputs, outputs, 3)
        expected += unit(inputs, outputs, 1) if inputs != outputs else 0
    assert count(CIFARResNet(depth, channels)) == expected


@pytest.mark.parametrize("depth", [10, 16, 22, 28, 40])
@pytest.mark.parametrize("widen_factor", [1, 2, 4])
def test_a_wide_resnet_has_the_parameters_that_its_definition_counts(depth, widen_factor):
    blocks, expected = (depth - 4) // 6, 27 * 16
    for inputs, outputs in pairwise((16, 16 * widen_factor, 32 * widen_factor, 64 * widen_factor)):
        expected += 9 * inputs * outputs + (2 * blocks - 1) * 9 * outputs**2 + 2 * inputs
        expected += (2 * blocks - 1) * 2 * outputs + (inputs * outputs if inputs != outputs else 0)
    assert count(CIFARWideResNet(depth, widen_factor)) == expected + 2 * outputs


@pytest.mark.parametrize(
    ("depth", "widths"),
    [
        (8, "64 128 256 512 512"),
        (11, "64 128 256 256 512 512 512 512"),
        (13, "64 64 128 128 256 256 512 512 512 512"),
        (16, "64 64 128 128 256 256 256 512 512 512 512 512 512"),
        (19, "64 64 128 128 256 256 256 256 512 512 512 512 512 512 512 512"),
    ],
)
def test_a_vgg_has_the_parameters_that_its_definition_counts(depth, widths):
    channels = [3, *map(int, widths.split())]
    assert count(CIFARVGG(depth)) == sum(unit(i, o, 3) + o for i, o in pairwise(channels))


def test_a_full_width_mobilenet_keeps_the_channels_of_its_last_convolution():
    narrow, full, wide = (CIFARMobileNetV2(widen_factor) for widen_factor in (0.5, 1, 2.0))
    assert [narrow.out_channels, full.out_channels, wide.out_channels] == [1280, 1280, 2560]
    assert full.conv1[0].out_channels == 32


@FAMILY
def test_every_stage_can_be_returned_and_none_is_overwritten_by_the_next(name):
    sides = SIDES[name]
    backbone, inputs = build(name, out_indices=tuple(range(len(sides)))), pictures()
    backbone.eval()
    maps = backbone(inputs)
    assert [level.shape[-1] for level in maps] == sides
    for index, level in enumerate(maps):
        backbone.out_indices = (index,)
        torch.testing.assert_close(backbone(inputs)[0], level)


# ---------------------------------------------------------------------------------------- in a classifier


@FAMILY
def test_it_trains_a_step_in_mmpretrains_classifier(name):
    model = classifier(name)
    before = {key: value.detach().clone() for key, value in model.named_parameters()}
    loss = model.train_step(batch(), OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.05)))["loss"].item()
    assert abs(loss - math.log(100)) < 2
    # convolutions and classifier: a norm's step can be smaller than what 1 + step can show
    weights = {key: value for key, value in model.named_parameters() if value.ndim > 1}
    assert not [key for key, value in weights.items() if torch.equal(value, before[key])]


@FAMILY
def test_a_checkpoint_gives_the_same_scores_again(name, tmp_path):
    model, data = classifier(name), batch()
    model.train_step(data, OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.05)))
    torch.save(model.state_dict(), tmp_path / "model.pth")
    other = classifier(name)
    other.load_state_dict(torch.load(tmp_path / "model.pth", weights_only=True))
    scores = [[sample.pred_score for sample in one.test_step(data)] for one in (model, other)]
    assert len(scores[0]) == 4
    for first, second in zip(*scores, strict=True):
        torch.testing.assert_close(first, second, rtol=0, atol=0)


# -------------------------------------------------------------------------------------- initialisation


@pytest.mark.parametrize("name", ["resnet8x4", "wrn_16_2", "vgg13", "MobileNetV2"])
def test_convolutions_start_with_a_variance_of_two_over_fan_out(name):
    backbone = build(name)
    backbone.init_weights()
    for conv in (module for module in backbone.modules() if isinstance(module, nn.Conv2d)):
        if conv.weight.numel() > 5000:
            expected = math.sqrt(2 / (conv.out_channels * conv.kernel_size[0] ** 2))
            assert abs(conv.weight.std().item() / expected - 1) < 0.06
        assert conv.bias is None or not conv.bias.any()


@pytest.mark.parametrize("name", ["ShuffleNetV1", "ShuffleNetV2"])
def test_the_shufflenets_keep_torchs_initialisation(name):
    backbone = build(name)
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    backbone.init_weights()
    assert all(torch.equal(value, before[key]) for key, value in backbone.state_dict().items())


# ---------------------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (dict(type=RESNET, depth=18), r"CIFARResNet.depth = 18: .* 8, 14, 20, 32, 44, 56, 110; the nearest is 20"),
        (dict(type=RESNET, depth=2), r"CIFARResNet.depth = 2: .* the nearest is 8"),
        (dict(type=RESNET, depth="20"), r"CIFARResNet.depth = '20': expected 6n \+ 2, such as 8, 14, 20"),
        (dict(type=RESNET, depth=8, channels=(16, 32, 64)), r"CIFARResNet.channels = \(16, 32, 64\): .* four numbers"),
        (dict(type=WRN, depth=20), r"CIFARWideResNet.depth = 20: .* 6n \+ 4, such as 10, 16, 22, 28, 40; .* is 22"),
        (dict(type=WRN, depth=16, widen_factor=0), r"CIFARWideResNet.widen_factor = 0: .* whole number above 0"),
        (dict(type=VGG, depth=12), r"CIFARVGG.depth = 12: expected one of 8, 11, 13, 16, 19"),
        (dict(type="mmdist.CIFARMobileNetV2", widen_factor=0), r"CIFARMobileNetV2.widen_factor = 0: .* or above"),
        (dict(type=VGG, depth=8, out_indices=(5,)), r"CIFARVGG.out_indices = \(5,\): .* from 0 to 4"),
        (dict(type=VGG, depth=8, out_indices=4), r"CIFARVGG.out_indices = 4: expected a tuple of stages"),
        (dict(type=VGG, depth=8, out_indices=()), r"CIFARVGG.out_indices = \(\): expected a tuple of stages"),
    ],
)
def test_a_wrong_argument_is_named_with_what_is_allowed(config, message):
    with pytest.raises(ConfigError, match=message):
        MODELS.build(config)

"""``mmdist.CIFARResNet``."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from mmdist.errors import ConfigError
from mmdist.models.backbones.base import KAIMING, CIFARBackbone, InitCfg, blocks_per_stage
from mmdist.registry import MODELS

DEPTHS = (8, 14, 20, 32, 44, 56, 110)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut, which is projected where stride or channels change."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = nn.Identity()
        if stride != 1 or in_channels != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(out)) + self.downsample(x))


@MODELS.register_module()
class CIFARResNet(CIFARBackbone):
    """ResNet with three stages of (depth - 2) / 6 basic blocks: resnet8 to resnet110, resnet8x4, resnet32x4.

    Its shortcuts are projections, as in the distillation tables; those of the ResNet paper have no parameters.

    Args:
        depth (int): 6n + 2, such as 8, 14, 20, 32, 44, 56, 110.
        channels (Sequence[int]): Of the stem and the three stages; the `x4` networks have (32, 64, 128, 256), a stem
            twice as wide and stages four times. Defaults to (16, 16, 32, 64).
        out_indices (Sequence[int]): The stages whose maps are returned. Defaults to (2,), the last.
        init_cfg (dict | list[dict], optional): Defaults to Kaiming, fan_out, for the convolutions.

    Raises:
        ConfigError: Another depth, not four channels, or a stage that there is not.

    Source:
        He et al., CVPR 2016, section 4.2; as in models/resnet.py of https://github.com/HobbitLong/RepDistiller.

    Example:
        >>> import torch
        >>> [tuple(m.shape) for m in CIFARResNet(8)(torch.randn(2, 3, 32, 32))]
        [(2, 64, 8, 8)]
    """

    num_stages = 3

    def __init__(
        self,
        depth: int,
        channels: Sequence[int] = (16, 16, 32, 64),
        out_indices: Sequence[int] = (2,),
        init_cfg: InitCfg = KAIMING,
    ) -> None:
        blocks = blocks_per_stage("CIFARResNet.depth", depth, 2, DEPTHS)
        if not isinstance(channels, list | tuple) or len(channels) != 4:
            raise ConfigError("CIFARResNet.channels", channels, "four numbers: the stem and three stages")
        stem, first, second, third = channels
        super().__init__(out_indices, third, init_cfg)
        self.conv1 = nn.Conv2d(3, stem, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = _stage(stem, first, blocks, stride=1)
        self.layer2 = _stage(first, second, blocks, stride=2)
        self.layer3 = _stage(second, third, blocks, stride=2)

    def stages(self, x: Tensor) -> list[Tensor]:
        first = self.layer1(self.relu(self.bn1(self.conv1(x))))
        second = self.layer2(first)
        return [first, second, self.layer3(second)]


def _stage(in_channels: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
    rest = (BasicBlock(channels, channels, 1) for _ in range(blocks - 1))
    return nn.Sequential(BasicBlock(in_channels, channels, stride), *rest)

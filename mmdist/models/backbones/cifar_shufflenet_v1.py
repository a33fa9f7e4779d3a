"""``mmdist.CIFARShuffleNetV1``."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmdist.models.backbones.base import CIFARBackbone, InitCfg
from mmdist.registry import MODELS

STEM = 24
CHANNELS = (240, 480, 960)
BLOCKS = (4, 8, 4)
GROUPS = 3


class ShuffleUnit(nn.Module):
    """Grouped 1x1, shuffle, 3x3 of each channel, grouped 1x1; a unit of stride 2 appends its pooled input."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        own = channels - in_channels if stride == 2 else channels
        middle = own // 4
        self.groups = 1 if in_channels == STEM else GROUPS  # the stem has too few channels for groups
        self.conv1 = nn.Conv2d(in_channels, middle, 1, groups=self.groups, bias=False)
        self.bn1 = nn.BatchNorm2d(middle)
        self.conv2 = nn.Conv2d(middle, middle, 3, stride, padding=1, groups=middle, bias=False)
        self.bn2 = nn.BatchNorm2d(middle)
        self.conv3 = nn.Conv2d(middle, own, 1, groups=GROUPS, bias=False)
        self.bn3 = nn.BatchNorm2d(own)
        self.pool = nn.AvgPool2d(3, stride=2, padding=1) if stride == 2 else None
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out = F.channel_shuffle(self.relu(self.bn1(self.conv1(x))), self.groups)
        out = self.bn3(self.conv3(self.relu(self.bn2(self.conv2(out)))))
        return self.relu(out + x if self.pool is None else torch.cat([out, self.pool(x)], 1))


@MODELS.register_module()
class CIFARShuffleNetV1(CIFARBackbone):
    """ShuffleNet 1x with three groups, at stride 8.

    Args:
        out_indices (Sequence[int]): The stages whose maps are returned. Defaults to (2,), the last.
        init_cfg (dict | list[dict], optional): Defaults to None, torch's own initialisation, as in the original code.

    Raises:
        ConfigError: A stage that there is not.

    Source:
        Zhang et al., CVPR 2018; as in models/ShuffleNetv1.py of https://github.com/HobbitLong/RepDistiller.

    Example:
        >>> import torch
        >>> [tuple(m.shape) for m in CIFARShuffleNetV1()(torch.randn(2, 3, 32, 32))]
        [(2, 960, 4, 4)]
    """

    num_stages = 3

    def __init__(self, out_indices: Sequence[int] = (2,), init_cfg: InitCfg = None) -> None:
        super().__init__(out_indices, CHANNELS[-1], init_cfg)
        self.conv1 = nn.Conv2d(3, STEM, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(STEM)
        self.relu = nn.ReLU(inplace=True)
        first, second, third = CHANNELS
        self.layer1 = _stage(STEM, first, BLOCKS[0])
        self.layer2 = _stage(first, second, BLOCKS[1])
        self.layer3 = _stage(second, third, BLOCKS[2])

    def stages(self, x: Tensor) -> list[Tensor]:
        first = self.layer1(self.relu(self.bn1(self.conv1(x))))
        second = self.layer2(first)
        return [first, second, self.layer3(second)]


def _stage(in_channels: int, channels: int, blocks: int) -> nn.Sequential:
    rest = (ShuffleUnit(channels, channels, 1) for _ in range(blocks - 1))
    return nn.Sequential(ShuffleUnit(in_channels, channels, 2), *rest)

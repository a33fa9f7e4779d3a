"""``mmdist.CIFARShuffleNetV2``."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmdist.models.backbones.base import CIFARBackbone, InitCfg
from mmdist.registry import MODELS

STEM = 24
CHANNELS = (116, 232, 464)
BLOCKS = (3, 7, 3)  # after the one that halves the size
LAST = 1024


class BasicBlock(nn.Module):
    """One half of the channels passes, the other goes through three convolutions; then the halves are shuffled."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv1 = nn.Conv2d(half, half, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(half)
        self.conv2 = nn.Conv2d(half, half, 3, padding=1, groups=half, bias=False)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv3 = nn.Conv2d(half, half, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(half)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        kept, x = x.chunk(2, dim=1)
        x = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        x = self.relu(self.bn3(self.conv3(x)))
        return F.channel_shuffle(torch.cat([kept, x], 1), 2)


class DownBlock(nn.Module):
    """Two branches that both see all channels and halve the size; their outputs are shuffled."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv1 = nn.Conv2d(in_channels, in_channels, 3, stride=2, padding=1, groups=in_channels, bias=False)
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv2 = nn.Conv2d(in_channels, half, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv3 = nn.Conv2d(in_channels, half, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(half)
        self.conv4 = nn.Conv2d(half, half, 3, stride=2, padding=1, groups=half, bias=False)
        self.bn4 = nn.BatchNorm2d(half)
        self.conv5 = nn.Conv2d(half, half, 1, bias=False)
        self.bn5 = nn.BatchNorm2d(half)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        left = self.bn1(self.conv1(x))
        left = self.relu(self.bn2(self.conv2(left)))
        right = self.relu(self.bn3(self.conv3(x)))
        right = self.relu(self.bn5(self.conv5(self.bn4(self.conv4(right)))))
        return F.channel_shuffle(torch.cat([left, right], 1), 2)


@MODELS.register_module()
class CIFARShuffleNetV2(CIFARBackbone):
    """ShuffleNetV2 1x, at stride 8.

    Args:
        out_indices (Sequence[int]): The stages whose maps are returned: 0 to 2 the stages of blocks, 3 the 1x1
            convolution after them. Defaults to (3,), the last.
        init_cfg (dict | list[dict], optional): Defaults to None, torch's own initialisation, as in the original code.

    Raises:
        ConfigError: A stage that there is not.

    Source:
        Ma et al., ECCV 2018; as in models/ShuffleNetv2.py of https://github.com/HobbitLong/RepDistiller.

    Example:
        >>> import torch
        >>> [tuple(m.shape) for m in CIFARShuffleNetV2()(torch.randn(2, 3, 32, 32))]
        [(2, 1024, 4, 4)]
    """

    num_stages = 4

    def __init__(self, out_indices: Sequence[int] = (3,), init_cfg: InitCfg = None) -> None:
        super().__init__(out_indices, LAST, init_cfg)
        self.conv1 = nn.Conv2d(3, STEM, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(STEM)
        self.relu = nn.ReLU(inplace=True)
        first, second, third = CHANNELS
        self.layer1 = _stage(STEM, first, BLOCKS[0])
        self.layer2 = _stage(first, second, BLOCKS[1])
        self.layer3 = _stage(second, third, BLOCKS[2])
        self.conv2 = nn.Conv2d(third, LAST, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(LAST)

    def stages(self, x: Tensor) -> list[Tensor]:
        first = self.layer1(self.relu(self.bn1(self.conv1(x))))
        second = self.layer2(first)
        third = self.layer3(second)
        return [first, second, third, self.relu(self.bn2(self.conv2(third)))]


def _stage(in_channels: int, channels: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(DownBlock(in_channels, channels), *(BasicBlock(channels) for _ in range(blocks)))

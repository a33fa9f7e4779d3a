"""``mmdist.CIFARWideResNet``."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn

from mmdist.errors import ConfigError
from mmdist.models.backbones.base import KAIMING, CIFARBackbone, InitCfg, blocks_per_stage
from mmdist.registry import MODELS

DEPTHS = (10, 16, 22, 28, 40)


class PreActBlock(nn.Module):
    """Norm and ReLU before each convolution; a projected shortcut takes the activated input, a plain one the input."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        same = in_channels == channels
        self.convShortcut = None if same else nn.Conv2d(in_channels, channels, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu1(self.bn1(x))
        shortcut = x if self.convShortcut is None else self.convShortcut(out)
        return shortcut + self.conv2(self.relu2(self.bn2(self.conv1(out))))


@MODELS.register_module()
class CIFARWideResNet(CIFARBackbone):
    """Wide ResNet with three stages of (depth - 4) / 6 pre-activation blocks: wrn_16_1, wrn_16_2, wrn_40_1, wrn_40_2.

    The map of the last stage is that after the network's final norm and ReLU, which is what is pooled; the maps of the
    stages before it are sums, not yet activated.

    Args:
        depth (int): 6n + 4, such as 16, 22, 28, 40.
        widen_factor (int): The stages have 16, 32 and 64 times as many channels. Defaults to 1.
        out_indices (Sequence[int]): The stages whose maps are returned. Defaults to (2,), the last.
        init_cfg (dict | list[dict], optional): Defaults to Kaiming, fan_out, for the convolutions.

    Raises:
        ConfigError: Another depth, a widen_factor that is no whole number above 0, or a stage that there is not.

    Source:
        Zagoruyko and Komodakis, BMVC 2016; as in models/wrn.py of https://github.com/HobbitLong/RepDistiller.

    Example:
        >>> import torch
        >>> [tuple(m.shape) for m in CIFARWideResNet(16, 2)(torch.randn(2, 3, 32, 32))]
        [(2, 128, 8, 8)]
    """

    num_stages = 3

    def __init__(
        self,
        depth: int,
        widen_factor: int = 1,
        out_indices: Sequence[int] = (2,),
        init_cfg: InitCfg = KAIMING,
    ) -> None:
        blocks = blocks_per_stage("CIFARWideResNet.depth", depth, 4, DEPTHS)
        if not isinstance(widen_factor, int) or widen_factor < 1:
            raise ConfigError("CIFARWideResNet.widen_factor", widen_factor, "a whole number above 0")
        first, second, third = (channels * widen_factor for channels in (16, 32, 64))
        super().__init__(out_indices, third, init_cfg)
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.block1 = _stage(16, first, blocks, stride=1)
        self.block2 = _stage(first, second, blocks, stride=2)
        self.block3 = _stage(second, third, blocks, stride=2)
        self.bn1 = nn.BatchNorm2d(third)
        self.relu = nn.ReLU(inplace=True)

    def stages(self, x: Tensor) -> list[Tensor]:
        first = self.block1(self.conv1(x))
        second = self.block2(first)
        return [first, second, self.relu(self.bn1(self.block3(second)))]


def _stage(in_channels: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
    rest = (PreActBlock(channels, channels, 1) for _ in range(blocks - 1))
    layer = nn.Sequential(PreActBlock(in_channels, channels, stride), *rest)
    return nn.Sequential(OrderedDict(layer=layer))

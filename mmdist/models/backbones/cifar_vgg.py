"""``mmdist.CIFARVGG``."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from mmdist.errors import ConfigError
from mmdist.models.backbones.base import KAIMING, CIFARBackbone, InitCfg
from mmdist.registry import MODELS

CHANNELS = (64, 128, 256, 512, 512)
CONVOLUTIONS = {
    8: (1, 1, 1, 1, 1),
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
POOLED = 3  # the first three stages; the last two stay at 4x4


@MODELS.register_module()
class CIFARVGG(CIFARBackbone):
    """VGG with batch norm and without hidden linear layers: vgg8, vgg11, vgg13, vgg16, vgg19.

    Args:
        depth (int): 8, 11, 13, 16 or 19.
        out_indices (Sequence[int]): The stages whose maps are returned, each before its max-pooling. Defaults to (4,),
            the last.
        init_cfg (dict | list[dict], optional): Defaults to Kaiming, fan_out, for the convolutions.

    Raises:
        ConfigError: Another depth, or a stage that there is not.

    Source:
        Simonyan and Zisserman, ICLR 2015; as in models/vgg.py of https://github.com/HobbitLong/RepDistiller.

    Example:
        >>> import torch
        >>> [tuple(m.shape) for m in CIFARVGG(8)(torch.randn(2, 3, 32, 32))]
        [(2, 512, 4, 4)]
    """

    num_stages = 5

    def __init__(self, depth: int, out_indices: Sequence[int] = (4,), init_cfg: InitCfg = KAIMING) -> None:
        if depth not in CONVOLUTIONS:
            raise ConfigError("CIFARVGG.depth", depth, f"one of {', '.join(map(str, CONVOLUTIONS))}")
        super().__init__(out_indices, CHANNELS[-1], init_cfg)
        inputs = (3, *CHANNELS)
        for index, convolutions in enumerate(CONVOLUTIONS[depth]):
            setattr(self, f"block{index}", _stage(inputs[index], CHANNELS[index], convolutions))
        self.relu = nn.ReLU()  # not in place: a stage ends with its norm, and its record stays what it is
        self.pool = nn.MaxPool2d(2)

    def stages(self, x: Tensor) -> list[Tensor]:
        maps: list[Tensor] = []
        for index in range(self.num_stages):
            x = self.relu(getattr(self, f"block{index}")(x))
            maps.append(x)
            x = self.pool(x) if index < POOLED else x
        return maps


def _stage(in_channels: int, channels: int, convolutions: int) -> nn.Sequential:
    """Convolution, norm and ReLU in turn; the last ReLU is the network's."""
    layers: list[nn.Module] = []
    for index in range(convolutions):
        conv = nn.Conv2d(channels if index else in_channels, channels, 3, padding=1)
        layers += [conv, nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers[:-1])

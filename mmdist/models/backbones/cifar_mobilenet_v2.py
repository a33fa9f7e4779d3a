"""``mmdist.CIFARMobileNetV2``."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from mmdist.errors import ConfigError
from mmdist.models.backbones.base import KAIMING, CIFARBackbone, InitCfg
from mmdist.registry import MODELS

STEM = 32
# expansion, channels, blocks, stride of the first block
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
LAST = 1280
NARROWEST = 1 / 16  # one channel in the first stage


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project; the expanding convolution is there even where it expands by 1."""

    def __init__(self, in_channels: int, channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = in_channels * expansion
        self.conv = nn.Sequential(
            *_conv_bn_relu(in_channels, wide, 1),
            *_conv_bn_relu(wide, wide, 3, stride, groups=wide),
            nn.Conv2d(wide, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.residual = stride == 1 and in_channels == channels

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.residual else self.conv(x)


@MODELS.register_module()
class CIFARMobileNetV2(CIFARBackbone):
    """MobileNetV2 at stride 16, with plain ReLU and expansion 6; half as wide in the distillation tables.

    Args:
        widen_factor (float): Multiplies the channels of all stages but the last, which is never narrower than 1280.
            Defaults to 0.5.
        out_indices (Sequence[int]): The stages whose maps are returned: 0 to 6 the inverted residuals, 7 the 1x1
            convolution after them. Defaults to (7,), the last.
        init_cfg (dict | list[dict], optional): Defaults to Kaiming, fan_out, for the convolutions.

    Raises:
        ConfigError: A network without channels, or a stage that there is not.

    Source:
        Sandler et al., CVPR 2018; as in models/mobilenetv2.py (`mobile_half`) of
        https://github.com/HobbitLong/RepDistiller.

    Example:
        >>> import torch
        >>> [tuple(m.shape) for m in CIFARMobileNetV2()(torch.randn(2, 3, 32, 32))]
        [(2, 1280, 2, 2)]
    """

    num_stages = len(STAGES) + 1

    def __init__(
        self,
        widen_factor: float = 0.5,
        out_indices: Sequence[int] = (len(STAGES),),
        init_cfg: InitCfg = KAIMING,
    ) -> None:
        if not isinstance(widen_factor, int | float) or not NARROWEST <= widen_factor < float("inf"):
            raise ConfigError("CIFARMobileNetV2.widen_factor", widen_factor, f"a number, {NARROWEST} or above")
        last = int(LAST * max(1.0, widen_factor))
        super().__init__(out_indices, last, init_cfg)
        inputs = int(STEM * widen_factor)
        self.conv1 = nn.Sequential(*_conv_bn_relu(3, inputs, 3, stride=2))
        self.blocks = nn.ModuleList()
        for expansion, width, count, stride in STAGES:
            channels = int(width * widen_factor)
            rest = (InvertedResidual(channels, channels, 1, expansion) for _ in range(count - 1))
            self.blocks.append(nn.Sequential(InvertedResidual(inputs, channels, stride, expansion), *rest))
            inputs = channels
        self.conv2 = nn.Sequential(*_conv_bn_relu(inputs, last, 1))

    def stages(self, x: Tensor) -> list[Tensor]:
        x = self.conv1(x)
        maps: list[Tensor] = []
        for stage in (*self.blocks, self.conv2):
            x = stage(x)
            maps.append(x)
        return maps


def _conv_bn_relu(
    in_channels: int, channels: int, kernel: int, stride: int = 1, groups: int = 1
) -> tuple[nn.Module, ...]:
    conv = nn.Conv2d(in_channels, channels, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
    return conv, nn.BatchNorm2d(channels), nn.ReLU(inplace=True)

"""``mmdist.MobileNetV1``."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from mmdist.models.backbones.base import CIFARBackbone, InitCfg
from mmdist.registry import MODELS

# channels and stride of every layer: a plain convolution, then separable ones
LAYERS = (
    *((32, 2), (64, 1)),
    *((128, 2), (128, 1)),
    *((256, 2), (256, 1)),
    *((512, 2), (512, 1), (512, 1), (512, 1), (512, 1), (512, 1)),
    *((1024, 2), (1024, 1)),
)
# a stage ends where the next layer has a stride
ENDS = tuple(index for index, (_, stride) in enumerate((*LAYERS[1:], (0, 2)), start=1) if stride == 2)


@MODELS.register_module()
class MobileNetV1(CIFARBackbone):
    """MobileNetV1 of the ImageNet distillation tables, for 224x224 pictures; mmpretrain has only its successors.

    SDD's ImageNet configs call it MobileNetV2.

    Args:
        out_indices (Sequence[int]): The stages whose maps are returned, at strides 2 to 32. Defaults to (4,), the last.
        init_cfg (dict | list[dict], optional): Defaults to None, torch's own, as in the original code.

    Raises:
        ConfigError: A stage that there is not.

    Source:
        Howard et al., https://arxiv.org/abs/1704.04861; as in ``models/imagenet/mobilenetv1.py`` of
        https://github.com/megvii-research/mdistiller.

    Example:
        >>> import torch
        >>> [tuple(m.shape) for m in MobileNetV1()(torch.randn(2, 3, 64, 64))]
        [(2, 1024, 2, 2)]
    """

    num_stages = len(ENDS)

    def __init__(self, out_indices: Sequence[int] = (len(ENDS) - 1,), init_cfg: InitCfg = None) -> None:
        super().__init__(out_indices, LAYERS[-1][0], init_cfg)
        (first, stride), *others = LAYERS
        self.model = nn.Sequential(_full(3, first, stride))
        inputs = first
        for channels, stride in others:
            self.model.append(_separable(inputs, channels, stride))
            inputs = channels

    def stages(self, x: Tensor) -> list[Tensor]:
        maps: list[Tensor] = []
        for index, layer in enumerate(self.model, start=1):
            x = layer(x)
            if index in ENDS:
                maps.append(x)
        return maps


def _full(in_channels: int, channels: int, stride: int) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(channels), nn.ReLU(inplace=True))


def _separable(in_channels: int, channels: int, stride: int) -> nn.Sequential:
    """Filter each channel, then mix the channels."""
    return nn.Sequential(
        nn.Conv2d(in_channels, in_channels, 3, stride, padding=1, groups=in_channels, bias=False),
        nn.BatchNorm2d(in_channels),
        nn.ReLU(inplace=True),
        nn.Conv2d(in_channels, channels, 1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
    )

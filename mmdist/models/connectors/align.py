"""``mmdist.AlignConnector``: one side's feature maps in the shape of the other's."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from mmdist.errors import ConfigError
from mmdist.functional import resize_maps
from mmdist.models.connectors.size import SizedConnector
from mmdist.models.losses.levels import Maps
from mmdist.registry import MODELS


@MODELS.register_module()
class AlignConnector(SizedConnector):
    """A 1x1 convolution to the other side's channels, then a resize to its size; one convolution a level.

    Inside ``mmdist.SingleTeacherDistill`` the channels are found when the model is built, from what the two recorders
    of the loss record, and the size in each iteration. Elsewhere give ``in_channels`` and ``out_channels``; the size
    then stays.

    Args:
        in_channels (int | Sequence[int], optional): Channels of the record, or one number a level; None: inferred.
        out_channels (int | Sequence[int], optional): Channels of the other side, likewise.
        resize (bool): Bilinear resize to the other side's height and width where they differ. Defaults to True.
        bias (bool): Of the convolutions. Defaults to True.
        init_cfg (dict, optional): As in every OpenMMLab module.

    Raises:
        ConfigError: Another number of levels on the two sides.

    Source:
        DIST+ (TPAMI 2025): 1x1 alignment of the student, also where the channels are equal. Bias and resizing are ours.

    Example:
        >>> import torch
        >>> connector = AlignConnector(in_channels=8, out_channels=16)
        >>> connector(torch.randn(2, 8, 4, 4)).shape
        torch.Size([2, 16, 4, 4])
    """

    def __init__(
        self,
        in_channels: int | Sequence[int] | None = None,
        out_channels: int | Sequence[int] | None = None,
        resize: bool = True,
        bias: bool = True,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.resize = resize
        self.bias = bias
        self.convs = nn.ModuleList()
        if (in_channels is None) != (out_channels is None):
            raise ConfigError("AlignConnector", None, "both `in_channels` and `out_channels`, or neither")
        if in_channels is not None and out_channels is not None:
            self.shape(_levels(in_channels), _levels(out_channels))

    @property
    def waits(self) -> bool:
        """Whether the result takes its size from the other side."""
        return self.resize

    @property
    def shaped(self) -> bool:
        """Whether the channels are known."""
        return len(self.convs) > 0

    def shape(self, in_channels: Sequence[int], out_channels: Sequence[int]) -> None:
        """Make the convolutions, one a level.

        Args:
            in_channels (Sequence[int]): Of the record.
            out_channels (Sequence[int]): Of the other side.

        Raises:
            ConfigError: Another number of levels on the two sides, or other channels than before.
        """
        if len(in_channels) != len(out_channels) or not in_channels:
            wanted = f"{len(out_channels)} levels, as the other side has"
            raise ConfigError("AlignConnector", f"{len(in_channels)} levels", wanted)
        pairs = list(zip(in_channels, out_channels, strict=True))
        if self.shaped and pairs != [(conv.in_channels, conv.out_channels) for conv in self.convs]:
            before = [(conv.in_channels, conv.out_channels) for conv in self.convs]
            raise ConfigError("AlignConnector", pairs, f"{before}, as in its other use; give each its own connector")
        if not self.shaped:
            self.convs.extend(nn.Conv2d(*pair, kernel_size=1, bias=self.bias) for pair in pairs)

    def forward_train(self, feature: Maps) -> Maps:
        """Align the record.

        Args:
            feature (Tensor | Sequence[Tensor]): (N, C, H, W), or one a level.

        Returns:
            Tensor | tuple[Tensor, ...]: In the channels and, where it is known, the size of the other side.
        """
        if not self.shaped:
            raise ConfigError(
                "AlignConnector.in_channels", None, "the channels of both sides, outside mmdist.SingleTeacherDistill"
            )
        levels = self.levels(feature)
        self.check_levels(levels, len(self.convs))
        sizes = (self.next_sizes() if self.resize else None) or [tuple(level.shape[2:]) for level in levels]
        self.check_levels(levels, len(sizes))
        aligned = [resize_maps(conv(level), size) for conv, level, size in zip(self.convs, levels, sizes, strict=True)]
        return aligned[0] if isinstance(feature, Tensor) else tuple(aligned)


def _levels(channels: int | Sequence[int]) -> list[int]:
    return [channels] if isinstance(channels, int) else list(channels)

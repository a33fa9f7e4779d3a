"""``mmdist.ResizeConnector``: one side's maps at the size of the other's."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from mmdist.errors import ConfigError
from mmdist.functional import resize_maps
from mmdist.models.connectors.size import SizedConnector
from mmdist.models.losses.levels import Maps
from mmdist.registry import MODELS


@MODELS.register_module()
class ResizeConnector(SizedConnector):
    """Bilinear resize to the height and width of the other side's record; it has no weights.

    For maps of class scores whose sizes are no multiples of each other, or change from batch to batch, such as those of
    SegFormer (a quarter of the image) under DeepLabV3 (an eighth) on crops of 769. It stands on the record of the
    student or of the teacher, of each pair on one: best on the coarser map, so that every position of both counts.

    Inside ``mmdist.SingleTeacherDistill`` the size comes in each iteration from the record of the other side in the
    same loss. MMRazor's own algorithm tells a connector nothing: give ``size`` there.

    Args:
        size (int | Sequence[int], optional): Height and width of the result, always; None: those of the other side.
        align_corners (bool): As in ``torch.nn.functional.interpolate``. Take the ``align_corners`` of the head whose
            map is resized. Defaults to False, as in most heads of MMSegmentation.
        init_cfg (dict, optional): As in every OpenMMLab module.

    Raises:
        ConfigError: A size that is none.

    Example:
        >>> import torch
        >>> connector = ResizeConnector()
        >>> connector.match(torch.randn(2, 19, 193, 193))  # mmdist.SingleTeacherDistill does that
        >>> connector(torch.randn(2, 19, 97, 97)).shape
        torch.Size([2, 19, 193, 193])
    """

    def __init__(
        self, size: int | Sequence[int] | None = None, align_corners: bool = False, init_cfg: dict | None = None
    ) -> None:
        super().__init__(init_cfg)
        if not isinstance(align_corners, bool):
            raise ConfigError("ResizeConnector.align_corners", align_corners, "True or False")
        self.size = None if size is None else as_size(size, "ResizeConnector.size")
        self.align_corners = align_corners

    @property
    def waits(self) -> bool:
        """Whether the result takes its size from the other side."""
        return self.size is None

    def forward_train(self, feature: Maps) -> Maps:
        """Resize the record.

        Args:
            feature (Tensor | Sequence[Tensor]): (N, C, H, W), or one a level.

        Returns:
            Tensor | tuple[Tensor, ...]: At the new size; as they are where they have it.

        Raises:
            ConfigError: No maps, other levels than the other side has, or a size that nobody has told.
        """
        levels = self.levels(feature)
        sizes = [self.size] * len(levels) if self.size is not None else self.next_sizes()
        if sizes is None:
            wanted = "(height, width): only mmdist.SingleTeacherDistill tells it the size of the other side"
            raise ConfigError("ResizeConnector.size", None, wanted)
        self.check_levels(levels, len(sizes))
        resized = [
            resize_maps(level, size, align_corners=self.align_corners)
            for level, size in zip(levels, sizes, strict=True)
        ]
        return resized[0] if isinstance(feature, Tensor) else tuple(resized)

    def extra_repr(self) -> str:
        """The hyper-parameters, for ``print(model)``."""
        return f"size={self.size}, align_corners={self.align_corners}"


def as_size(size: int | Sequence[int], key: str) -> tuple[int, int]:
    """Height and width.

    Args:
        size (int | Sequence[int]): In pixels or positions; one number for both.
        key (str): Where it stands in the user's config, for messages.

    Raises:
        ConfigError: Something else.

    Example:
        >>> as_size(384, 'size'), as_size([2, 3], 'size')
        ((384, 384), (2, 3))
    """
    pair = [size, size] if isinstance(size, int) else list(size) if isinstance(size, list | tuple) else []
    whole = all(isinstance(number, int) and not isinstance(number, bool) and number > 0 for number in pair)
    if len(pair) != 2 or not whole:
        raise ConfigError(key, size, "height and width, whole numbers above 0")
    return pair[0], pair[1]

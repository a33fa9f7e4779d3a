"""What the CIFAR backbones share: stages in a row, of which some maps are returned."""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.model import BaseModule
from torch import Tensor

from mmdist.errors import ConfigError

InitCfg = dict | list[dict] | None
KAIMING = dict(type="Kaiming", layer="Conv2d", mode="fan_out", nonlinearity="relu", distribution="normal")


class CIFARBackbone(BaseModule):
    """A backbone for 32x32 pictures, for mmpretrain's ``GlobalAveragePooling`` and ``LinearClsHead`` to follow.

    Modules carry the names that they have in the original code, so that its weights fit: classifier aside, a key needs
    no more than a prefix.

    Args:
        out_indices (Sequence[int]): The stages whose maps are returned, from 0.
        out_channels (int): Channels of the last stage's map.
        init_cfg (dict | list[dict], optional): As in every OpenMMLab module.

    Raises:
        ConfigError: A stage that there is not, or none.
    """

    num_stages: int

    def __init__(self, out_indices: Sequence[int], out_channels: int, init_cfg: InitCfg) -> None:
        super().__init__(init_cfg)
        known = range(self.num_stages)
        if not isinstance(out_indices, list | tuple) or not out_indices or not set(out_indices) <= set(known):
            name = f"{type(self).__name__}.out_indices"
            raise ConfigError(name, out_indices, f"a tuple of stages from 0 to {known[-1]}")
        self.out_indices = tuple(out_indices)
        self.out_channels = out_channels

    def stages(self, x: Tensor) -> list[Tensor]:
        """The maps of all stages.

        Args:
            x (Tensor): (N, 3, 32, 32).

        Returns:
            list[Tensor]: One (N, C, H, W) a stage.
        """
        raise NotImplementedError

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """The maps of the stages in ``out_indices``.

        Args:
            x (Tensor): (N, 3, 32, 32).

        Returns:
            tuple[Tensor, ...]: (N, C, H, W) each, before any global pooling.
        """
        maps = self.stages(x)
        return tuple(maps[index] for index in self.out_indices)


def blocks_per_stage(key: str, depth: int, outside: int, usual: Sequence[int]) -> int:
    """Blocks of two convolutions in each of three stages.

    Args:
        key (str): Where the depth stands in the user's config, for messages.
        depth (int): Of the whole network.
        outside (int): Layers outside the blocks.
        usual (Sequence[int]): Depths that are in use, for messages.

    Returns:
        int: Blocks in a stage.

    Raises:
        ConfigError: A depth that three equal stages cannot have.

    Example:
        >>> blocks_per_stage('CIFARResNet.depth', 20, 2, (8, 20))
        3
    """
    allowed = f"6n + {outside}, such as {', '.join(map(str, usual))}"
    if not isinstance(depth, int):
        raise ConfigError(key, depth, allowed)
    blocks, rest = divmod(depth - outside, 6)
    if rest or blocks < 1:
        nearest = outside + 6 * max(1, round((depth - outside) / 6))
        raise ConfigError(key, depth, allowed, f"the nearest is {nearest}")
    return blocks

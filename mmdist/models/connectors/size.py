"""Connectors that bring a record to the size of the other side's."""

from __future__ import annotations

from mmrazor.models.architectures.connectors.base_connector import BaseConnector
from torch import Tensor

from mmdist.errors import ConfigError
from mmdist.models.losses.levels import Maps

Sizes = list[tuple[int, ...]]


class SizedConnector(BaseConnector):
    """A connector that is told the other side's size before it is called: MMRazor hands it one record alone.

    ``mmdist.SingleTeacherDistill`` tells it in each iteration, once for each use, in the order in which the distiller
    computes its losses. So one connector may serve several losses whose maps are of different sizes.
    """

    def __init__(self, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self._told: list[Sizes] = []
        self._calls = 0

    @property
    def waits(self) -> bool:
        """Whether the result takes its size from the other side."""
        return True

    def forget(self) -> None:
        """A new iteration begins: nothing is known of the other side."""
        self._told, self._calls = [], 0

    def match(self, other: Maps) -> None:
        """Tell the size of a later result; several are used up one a call, the last one stays.

        Args:
            other (Tensor | Sequence[Tensor]): The other side's maps (N, C, H, W), or one a level.

        Raises:
            ConfigError: No maps.
        """
        if self._calls:
            self.forget()
        self._told.append([tuple(level.shape[2:]) for level in self.levels(other, "the other side's record")])

    def next_sizes(self) -> Sizes | None:
        """The sizes of the result of this call, one a level; None: nobody has told them."""
        if not self._told:
            return None
        self._calls += 1
        return self._told[min(self._calls, len(self._told)) - 1]

    def levels(self, maps: Maps, what: str = "its record") -> list[Tensor]:
        """Maps as a list, a single one as one level.

        Args:
            maps (Tensor | Sequence[Tensor]): (N, C, H, W), or one a level.
            what (str): What they are, for messages.

        Raises:
            ConfigError: Something else.
        """
        found = list(maps) if isinstance(maps, list | tuple) else [maps]
        if not found or not all(isinstance(level, Tensor) and level.ndim == 4 for level in found):
            given = tuple(maps.shape) if isinstance(maps, Tensor) else type(maps).__name__
            raise ConfigError(type(self).__name__, given, f"maps (N, C, H, W), or a tuple of them, in {what}")
        return found

    def check_levels(self, levels: list[Tensor], wanted: int) -> None:
        """Raises a ConfigError for another number of levels than ``wanted``."""
        if len(levels) != wanted:
            raise ConfigError(type(self).__name__, f"a record of {len(levels)} levels", f"{wanted} levels")

"""The weight of a loss, and its warm-up."""

from __future__ import annotations

import logging

from mmengine.logging import MessageHub, print_log
from torch import Tensor, nn

from mmdist.errors import ConfigError
from mmdist.functional.checks import check_non_negative
from mmdist.models.losses.levels import ignored_label, label_map


class WeightedLoss(nn.Module):
    """A loss with a weight, which may grow to its full size at the start of the training.

    The weight is multiplied with min(epoch / ``warmup_epochs``, 1), or min(iteration / ``warmup_iters``, 1), both
    counted from 1. The count is the runner's, from mmengine's MessageHub: the same on every rank, and right after a
    resume. Without a runner the factor is 1.

    Args:
        loss_weight (float): Weight of the loss.
        warmup_epochs (int): Epochs of warm-up; 0: none. A training by iterations is a single epoch.
        warmup_iters (int): Iterations of warm-up; 0: none.

    Raises:
        ValueError: A weight or a length that cannot be, or both lengths.

    Source:
        ``megvii-research/mdistiller``, where DKD warms up.
    """

    needs_labels = False  # whether images without labels teach nothing through it
    ignore_index: int | None = None

    def __init__(self, loss_weight: float, warmup_epochs: int = 0, warmup_iters: int = 0) -> None:
        super().__init__()
        name = type(self).__name__
        check_non_negative(f"{name}.loss_weight", loss_weight)
        for key, length in (("warmup_epochs", warmup_epochs), ("warmup_iters", warmup_iters)):
            if not isinstance(length, int) or isinstance(length, bool) or length < 0:
                raise ConfigError(f"{name}.{key}", length, "an integer, 0 (no warm-up) or above")
        if warmup_epochs and warmup_iters:
            raise ConfigError(f"{name}.warmup_iters", warmup_iters, "0", f"warmup_epochs is {warmup_epochs}: give one")
        self.loss_weight = loss_weight
        self.warmup_epochs = warmup_epochs
        self.warmup_iters = warmup_iters
        self._warned = False

    def weigh(self, loss: Tensor) -> Tensor:
        """The loss times its weight at this point of the training."""
        return self.loss_weight * self.warmup_factor() * loss

    def ignored(self, channels: int) -> int:
        """The label of positions that do not count, for maps of so many channels."""
        return ignored_label(self.ignore_index, channels)

    def positions(self, maps: Tensor) -> Tensor:
        """Maps as (N, C, *spatial), or one row a position."""
        return maps

    def labels_of(self, maps: Tensor, gt_labels: Tensor) -> Tensor:
        """The label of each of :meth:`positions`, (N, *spatial), which the loss takes as well as those given to it."""
        return label_map(maps, gt_labels)

    def warmup_factor(self) -> float:
        """How far the warm-up has come, above 0 and at most 1."""
        key, length = ("epoch", self.warmup_epochs) if self.warmup_epochs else ("iter", self.warmup_iters)
        if not length:
            return 1.0
        hub = MessageHub.get_current_instance()
        done = hub.get_info(key)
        if done is None:
            return 1.0
        if key == "epoch" and length > hub.get_info("max_epochs", length) == 1 and not self._warned:
            self._warned = True
            text = f"warmup_epochs = {length}, but this training has one epoch; by iterations, give warmup_iters"
            print_log(f"{type(self).__name__}: {text}", "current", logging.WARNING)
        return min((done + 1) / length, 1.0)

"""``mmdist.LabeledUnlabeledBatchSampler``."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.dist import all_gather_object
from torch.utils.data import Sampler

from mmdist.datasets.images import look_at
from mmdist.datasets.labeled_unlabeled import LabeledUnlabeledDataset
from mmdist.datasets.order import Order
from mmdist.errors import ConfigError
from mmdist.registry import DATA_SAMPLERS

KEY = "train_dataloader.batch_sampler"
EPOCHS = ("labeled", "unlabeled")
ANY_SIZE = 1 << 62


@DATA_SAMPLERS.register_module()
class LabeledUnlabeledBatchSampler(Sampler):
    """Batches with fixed counts of labelled and unlabelled images, the labelled first, on every process alike.

    What a batch holds depends on seed, pass and number of the batch alone: not on the number of data workers, nor on
    where a run was interrupted. The processes share the images of each batch out among them. Under mmengine's
    ``InfiniteSampler`` both kinds go on without end, each image once in every pass over its kind. Under
    ``DefaultSampler`` a pass over the labelled images is an epoch, filled up as ``DefaultSampler`` fills it up, and the
    unlabelled go on from epoch to epoch.

    Args:
        sampler (DefaultSampler | InfiniteSampler): Of a :class:`~mmdist.datasets.LabeledUnlabeledDataset`; seed,
            shuffling and epoch are its.
        batch_size (int): The dataloader's: the labelled images of a batch, or all of them.
        unlabeled (int): Unlabelled images in the batch of each process.
        labeled (int, optional): Labelled images in it. Defaults to ``batch_size``.
        epoch (str): Which kind an epoch is a pass over, ``labeled`` or ``unlabeled``. Defaults to ``labeled``.
        group_by_aspect_ratio (bool): The images of each kind in a batch are all wider than high, or all higher than
            wide, as with mmdet's ``AspectRatioBatchSampler``. At the end of each pass over a kind what is left of both
            makes batches, the last of them filled up. Defaults to False.

    Raises:
        ConfigError: Counts that cannot be, or are not the same on all processes, or another sampler or dataset.

    Example:
        >>> batch_sampler = dict(type='mmdist.LabeledUnlabeledBatchSampler', labeled=8, unlabeled=24)
    """

    def __init__(
        self,
        sampler: Sampler,
        batch_size: int,
        unlabeled: int,
        labeled: int | None = None,
        epoch: str = "labeled",
        group_by_aspect_ratio: bool = False,
    ) -> None:
        if not isinstance(sampler, DefaultSampler | InfiniteSampler):
            raise ConfigError("train_dataloader.sampler", type(sampler).__name__, ["DefaultSampler", "InfiniteSampler"])
        dataset: Any = sampler.dataset
        if not isinstance(dataset, LabeledUnlabeledDataset):
            name = type(dataset).__name__
            hint = "num_batch_per_epoch wraps it: leave it out" if name == "_SlicedDataset" else ""
            raise ConfigError("train_dataloader.dataset", name, "an mmdist.LabeledUnlabeledDataset", hint)
        if epoch not in EPOCHS:
            raise ConfigError(f"{KEY}.epoch", epoch, EPOCHS)
        counts = dict(labeled=batch_size if labeled is None else labeled, unlabeled=unlabeled)
        sizes = dict(labeled=len(dataset.labeled), unlabeled=len(dataset.unlabeled))
        _check_alike(counts, sizes)
        for kind, count in counts.items():
            if not isinstance(count, int) or isinstance(count, bool) or count < 1:
                hint = "without unlabelled images, take the task's own dataloader" if kind == "unlabeled" else ""
                raise ConfigError(f"{KEY}.{kind}", count, "a whole number, 1 or above", hint)
            if count > sizes[kind]:
                raise ConfigError(f"{KEY}.{kind}", count, f"{sizes[kind]} at most: the dataset has no more such images")
        if batch_size not in (counts["labeled"], sum(counts.values())):
            wanted = f"{counts['labeled']} (the labelled images of a batch) or {sum(counts.values())} (all)"
            raise ConfigError("train_dataloader.batch_size", batch_size, wanted)
        self.sampler, self.epoch = sampler, epoch
        self.labeled, self.unlabeled = counts["labeled"], counts["unlabeled"]
        self.batch_size, self.drop_last = sum(counts.values()), False
        self.group_by_aspect_ratio = group_by_aspect_ratio
        self._orders = {
            kind: Order(sizes[kind], counts[kind], stream, self._is_wide(dataset.datasets[stream]))
            for stream, kind in enumerate(EPOCHS)
        }

    def __len__(self) -> int:
        order = self._orders[self.epoch]
        return math.ceil(order.count / (order.size * self.sampler.world_size))

    def __iter__(self) -> Iterator[list[int]]:
        endless = isinstance(self.sampler, InfiniteSampler)
        pass_ = 0 if endless else self.sampler.epoch
        for number in itertools.count() if endless else range(len(self)):
            yield self.batch(pass_, number, endless=endless)

    def batch(self, pass_: int, number: int, *, endless: bool = False) -> list[int]:
        """The images of one batch of this process.

        Args:
            pass_ (int): The epoch; 0 in an endless order.
            number (int): Of the batch, in the pass.
            endless (bool): The order of both kinds goes on and on.

        Returns:
            list[int]: Indices of the dataset.
        """
        rank, world = self.sampler.rank, self.sampler.world_size
        seed = self.sampler.seed if self.sampler.shuffle else None
        overall = (pass_ * len(self) + number) * world + rank
        found = {}
        for kind, order in self._orders.items():
            inside = kind == self.epoch and not endless
            found[kind] = order.in_pass(seed, pass_, number * world + rank) if inside else order.group(seed, overall)
        return found["labeled"] + [self._orders["labeled"].count + index for index in found["unlabeled"]]

    def _is_wide(self, dataset: Any) -> list[bool] | None:
        if not self.group_by_aspect_ratio:
            return None
        sizes = (_size(dataset.get_data_info(index)) for index in range(len(dataset)))
        return [width >= height for width, height in sizes]


def _size(info: dict) -> tuple[int, int]:
    """Width and height of an image, from its annotations or else its file."""
    if "width" in info and "height" in info:
        return info["width"], info["height"]
    look = look_at(info["img_path"], ANY_SIZE)
    if look.fault:
        hint = f"{info['img_path']} {look.fault}"
        raise ConfigError(f"{KEY}.group_by_aspect_ratio", True, "images whose sizes are known", hint)
    return look.width, look.height


def _check_alike(counts: dict[str, int], sizes: dict[str, int]) -> None:
    """Every process has these counts, or some would wait for others for ever."""
    mine = {f"{KEY}.{kind}": count for kind, count in counts.items()}
    mine |= {f"len(train_dataloader.dataset.{kind})": size for kind, size in sizes.items()}
    everyones = all_gather_object(mine)
    for rank, other in enumerate(everyones):
        for name, value in other.items():
            if value != everyones[0][name]:
                hint = f"process 0 has {everyones[0][name]}, process {rank} {value}"
                raise ConfigError(name, value, "the same on all processes", hint)

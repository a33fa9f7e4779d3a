"""The images that the models predict, and the batches that they train on."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmdist.engine.checks.datasets import spread
from mmdist.engine.gap.data import LEFT_OUT


def training_loader(cfg: Config) -> DataLoader:
    """The training data as in the training, loaded by this process.

    Args:
        cfg (Config): With ``train_dataloader``.

    Returns:
        DataLoader: Of a fixed seed.
    """
    loader = {key: value for key, value in cfg.train_dataloader.items() if key not in LEFT_OUT}
    return Runner.build_dataloader({**loader, "num_workers": 0}, seed=0)


def training_batches(loader: DataLoader, count: int) -> tuple[list[Any], list[float]]:
    """Some batches, from the start again where there are fewer, and the seconds that each took to load.

    Args:
        loader (DataLoader): Of one process.
        count (int): How many.

    Returns:
        tuple[list[Any], list[float]]: Both as long as ``count``.
    """
    batches: list[Any] = []
    seconds: list[float] = []
    while len(batches) < count:
        before, start = len(batches), time.perf_counter()
        for batch in islice(loader, count - before):
            batches.append(batch)
            seconds.append(time.perf_counter() - start)
            start = time.perf_counter()
        if len(batches) == before:
            break
    return batches, seconds


def choose(labels: Sequence[int] | None, total: int, count: int) -> list[tuple[int, int]]:
    """Images spread over a data set, in two halves that can check each other.

    Of a classifier's data each class that is looked at has an image in both halves, so with many classes and few images
    not all are looked at.

    Args:
        labels (Sequence[int], optional): The label of each image, where it has one.
        total (int): How many images there are.
        count (int): How many are wanted.

    Returns:
        list[tuple[int, int]]: Index and half, 0 or 1.

    Example:
        >>> choose(None, 10, 4), choose([0, 0, 0, 1, 1, 1], 6, 4)
        ([(0, 0), (3, 1), (6, 0), (9, 1)], [(0, 0), (2, 1), (3, 0), (5, 1)])
    """
    if count < 1:
        return []
    if labels is None or count < 2:
        return [(index, position % 2) for position, index in enumerate(_spread(total, count))]
    groups: dict[int, list[int]] = {}
    for index, label in enumerate(labels):
        groups.setdefault(label, []).append(index)
    kept = [groups[label] for label in sorted(groups)]
    kept = [kept[index] for index in _spread(len(kept), max(1, count // 2))]
    chosen = []
    for number, group in enumerate(kept):
        share = (number + 1) * count // len(kept) - number * count // len(kept)
        chosen += [(group[index], position % 2) for position, index in enumerate(_spread(len(group), share))]
    return chosen


def labels_of(dataset: Any) -> list[int] | None:
    """The label of each image of a classifier's data; None where there is none, or are several."""
    found = []
    if not hasattr(dataset, "get_data_info"):  # no data set of mmengine's
        return None
    for index in range(len(dataset)):
        label = dataset.get_data_info(index).get("gt_label")
        if not hasattr(label, "__index__"):
            return None
        found.append(int(label))
    return found


def batches_of(loader: DataLoader, chosen: Sequence[tuple[int, int]]) -> Iterator[tuple[list[int], Any]]:
    """The chosen images in batches of the loader's size.

    Args:
        loader (DataLoader): Of the validation data.
        chosen (Sequence[tuple[int, int]]): See :func:`choose`.

    Yields:
        tuple[list[int], Any]: The half of each image, and the batch.
    """
    size = loader.batch_size or 1
    for start in range(0, len(chosen), size):
        part = chosen[start : start + size]
        yield [half for _, half in part], loader.collate_fn([loader.dataset[index] for index, _ in part])


def _spread(total: int, count: int) -> list[int]:
    return spread(total, count) if count > 1 else [0][:total]

"""The datasets inside wrappers, with their key paths."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmengine.dataset import BaseDataset

from mmdist.datasets import LabeledUnlabeledDataset


def leaves(dataset: Any, key: str) -> Iterator[tuple[BaseDataset, str]]:
    """mmengine's datasets, of which wrappers are made.

    Args:
        dataset (Any): A dataset or a wrapper.
        key (str): Its path in the config.

    Yields:
        tuple[BaseDataset, str]: One that reads its images by itself, and its path.
    """
    if isinstance(dataset, BaseDataset):
        yield dataset, key
    elif isinstance(dataset, LabeledUnlabeledDataset):
        yield from leaves(dataset.labeled, f"{key}.labeled")
        yield from leaves(dataset.unlabeled, f"{key}.unlabeled")
    elif isinstance(getattr(dataset, "datasets", None), list | tuple):
        for index, inner in enumerate(dataset.datasets):
            yield from leaves(inner, f"{key}.datasets.{index}")
    elif getattr(dataset, "dataset", None) is not None:
        yield from leaves(dataset.dataset, f"{key}.dataset")


def spread(count: int, most: int) -> list[int]:
    """Indices spread over a dataset, the first and the last among them.

    Example:
        >>> spread(10, 4)
        [0, 3, 6, 9]
        >>> spread(2, 4)
        [0, 1]
    """
    if count <= most:
        return list(range(count))
    return [round(index * (count - 1) / (most - 1)) for index in range(most)]

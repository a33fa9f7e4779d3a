"""Folders of images without labels, and dataloaders of both kinds."""

from __future__ import annotations

from copy import deepcopy
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from PIL import Image
from torch.utils.data import Dataset

from mmdist.datasets import LabeledUnlabeledBatchSampler
from mmdist.errors import ConfigError


def write_images(folder: Path, sizes: list[tuple[int, int]], seed: int = 1) -> Path:
    """Images of these widths and heights, numbered; the folder."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for index, (width, height) in enumerate(sizes):
        Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(folder / f"{index:03d}.png")
    return folder


def with_unlabeled(cfg: Config, unlabeled: Any, *, labeled: int = 2, count: int = 3, **options: Any) -> Config:
    """A run's config with unlabelled images beside its own."""
    cfg = deepcopy(cfg)
    loader = cfg.train_dataloader
    loader.dataset = dict(type="mmdist.LabeledUnlabeledDataset", labeled=loader.dataset, unlabeled=unlabeled)
    loader.batch_size = labeled
    loader.batch_sampler = dict(type="mmdist.LabeledUnlabeledBatchSampler", unlabeled=count, **options)
    return cfg


class Numbers(Dataset):
    """As many labelled images, of these widths and heights: what the samplers need of a dataset."""

    def __init__(self, sizes: list[tuple[int, int]]) -> None:
        self.sizes = sizes

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, index: int) -> int:
        return index

    def get_data_info(self, index: int) -> dict[str, Any]:
        return dict(width=self.sizes[index][0], height=self.sizes[index][1])


def make_batches(dataset: Any, sampler: type, *, at: int = 0, seed: int = 5, **options: Any) -> Any:
    """The batch sampler as mmengine's Runner builds it, in an epoch."""
    inner = sampler(dataset, shuffle=True, seed=seed)
    inner.set_epoch(at)
    return LabeledUnlabeledBatchSampler(inner, **options)


def batches_of_rank(rank: int, dataset: Any, cases: list[tuple[type, dict]], most: int) -> dict[str, Any]:
    """In one process of several: the first batches of two epochs for each case, and what unequal counts are told."""
    found = [
        list(islice(make_batches(dataset, sampler, at=at, **options), most))
        for sampler, options in cases
        for at in range(2)
    ]
    try:
        make_batches(dataset, cases[0][0], batch_size=2, unlabeled=2 + rank)
    except ConfigError as error:
        return dict(batches=found, refused=str(error))
    return dict(batches=found, refused="")

"""Folders of images without labels, and dataloaders of both kinds."""

from __future__ import annotations

from copy import deepcopy
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.structures import InstanceData, PixelData
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


def raw_batch(scope: str, labeled: list[tuple[int, int]], unlabeled: list[tuple[int, int]] = ()) -> dict[str, Any]:
    """A batch as a dataloader gives it, of images of these heights and widths; the same images in every call."""
    numbers = torch.Generator().manual_seed(7)
    images = [torch.randint(0, 256, (3, *size), generator=numbers, dtype=torch.uint8) for size in labeled]
    samples = [_sample(scope, size, index, numbers) for index, size in enumerate(labeled)]
    numbers.manual_seed(8)
    for size in unlabeled:
        images.append(torch.randint(0, 256, (3, *size), generator=numbers, dtype=torch.uint8))
        sample = _sample(scope, size, None, numbers)
        sample.set_metainfo(dict(labeled=False))
        samples.append(sample)
    return dict(inputs=images, data_samples=samples)


def _sample(scope: str, size: tuple[int, int], index: int | None, numbers: torch.Generator) -> Any:
    """The data sample of an image; without an index, of one that has no annotations."""
    meta = dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0))
    if scope == "mmseg":
        from mmseg.structures import SegDataSample

        labels = torch.full((1, *size), 255)
        if index is not None:
            labels[:, 4:] = torch.randint(0, 3, (1, size[0] - 4, size[1]), generator=numbers)
        return SegDataSample(metainfo=meta, gt_sem_seg=PixelData(data=labels))
    if scope == "mmdet":
        from mmdet.structures import DetDataSample
        from mmdet.structures.bbox import HorizontalBoxes

        boxes = torch.tensor([[2.0, 3.0, 18.0, 20.0], [8.0, 6.0, 26.0, 25.0]])[: 0 if index is None else 2]
        instances = InstanceData(bboxes=HorizontalBoxes(boxes), labels=torch.tensor([0, 2])[: len(boxes)])
        return DetDataSample(
            metainfo=meta, gt_instances=instances, ignored_instances=InstanceData(bboxes=HorizontalBoxes(boxes[:0]))
        )
    from mmpretrain.structures import DataSample

    return DataSample(metainfo=meta).set_gt_label((index or 0) % 3)

"""Random pictures and labels, in the form in which a data loader hands them to the model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from mmengine.structures import InstanceData, PixelData
from torch import Tensor

from _step.cases import Case

Batch = dict[str, Any]


def batches(case: Case) -> list[Batch]:
    """One batch of each of the case's sizes."""
    generator = torch.Generator().manual_seed(0)

    def draw(high: int, *shape: int) -> Tensor:
        return torch.randint(0, high, shape, generator=generator)

    found = []
    for size in case.sizes:
        pictures = [draw(256, 3, *size).to(torch.uint8) for _ in range(case.samples)]
        found.append(dict(inputs=pictures, data_samples=[_labels(case, size, draw) for _ in pictures]))
    return found


def _labels(case: Case, size: tuple[int, int], draw: Callable[..., Tensor]) -> Any:
    meta = dict(img_shape=size, ori_shape=size, pad_shape=size, scale_factor=(1.0, 1.0))
    if case.scope == "mmpretrain":
        from mmpretrain.structures import DataSample

        return DataSample(metainfo=meta).set_gt_label(draw(case.classes, 1))
    if case.scope == "mmseg":
        from mmseg.structures import SegDataSample

        coarse = draw(case.classes, 1, 1, 8, 8).float()
        labels = torch.nn.functional.interpolate(coarse, size).long()[0]
        return SegDataSample(metainfo=meta, gt_sem_seg=PixelData(data=labels))
    from mmdet.structures import DetDataSample

    height, width = size
    corner = torch.stack([draw(width // 2, 6), draw(height // 2, 6)], 1)
    extent = 16 + torch.stack([draw(width // 2 - 16, 6), draw(height // 2 - 16, 6)], 1)
    boxes = torch.cat([corner, corner + extent], 1).float()
    return DetDataSample(metainfo=meta, gt_instances=InstanceData(bboxes=boxes, labels=draw(case.classes, 6)))

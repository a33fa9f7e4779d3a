"""Labels for random pictures, as the task libraries' datasets give them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from mmdist.datasets.unlabeled import LABELED

IGNORED = 255
Size = tuple[int, int]
# Left, top, right, bottom as shares of the picture: small and large, wide and tall, apart and overlapping.
BOXES = ((0.05, 0.1, 0.35, 0.45), (0.3, 0.2, 0.95, 0.9), (0.6, 0.05, 0.75, 0.2), (0.1, 0.55, 0.25, 0.95))
STEP = 0.02  # each picture has its boxes a little further to the right and down


def classification(model: nn.Module, count: int, size: Size) -> list[Any]:
    """mmpretrain's: class 0, one-hot too where each class is a question of its own."""
    from mmpretrain.structures import DataSample

    samples = [sample.set_gt_label(0) for sample in _samples(DataSample, count, size)]
    head = getattr(model, "head", None)
    classes = getattr(head, "num_classes", None)
    if classes and getattr(getattr(head, "loss_module", None), "use_sigmoid", False):
        for sample in samples:
            sample.set_gt_score(torch.eye(classes)[0])
    return samples


def segmentation(model: nn.Module, count: int, size: Size) -> list[Any]:
    """mmseg's: class 0, and a part of class 1, by which a map of edges can be told from one of classes."""
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    samples = _samples(SegDataSample, count, size)
    for sample in samples:
        labels = torch.zeros((1, *size), dtype=torch.long)
        labels[:, : size[0] // 2, : size[1] // 2] = 1
        sample.gt_sem_seg = PixelData(data=labels)
    return samples


def detection(model: nn.Module, count: int, size: Size) -> list[Any]:
    """mmdet's: objects of class 0 with boxes and masks, and a label map."""
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks
    from mmengine.structures import InstanceData, PixelData

    height, width = size
    stride, masked = _label_stride(model), not _takes_masks_for_tensors(model)
    samples = _samples(DetDataSample, count, size)
    for index, sample in enumerate(samples):
        shares = torch.tensor(BOXES) + index % 3 * STEP
        boxes = (shares * torch.tensor([width, height, width, height])).round()
        boxes[:, 2:] = torch.maximum(boxes[:, 2:], boxes[:, :2] + 2).clamp(max=max(size))
        masks = torch.zeros(len(boxes), height, width, dtype=torch.uint8)
        for mask, (left, top, right, bottom) in zip(masks, boxes.int().tolist(), strict=True):
            mask[top:bottom, left:right] = 1
        labels = torch.zeros(len(boxes), dtype=torch.long)
        sample.gt_instances = InstanceData(bboxes=boxes, labels=labels, masks=BitmapMasks(masks.numpy(), height, width))
        if not masked:
            del sample.gt_instances.masks
        sample.ignored_instances = InstanceData(bboxes=boxes[:0], labels=labels[:0])  # none, as most datasets give
        sample.gt_sem_seg = PixelData(sem_seg=torch.zeros((1, height // stride, width // stride), dtype=torch.long))
    return samples


def without_labels(sample: Any, ignored: int) -> None:
    """Take the labels out of a sample, in place: then it is as ``mmdist.UnlabeledDataset`` gives it.

    A classifier's dummy label stays, from which nothing learns.

    Args:
        sample (Any): Of one of the functions above.
        ignored (int): What a label map is filled with, see :func:`ignored_label`.
    """
    sample.set_metainfo({LABELED: False})
    for name in ("gt_instances", "ignored_instances"):
        if name in sample:
            setattr(sample, name, sample.get(name)[:0])
    # A map of one class has no edges.
    for name, value in (("gt_sem_seg", ignored), ("gt_edge_map", 0)):
        for labels in sample.get(name).values() if name in sample else ():
            labels.fill_(value)


def ignored_label(model: nn.Module) -> int:
    """The label that a segmenter's head ignores; of another model the usual one."""
    return getattr(getattr(model, "decode_head", None), "ignore_index", IGNORED)


def _takes_masks_for_tensors(model: nn.Module) -> bool:
    """RTMDet's assigner does where it finds masks, and only the head for instances has made them tensors."""
    head = getattr(model, "bbox_head", None)
    known = type(getattr(head, "assigner", None)).__name__ == "DynamicSoftLabelAssigner"
    return known and not any("mask" in name for name, _ in head.named_modules())


def _label_stride(model: nn.Module) -> int:
    """HTC's semantic branch wants the label map at the scale of its features; the others at that of the picture."""
    head = getattr(getattr(model, "roi_head", None), "semantic_head", None)
    level = getattr(head, "fusion_level", None)
    return 1 if level is None else int(model.roi_head.semantic_roi_extractor.featmap_strides[0])


def _samples(kind: Callable[..., Any], count: int, size: Size) -> list[Any]:
    common = {"img_shape": size, "ori_shape": size, "pad_shape": size, "scale_factor": (1.0, 1.0), "flip": False}
    # CenterNet reads `border`; mmdet's datasets give each picture a number.
    return [kind(metainfo={**common, "img_id": number, "border": [0, 0, 0, 0]}) for number in range(count)]

"""A task's own training pipeline for images without labels: whole, but for what it reads of annotations."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
from mmengine.logging import print_log

from mmdist.errors import ConfigError

# Settings with which a transform gives an image back that has no box; without them it gives None.
KEEPING = {"allow_negative_crop": True, "skip_img_without_anno": False}
INSIDE = ("transforms", "branch_pipelines")  # where a transform holds others
LOADERS = ("mmcv.LoadAnnotations", "mmseg.LoadAnnotations", "mmdet.LoadAnnotations")


class EmptyAnnotations:
    """Stands in a pipeline for the transform that loads annotations, and sets empty ones.

    A segmenter's label map is that of one class: whatever the transforms fill up is ignored then, which tells it from
    the image. After the pipeline :func:`~mmdist.datasets.unlabeled.mark_unlabeled` ignores the rest too.

    Args:
        loader (Any): The transform: mmcv's, mmseg's or mmdet's ``LoadAnnotations``, or one derived of these.
        ignore_index (int): The label that does not count.

    Example:
        >>> from mmcv.transforms import LoadAnnotations
        >>> empty = EmptyAnnotations(LoadAnnotations(with_bbox=False, with_label=False, with_seg=True), 255)
        >>> empty(dict(img=np.zeros((2, 3, 3)), seg_fields=[]))['gt_seg_map'].tolist()
        [[0, 0, 0], [0, 0, 0]]
    """

    def __init__(self, loader: Any, ignore_index: int) -> None:
        self.loader, self.ignore_index = loader, ignore_index
        self.boxes = "mmdet.LoadAnnotations" in _names(loader)

    def __call__(self, results: dict) -> dict:
        """The image's results with empty annotations, in the forms in which the loader would give them."""
        if self.boxes:
            results = _without_boxes(self.loader, results)
        elif getattr(self.loader, "with_bbox", False):
            results["gt_bboxes"] = np.zeros((0, 4), dtype=np.float32)
        if not self.boxes and getattr(self.loader, "with_label", False):
            results["gt_bboxes_labels"] = np.zeros(0, dtype=np.int64)
        if getattr(self.loader, "with_seg", False):
            filled = getattr(self.loader, "ignore_index", 255) if self.boxes else int(self.ignore_index == 0)
            results["gt_seg_map"] = np.full(results["img"].shape[:2], filled, dtype=np.uint8)
            if self.boxes:
                results["ignore_index"] = filled
            else:
                results.setdefault("seg_fields", []).append("gt_seg_map")
        return results

    def __repr__(self) -> str:
        return f"{type(self).__name__}({type(self.loader).__name__})"


def _without_boxes(loader: Any, results: dict) -> dict:
    """MMDetection's own loader, on no instance: no boxes, and no masks where it loads masks."""
    from mmdet.datasets.transforms import LoadAnnotations

    plain = LoadAnnotations(
        with_bbox=loader.with_bbox,
        with_label=loader.with_label,
        with_mask=loader.with_mask,
        poly2mask=getattr(loader, "poly2mask", True),
        box_type=getattr(loader, "box_type", "hbox"),
    )
    return plain({**results, "instances": []})


def without_annotations(transforms: list[Any], key: str, ignore_index: int) -> None:
    """Change a built pipeline in place: it loads no annotation, and gives back images that have none.

    Args:
        transforms (list[Any]): The transforms.
        key (str): Where they stand in the config.
        ignore_index (int): What a label map is filled with.

    Raises:
        ConfigError: Annotations are loaded in a way that has no empty form here.
    """
    for index, transform in enumerate(transforms):
        place = f"{key}.{index}"
        if _loads_annotations(transform):
            if not any(name in LOADERS for name in _names(transform)):
                raise ConfigError(f"{place}.type", type(transform).__name__, LOADERS)
            transforms[index] = EmptyAnnotations(transform, ignore_index)
            continue
        for name, value in KEEPING.items():
            if vars(transform).get(name, value) != value:
                setattr(transform, name, value)
                text = f"{place}: {type(transform).__name__}.{name} is {value} for the unlabelled images"
                print_log(text, "current", logging.INFO)
        for inner, inside in _inside(transform, place):
            without_annotations(inner, inside, ignore_index)


def _inside(transform: Any, key: str) -> Iterator[tuple[list[Any], str]]:
    """The lists of transforms that a transform holds."""
    for name in INSIDE:
        held = vars(transform).get(name) if hasattr(transform, "__dict__") else None
        if isinstance(held, dict):
            for branch, part in held.items():
                yield from _inside(part, f"{key}.{name}.{branch}")
        elif isinstance(held, list):
            yield held, f"{key}.{name}"
        elif held is not None and hasattr(held, "__dict__"):
            yield from _inside(held, f"{key}.{name}")


def _loads_annotations(transform: Any) -> bool:
    """By name: ``LoadAnnotations``, ``LoadPanopticAnnotations``, ``LoadDepthAnnotation``, and those derived of them."""
    names = [cls.__name__ for cls in type(transform).__mro__]
    return any(name.startswith("Load") and "Annotation" in name and "Empty" not in name for name in names)


def _names(transform: Any) -> list[str]:
    return [f"{cls.__module__.partition('.')[0]}.{cls.__name__}" for cls in type(transform).__mro__]

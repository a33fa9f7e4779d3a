"""Detectors of mmdet: boxes that both find, objects of all sizes, and what a score is worth."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import mmengine
import numpy as np
import torch

from mmdist.engine.gap.calibration import calibration
from mmdist.engine.gap.coco import SIZES, Scores, Truth, evaluate, tertiles
from mmdist.engine.gap.findings import SIDES, Findings, Pair, Part, number, sorted_classes
from mmdist.engine.gap.matching import Agreement, Detections
from mmdist.errors import MMDistError


def compare_detectors(
    batches: Iterable[tuple[Sequence[Any], Sequence[Any]]],
    names: list[str],
    truth: Mapping[Any, Truth],
    *,
    threshold: float = 0.3,
) -> Findings:
    """Compare the detections of two detectors.

    Args:
        batches (Iterable[tuple[Sequence, Sequence]]): The data samples that teacher and student predicted, with
            ``pred_instances`` and ``img_id``.
        names (list[str]): (K,) of the classes.
        truth (Mapping[Any, Truth]): By ``img_id``, see :func:`read_truth`.
        threshold (float): Score from which a detection counts, but for AP and calibration, which take all.

    Returns:
        Findings: Per class the AP; ``parts`` are sizes.

    Raises:
        MMDistError: Pictures that the data does not know.
    """
    agreement, objects = Agreement(threshold), []
    found: dict[str, list[Detections]] = {side: [] for side in SIDES}
    for samples in batches:
        for pair in zip(*samples, strict=True):
            objects.append(truth_of(pair[1], truth))
            detected = [detections_of(sample) for sample in pair]
            agreement.update(*detected)
            for side, detections in zip(SIDES, detected, strict=True):
                found[side].append(detections)
    if not objects:
        raise MMDistError("the data has no pictures")
    bins = tertiles(objects)
    teacher, student = (
        evaluate(objects, found[side], len(names), threshold=threshold, more_sizes=bins) for side in SIDES
    )
    labels = np.concatenate([t.labels[~t.ignored] for t in objects])
    return Findings(
        task="detection",
        unit="objects",
        count=len(labels),
        metric="AP",
        overall={
            "mAP": _pair(teacher.ap["all"], student.ap["all"]),
            "AP50": _pair(teacher.ap50, student.ap50),
        },
        agreement=agreement.shares(),
        classes=sorted_classes(
            names, teacher.ap["all"], student.ap["all"], np.bincount(labels.astype(int), minlength=len(names))
        ),
        calibration={
            side: calibration(torch.from_numpy(s.scores), torch.from_numpy(s.right))
            for side, s in zip(SIDES, (teacher, student), strict=True)
        },
        parts=_sizes(teacher, student, list(bins)),
        notices=[
            f"a detection counts from a score of {threshold:g}, and pairs have an IoU of at least 0.5; AP and "
            "calibration take all that the models return"
        ],
    )


def read_truth(dataset: Any) -> dict[Any, Truth]:
    """The objects of a data set of mmdet, in the coordinates of the original pictures.

    They need not be in the pipeline: what the data set read from its annotations is asked.

    Args:
        dataset (Any): mmdet's, or one of mmengine's wrappers around it.

    Returns:
        dict[Any, Truth]: By ``img_id``. Areas are the annotation file's where that is COCO's, else those of the boxes.
    """
    areas = _areas(dataset)
    truth = {}
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        instances = info.get("instances", [])
        boxes = np.array([i["bbox"] for i in instances], dtype=float).reshape(-1, 4)
        spans = (boxes[:, 2:] - boxes[:, :2]).prod(1)
        own = [areas.get(_key(info["img_id"], box), span) for box, span in zip(boxes, spans, strict=True)]
        truth[info["img_id"]] = Truth(
            boxes,
            np.array([i["bbox_label"] for i in instances], dtype=int),
            np.array(own, dtype=float),
            np.array([i.get("ignore_flag", 0) for i in instances], dtype=bool),
        )
    return truth


def _areas(dataset: Any) -> dict[tuple, float]:
    """COCO's areas are those of the masks, which mmdet does not keep."""
    path = str(getattr(dataset, "ann_file", ""))
    content = mmengine.load(path) if path.endswith(".json") else {}
    annotations = content.get("annotations", ()) if isinstance(content, dict) else ()
    areas = {}
    for entry in annotations:
        if {"image_id", "bbox", "area"} <= entry.keys():
            x, y, w, h = entry["bbox"]
            areas[_key(entry["image_id"], (x, y, x + w, y + h))] = float(entry["area"])
    return areas


def _key(image: Any, corners: Sequence[float]) -> tuple:
    return image, *(round(float(value), 2) for value in corners)


def truth_of(sample: Any, truth: Mapping[Any, Truth]) -> Truth:
    image = sample.metainfo.get("img_id")
    if image not in truth:
        raise MMDistError(
            f"the data has no objects for img_id = {image!r}: the pipeline's PackDetInputs has to keep img_id"
        )
    return truth[image]


def detections_of(sample: Any) -> Detections:
    found = sample.pred_instances
    boxes = found.bboxes.tensor if hasattr(found.bboxes, "tensor") else found.bboxes
    return Detections(boxes.float().cpu(), found.scores.float().cpu(), found.labels.cpu())


def _pair(teacher: np.ndarray, student: np.ndarray) -> Pair:
    return Pair(*(number(np.nanmean(x)) if not np.isnan(x).all() else None for x in (teacher, student)))


def _sizes(teacher: Scores, student: Scores, thirds: list[str]) -> dict[str, Part]:
    """COCO's sizes, with AP and recall; thirds of the objects where COCO's sizes tell them not apart."""
    coco = [size for size in SIZES if size != "all"]
    parts = {}
    alike = sum(teacher.found[size] > 0 for size in coco) == 1
    for size in [*coco, *(thirds if alike else [])]:
        if teacher.found[size]:
            recall = Pair(number(teacher.recall[size]), number(student.recall[size]))
            parts[size] = Part(teacher.found[size], {"AP": _pair(teacher.ap[size], student.ap[size]), "recall": recall})
    return parts

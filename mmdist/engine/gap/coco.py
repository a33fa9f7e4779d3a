"""pycocotools on detections that are held in memory: AP by class and size, and which detections are right."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from mmdist.engine.gap.matching import Detections

LARGEST = 1e10  # COCO's own bound
SIZES = {"all": (0.0, LARGEST), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, LARGEST)}


class Truth(NamedTuple):
    """The objects of a picture.

    Args:
        boxes (np.ndarray): (G, 4) left, top, right, bottom in pixels.
        labels (np.ndarray): (G,) integers.
        areas (np.ndarray): (G,) in square pixels.
        ignored (np.ndarray): (G,) bool: a crowd, or another region that does not count.
    """

    boxes: np.ndarray
    labels: np.ndarray
    areas: np.ndarray
    ignored: np.ndarray


class Scores(NamedTuple):
    """What COCO's evaluation says of a model.

    Args:
        ap (dict[str, np.ndarray]): By size, (K,) AP of each class; NaN: no such object.
        ap50 (np.ndarray): (K,) AP at IoU 0.5, all sizes.
        recall (dict[str, float]): By size, the share of objects found at IoU 0.5 with at least the threshold's score.
        found (dict[str, int]): By size, how many objects there are.
        scores (np.ndarray): (D,) of all detections that count.
        right (np.ndarray): (D,) bool: each of them has an object of its class at IoU 0.5.
    """

    ap: dict[str, np.ndarray]
    ap50: np.ndarray
    recall: dict[str, float]
    found: dict[str, int]
    scores: np.ndarray
    right: np.ndarray


def evaluate(
    truth: Sequence[Truth],
    detections: Sequence[Detections],
    classes: int,
    *,
    threshold: float = 0.3,
    more_sizes: Mapping[str, tuple[float, float]] | None = None,
) -> Scores:
    """Evaluate one model.

    Args:
        truth (Sequence[Truth]): Of each picture.
        detections (Sequence[Detections]): Of each picture, in the same order.
        classes (int): How many.
        threshold (float): Score from which an object counts as found.
        more_sizes (Mapping[str, tuple[float, float]], optional): Smallest and largest area of more bins than COCO's.

    Returns:
        Scores: Of all pictures.
    """
    from pycocotools.cocoeval import COCOeval

    sizes = {**SIZES, **(more_sizes or {})}
    with contextlib.redirect_stdout(io.StringIO()):
        run = COCOeval(_index(truth, classes), _index(detections, classes), "bbox")
        run.params.areaRng = [list(bounds) for bounds in sizes.values()]
        run.params.areaRngLbl = list(sizes)
        run.evaluate()
        run.accumulate()
    precision = run.eval["precision"][..., -1]  # (IoU, recall, class, size), 100 detections a picture
    values = np.where(precision > -1, precision, np.nan)
    entries = np.array(run.evalImgs, dtype=object).reshape(classes, len(sizes), len(truth))
    recall, found = {}, {}
    for index, size in enumerate(sizes):
        hits = np.concatenate([np.zeros(0), *(_found(entry, threshold) for entry in entries[:, index].flat if entry)])
        recall[size], found[size] = float(hits.mean()) if len(hits) else np.nan, len(hits)
    scores, right = _judged([entry for entry in entries[:, 0].flat if entry])
    return Scores(
        ap={size: values[:, :, :, index].mean((0, 1)) for index, size in enumerate(sizes)},
        ap50=values[0, :, :, 0].mean(0),
        recall=recall,
        found=found,
        scores=scores,
        right=right,
    )


def tertiles(truth: Sequence[Truth]) -> dict[str, tuple[float, float]]:
    """Three bins of as many objects each, by the root of their area; none where the sizes do not differ enough.

    Args:
        truth (Sequence[Truth]): Of each picture.

    Returns:
        dict[str, tuple[float, float]]: Smallest and largest area, by a name with the bounds in pixels.
    """
    areas = np.concatenate([np.zeros(0), *(t.areas[~t.ignored] for t in truth)])
    if len(areas) < 3:
        return {}
    low, high = np.quantile(areas, [1 / 3, 2 / 3], method="lower")
    if not areas.min() <= low < high < areas.max():
        return {}
    a, b = np.sqrt(low), np.sqrt(high)
    return {
        f"up to {a:.0f} px": (0.0, low),
        f"{a:.0f} to {b:.0f} px": (np.nextafter(low, LARGEST), high),
        f"above {b:.0f} px": (np.nextafter(high, LARGEST), LARGEST),
    }


def _found(entry: dict[str, Any], threshold: float) -> np.ndarray:
    """(G,) whether each object of a class in a picture is found; matches are made from the highest score down."""
    scores = dict(zip(entry["dtIds"], entry["dtScores"], strict=True))
    counted = entry["gtIgnore"] == 0
    return np.array([scores.get(int(m), -1.0) >= threshold for m in entry["gtMatches"][0][counted]], dtype=float)


def _judged(entries: list[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    scores, right = [np.zeros(0)], [np.zeros(0, dtype=bool)]
    for entry in entries:
        counted = ~entry["dtIgnore"][0].astype(bool)
        scores.append(np.array(entry["dtScores"])[counted])
        right.append(entry["dtMatches"][0][counted] > 0)
    return np.concatenate(scores), np.concatenate(right)


def _index(pictures: Sequence[Truth | Detections], classes: int) -> Any:
    """pycocotools' own structure, without a file; numbers start at 1, as 0 stands for no match."""
    from pycocotools.coco import COCO

    annotations = []
    for image, content in enumerate(pictures):
        boxes = np.asarray(content.boxes, dtype=float).reshape(-1, 4)
        spans = boxes[:, 2:] - boxes[:, :2]
        truth = isinstance(content, Truth)
        areas = content.areas if truth else spans.prod(1)
        labels = content.labels if truth else torch.as_tensor(content.labels).numpy()
        for i in range(len(boxes)):
            entry = {
                "id": len(annotations) + 1,
                "image_id": image,
                "category_id": int(labels[i]),
                "bbox": [*boxes[i, :2], *spans[i]],
                "area": float(areas[i]),
                "iscrowd": int(content.ignored[i]) if truth else 0,
            }
            annotations.append(entry if truth else {**entry, "score": float(content.scores[i])})
    index = COCO()
    index.dataset = {
        "images": [{"id": image} for image in range(len(pictures))],
        "categories": [{"id": label} for label in range(classes)],
        "annotations": annotations,
    }
    index.createIndex()
    return index

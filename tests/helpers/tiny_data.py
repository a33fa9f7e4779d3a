"""Data sets of a few random pictures, in the formats and layouts of the real ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image


def write_segmentation(root: Path, classes: int, size: int = 64, count: int = 4) -> None:
    """``images/{train,val}`` and ``annotations/{train,val}``, with ignored pixels."""
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for kind in ("images", "annotations"):
            (root / kind / split).mkdir(parents=True)
        for index in range(count):
            _picture(rng, size).save(root / "images" / split / f"{index}.png")
            labels = rng.integers(0, classes, (size, size), dtype=np.uint8)
            labels[:3] = 255
            Image.fromarray(labels).save(root / "annotations" / split / f"{index}.png")


def write_detection(root: Path, classes: tuple[str, ...], size: int = 64, count: int = 4) -> None:
    """``images/{train,val}`` and COCO's ``annotations/instances_{train,val}.json``; the last picture has no box."""
    rng = np.random.default_rng(0)
    categories = [dict(id=index + 1, name=name) for index, name in enumerate(classes)]
    for split in ("train", "val"):
        (root / "images" / split).mkdir(parents=True)
        (root / "annotations").mkdir(exist_ok=True)
        images, boxes = [], []
        for index in range(count):
            _picture(rng, size).save(root / "images" / split / f"{index}.png")
            images.append(dict(id=index, file_name=f"{index}.png", width=size, height=size))
            for _ in range(2 if index < count - 1 else 0):
                x, y = (int(value) for value in rng.integers(0, size // 2, 2))
                side = size // 3
                boxes.append(
                    dict(
                        id=len(boxes) + 1,
                        image_id=index,
                        category_id=int(rng.integers(1, len(classes) + 1)),
                        bbox=[x, y, side, side],
                        area=side * side,
                        iscrowd=0,
                    )
                )
        content = dict(images=images, annotations=boxes, categories=categories)
        (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))


def write_classification(root: Path, classes: tuple[str, ...], size: int = 28, count: int = 8) -> None:
    """``{train,val}/<class>/*.png``."""
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for name in classes:
            (root / split / name).mkdir(parents=True)
            for index in range(count):
                _picture(rng, size).save(root / split / name / f"{index}.png")


def _picture(rng: np.random.Generator, size: int) -> Image.Image:
    return Image.fromarray(rng.integers(0, 256, (size, size, 3), dtype=np.uint8))

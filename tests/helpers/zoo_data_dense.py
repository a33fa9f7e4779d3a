"""Tiny data for segmentation and detection in the true formats of the public sets; see ``helpers.zoo_data``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (72, 96)  # height and width
IGNORED = 255


def write_cityscapes(root: Path) -> None:
    """``cityscapes/{leftImg8bit,gtFine}/<split>/<city>/*``, with the label maps that the preparation script makes."""
    rng = np.random.default_rng(0)
    for split, city in (("train", "aachen"), ("val", "frankfurt")):
        for index in range(2):
            name = f"{city}_{index:06d}_000019"
            save(root / f"cityscapes/leftImg8bit/{split}/{city}/{name}_leftImg8bit.png", picture(rng))
            labels = label_map(rng, 19)
            save(root / f"cityscapes/gtFine/{split}/{city}/{name}_gtFine_labelTrainIds.png", labels)


def write_ade20k(root: Path) -> None:
    """``ade/ADEChallengeData2016/{images,annotations}/{training,validation}``; label 0 is none of the 150 classes."""
    rng, folder = np.random.default_rng(0), root / "ade" / "ADEChallengeData2016"
    for split, short in (("training", "train"), ("validation", "val")):
        for index in range(2):
            name = f"ADE_{short}_{index + 1:08d}"
            save(folder / f"images/{split}/{name}.jpg", picture(rng))
            save(folder / f"annotations/{split}/{name}.png", label_map(rng, 151, ignored=0))


def write_voc(root: Path) -> None:
    """``VOCdevkit/VOC2012``: pictures, label maps with a palette, lists; and ``SegmentationClassAug``, of SBD."""
    rng, folder = np.random.default_rng(0), root / "VOCdevkit" / "VOC2012"
    for split, labels in (
        ("train", "SegmentationClass"),
        ("aug", "SegmentationClassAug"),
        ("val", "SegmentationClass"),
    ):
        names = [f"2007_{split}_{index:06d}" for index in range(2)]
        for name in names:
            save(folder / f"JPEGImages/{name}.jpg", picture(rng))
            save(folder / f"{labels}/{name}.png", label_map(rng, 21), palette=split != "aug")
        lists = folder / "ImageSets" / "Segmentation"
        lists.mkdir(parents=True, exist_ok=True)
        (lists / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))


def write_camvid(root: Path) -> None:
    """``CamVid/{train,val,test}/*.png`` and ``CamVid/{train,val,test}annot/*.png``; label 11 is no class."""
    rng = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        for index in range(2):
            name = f"0001TP_{index:06d}.png"
            save(root / f"CamVid/{split}/{name}", picture(rng))
            save(root / f"CamVid/{split}annot/{name}", label_map(rng, 11, ignored=11))


def write_coco(root: Path) -> None:
    """``coco/{train,val}2017/*.jpg`` and ``coco/annotations/instances_{train,val}2017.json``, with polygons."""
    rng, folder = np.random.default_rng(0), root / "coco"
    (folder / "annotations").mkdir(parents=True)
    ids = [number for number in range(1, 91) if number not in (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)]
    names = coco_names()
    for split in ("train", "val"):
        images, annotations = [], []
        for index in range(2):
            number = index + 1
            name = f"{number:012d}.jpg"
            save(folder / f"{split}2017/{name}", picture(rng))
            images.append(dict(id=number, file_name=name, height=SIZE[0], width=SIZE[1]))
            for _ in range(3):
                x, y, width, height = (int(value) for value in rng.integers((2, 2, 30, 30), (40, 30, 50, 40)))
                corners = [x, y, x + width, y, x + width, y + height, x, y + height]
                annotations.append(
                    dict(
                        id=len(annotations) + 1,
                        image_id=number,
                        category_id=int(rng.choice(ids)),
                        bbox=[x, y, width, height],
                        area=width * height,
                        segmentation=[corners],
                        iscrowd=0,
                    )
                )
        categories = [dict(id=number, name=name) for number, name in zip(ids, names, strict=True)]
        content = dict(images=images, annotations=annotations, categories=categories)
        (folder / "annotations" / f"instances_{split}2017.json").write_text(json.dumps(content))


def coco_names() -> tuple[str, ...]:
    """The 80 classes, in the order of their ids."""
    from mmdet.datasets import CocoDataset

    return CocoDataset.METAINFO["classes"]


def picture(rng: np.random.Generator) -> np.ndarray:
    """Noise."""
    return rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)


def label_map(rng: np.random.Generator, classes: int, ignored: int = IGNORED) -> np.ndarray:
    """Areas of several classes, the last and one that is none among them."""
    labels = rng.integers(0, classes, (SIZE[0] // 12, SIZE[1] // 12)).astype(np.uint8)
    labels[0, 0], labels[0, 1] = classes - 1, ignored
    return labels.repeat(12, axis=0).repeat(12, axis=1)


def save(path: Path, pixels: np.ndarray, palette: bool = False) -> None:
    """Write a picture or label map; as VOC, with a palette."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    if palette:
        image.putpalette([value for index in range(256) for value in (index, index * 7 % 256, index * 31 % 256)])
    image.save(path)


WRITERS: dict[str, Callable[[Path], None]] = dict(
    cityscapes=write_cityscapes, ade20k=write_ade20k, voc=write_voc, camvid=write_camvid, coco=write_coco
)

"""Aerial trees for detection: real photographs with real boxes, cut into tiles, as COCO json.

Example:
    python tools/dataset_converters/trees.py --out data/trees
"""

from __future__ import annotations

import argparse
import io
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from _coco import CocoWriter
from _dataset import build, run
from _wheels import DEEPFOREST
from mmdist.errors import ConfigError

VERSION = 1
FOLDER = "deepforest/data/"
# A photograph is of one split alone. SOAP_031, the wheel's fifth, has no boxes.
PHOTOGRAPHS = {
    "train": ("2019_YELL_2_528000_4978000_image_crop2", "OSBS_029"),
    "val": ("2019_YELL_2_541000_4977000_image_crop", "SOAP_061"),
}
# A tree of which less is inside the tile is neither asked for nor held against a detector.
MIN_VISIBLE = 0.5
MIN_SIDE = 2


def convert(out: str | Path, *, tile: int = 400) -> Path:
    """Write ``images/{train,val}/*.png`` and ``annotations/instances_{train,val}.json``, as ``CocoDataset`` reads them.

    Training tiles overlap by half and lie inside the photograph. Validation
    tiles lie side by side, so that no tree is counted twice; what they reach
    beyond the photograph is black.

    Args:
        out (str | Path): The folder to make.
        tile (int): Side of a tile in pixels, from 64 to 400.

    Returns:
        Path: The folder.

    Raises:
        ConfigError: A tile size that does not fit, or a folder that holds something else.
        MMDistError: The source cannot be fetched.
    """
    if not 64 <= tile <= 400:
        raise ConfigError("tile", tile, "a number from 64 to 400")
    return build(out, "trees", VERSION, {"tile": tile}, [DEEPFOREST], lambda root: _write(root, tile))


def read_boxes(xml: bytes) -> np.ndarray:
    """The boxes of a Pascal VOC file.

    Args:
        xml (bytes): The file's content.

    Returns:
        np.ndarray: (N, 4) float64: left, top, right, bottom in pixels.
    """
    corners = ("xmin", "ymin", "xmax", "ymax")
    boxes = [[float(box.findtext(key, "nan")) for key in corners] for box in ElementTree.fromstring(xml).iter("bndbox")]
    return np.array(boxes, dtype=np.float64).reshape(-1, 4)


def tile_starts(length: int, tile: int, split: str) -> list[int]:
    """Where the tiles begin along one side of a photograph.

    Args:
        length (int): The photograph's side in pixels.
        tile (int): The tile's.
        split (str): 'train' (half overlapping, the last one shifted inwards) or
            'val' (side by side; a last strip under a quarter of a tile is left out).

    Returns:
        list[int]: First pixels, ascending.

    Example:
        >>> tile_starts(1035, 400, "train"), tile_starts(1035, 400, "val")
        ([0, 200, 400, 600, 635], [0, 400, 800])
    """
    if split == "val":
        return [start for start in range(0, length, tile) if length - start >= tile / 4]
    last = max(length - tile, 0)
    return sorted({*range(0, last, tile // 2), last})


def _write(root: Path, tile: int) -> dict[str, dict[str, Any]]:
    return {split: _write_split(root, split, photographs, tile) for split, photographs in PHOTOGRAPHS.items()}


def _write_split(root: Path, split: str, photographs: Sequence[str], tile: int) -> dict[str, Any]:
    coco = CocoWriter(["tree"])
    folder = root / "images" / split
    folder.mkdir(parents=True)
    total = 0
    for photograph in photographs:
        picture = Image.open(io.BytesIO(DEEPFOREST.read(f"{FOLDER}{photograph}.png"))).convert("RGB")
        boxes = read_boxes(DEEPFOREST.read(f"{FOLDER}{photograph}.xml"))
        total += len(boxes)
        starts = [
            (y, x) for y in tile_starts(picture.height, tile, split) for x in tile_starts(picture.width, tile, split)
        ]
        for y, x in tqdm(starts, desc=f"{split}: {photograph}", disable=None):
            name = f"{photograph}_y{y:04d}_x{x:04d}.png"
            picture.crop((x, y, x + tile, y + tile)).save(folder / name)
            _add_tile(coco, name, boxes - [x, y, x, y], tile, photograph)
    coco.write(root / "annotations" / f"instances_{split}.json")
    crowd = sum(box["iscrowd"] for box in coco.annotations)
    counts = {"images": len(coco.images), "boxes": len(coco.annotations) - crowd, "ignored_boxes": crowd}
    return {**counts, "trees": total, "photographs": list(photographs)}


def _add_tile(coco: CocoWriter, name: str, boxes: np.ndarray, tile: int, photograph: str) -> None:
    """Add a tile and the boxes in it, clipped; ``boxes`` (N, 4) are relative to the tile."""
    image = coco.add_image(name, width=tile, height=tile, photograph=photograph)
    clipped = boxes.clip(0, tile)
    for box, inside in zip(boxes, clipped, strict=True):
        width, height = inside[2] - inside[0], inside[3] - inside[1]
        if min(width, height) < MIN_SIDE:
            continue
        visible = width * height / ((box[2] - box[0]) * (box[3] - box[1]))
        coco.add_box(image, 1, tuple(inside.tolist()), crowd=bool(visible < MIN_VISIBLE))


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tile", type=int, default=400, help="side of a tile in pixels (default: %(default)s)")
    return run(convert, parser, argv)


if __name__ == "__main__":
    sys.exit(main())

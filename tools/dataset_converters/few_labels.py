"""Few labels: lists which training images of a data set keep their labels and which do not, drawn by a seed.

The data set can be any that the task libraries read: COCO json (detection), a list of images, with their classes
(classification) or without, or a folder of images (segmentation).

Example:
    python tools/dataset_converters/few_labels.py data/coco/annotations/instances_train2017.json --labeled 1000 \\
        --out data/coco/annotations
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from _dataset import read_json, run, write_files
from _lists import coco_lists, image_names, line_lists, name_lists
from _subsets import add_arguments, subsets
from mmdist.errors import ConfigError


def convert(
    out: str | Path,
    source: str | Path,
    labeled: int | Sequence[int],
    *,
    subset_seed: int | Sequence[int] | None = None,
    suffix: str | None = None,
) -> Path:
    """Write ``<source>_<N>_seed<S>_labeled`` and ``..._unlabeled``, ``.json`` or ``.txt`` as the source is.

    Args:
        out (str | Path): The folder to write to; files of the same names are replaced.
        source (str | Path): COCO json; or a list, a line an image, of which every one ends in a class or none does;
            or a folder with images, of which the names without suffix are listed.
        labeled (int | Sequence[int]): How many images keep their labels; with classes as many of every class.
        subset_seed (int | Sequence[int] | None): Draws them; several seeds: lists for each. None: seed 0.
        suffix (str | None): Of a folder: how the names of its images end, ``img_suffix`` of the dataset. None: the
            one suffix that they have.

    Returns:
        Path: The folder with the lists.

    Raises:
        ConfigError: No such source, one that holds something else, or a wrong number.

    Example:
        >>> convert("splits", "data/CamVid/train", 20)  # doctest: +SKIP
    """
    path, folder = Path(source).expanduser(), Path(out).expanduser()
    draws = subsets(labeled, subset_seed)
    if not draws:
        raise ConfigError("labeled", labeled, "a number of images above 0")
    if path.is_dir():
        files = name_lists(path.resolve().name, image_names(path, suffix), draws, str(path))
    elif path.suffix == ".json":
        files = coco_lists(path.stem, _read(path, read_json, "COCO json"), draws, str(path))
    elif path.suffix == ".txt":
        lines = [line.strip() for line in _read(path, _text, "text in UTF-8").splitlines()]
        files = line_lists(path.stem, [line for line in lines if line], draws, str(path))
    else:
        raise ConfigError("source", str(path), "a .json file, a .txt file or a folder that is there")
    write_files(folder, files)
    print(f"few_labels: {', '.join(files)} in {out}")
    return folder


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _read(path: Path, read: Callable[[Path], Any], what: str) -> Any:
    try:
        return read(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError("source", str(path), what, reason) from error


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", help="COCO json, list (.txt) or folder of images")
    add_arguments(parser, required=True)
    parser.add_argument("--suffix", help="of a folder: how its images' names end (default: their one suffix)")
    return run(convert, parser, argv)


if __name__ == "__main__":
    sys.exit(main())

"""The lists of a few-label subset, in the forms that the task libraries read."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from _subsets import check_names, draw, subset_name
from mmdist.errors import ConfigError

Draws = Sequence[tuple[int, int]]
IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
CLASSIFIED = re.compile(r"(.+\S) +(\d+)")


def name_lists(stem: str, names: Sequence[str], draws: Draws, where: str) -> dict[str, str]:
    """Lists for segmentation: a name without its suffix a line, as ``ann_file`` of ``BaseSegDataset``.

    Args:
        stem (str): How the files' names begin.
        names (Sequence[str]): Images relative to their folder, without suffix.
        draws (Draws): Number and seed of each subset.
        where (str): The file or folder that they come from.

    Returns:
        dict[str, str]: Content by file name.

    Example:
        >>> name_lists("train", ["a", "b"], [(1, 0)], "images")
        {'train_1_seed0_labeled.txt': 'a\\n', 'train_1_seed0_unlabeled.txt': 'b\\n'}
    """
    check_names(names, where)
    return _files(stem, draws, lambda *drawn: draw(names, *drawn, where=where), names, names)


def line_lists(stem: str, lines: Sequence[str], draws: Draws, where: str) -> dict[str, str]:
    """The lines of a list in two parts: ``name class``, as ``CustomDataset`` reads them, or names alone.

    With classes, every class gets as many labels, and the lines of the unlabelled part lose theirs, as
    ``with_label=False`` wants them.

    Args:
        stem (str): How the files' names begin.
        lines (Sequence[str]): Of the list.
        draws (Draws): Number and seed of each subset.
        where (str): The list's file.

    Returns:
        dict[str, str]: Content by file name.

    Example:
        >>> list(line_lists("train", ["0/a.png 0", "0/b.png 0", "1/c.png 1"], [(2, 0)], "train.txt").values())
        ['0/a.png 0\\n1/c.png 1\\n', '0/b.png\\n']
    """
    found = [CLASSIFIED.fullmatch(line) for line in lines]
    if not all(found):
        return name_lists(stem, lines, draws, where)
    names, classes = [match[1] for match in found if match], [int(match[2]) for match in found if match]
    check_names(names, where)
    keys = [os.path.splitext(name)[0] for name in names]
    return _files(stem, draws, lambda *drawn: draw(keys, *drawn, classes, where=where), lines, names)


def coco_lists(stem: str, content: Any, draws: Draws, where: str) -> dict[str, str]:
    """COCO json files: one with the labelled images and their boxes, one with the other images and no boxes.

    Images without a box are never among the labelled ones: MMDetection leaves them out of training, and there would be
    fewer labels than asked for.

    Args:
        stem (str): How the files' names begin.
        content (Any): Of the json file.
        draws (Draws): Number and seed of each subset.
        where (str): The json file.

    Returns:
        dict[str, str]: Content by file name.

    Raises:
        ConfigError: No COCO content, images that are there twice, or a wrong number.
    """
    images, boxes = _coco_parts(content, where)
    names = [image["file_name"] for image in images]
    check_names(names, where)
    annotated = {box["image_id"] for box in boxes}
    usable = [index for index, image in enumerate(images) if image["id"] in annotated]
    keys = [os.path.splitext(names[index])[0] for index in usable]
    files = {}
    for count, seed in draws:
        drawn = {usable[index] for index in draw(keys, count, seed, where=f"{where} that have a box")}
        ids = {images[index]["id"] for index in drawn}
        parts = {
            "labeled": ([images[index] for index in sorted(drawn)], [box for box in boxes if box["image_id"] in ids]),
            "unlabeled": ([image for index, image in enumerate(images) if index not in drawn], []),
        }
        for kind, (part, kept) in parts.items():
            text = json.dumps({**content, "images": part, "annotations": kept})
            files[f"{subset_name(stem, count, seed, kind)}.json"] = text + "\n"
    return files


def in_data_set(files: Mapping[str, str], prefix: str, suffix: str) -> dict[str, str]:
    """Where the lists lie in a data set: in ``splits``; and at its top the paths of the unlabelled images.

    ``UnlabeledDataset``, and ``--unlabeled``, take the paths of a list from the list's folder, and none that leave it.

    Args:
        files (Mapping[str, str]): Content by file name.
        prefix (str): What comes before a name in the unlabelled lists to make it a path from the top.
        suffix (str): What comes after it.

    Returns:
        dict[str, str]: Content by path.

    Example:
        >>> in_data_set({"train_1_seed0_unlabeled.txt": "a\\n"}, "train/", ".png")
        {'splits/train_1_seed0_unlabeled.txt': 'a\\n', 'train_1_seed0_unlabeled_images.txt': 'train/a.png\\n'}
    """
    placed = {f"splits/{name}": content for name, content in files.items()}
    for name, content in files.items():
        if name.endswith("_unlabeled.txt"):
            paths = [f"{prefix}{line}{suffix}\n" for line in content.splitlines()]
            placed[f"{name.removesuffix('.txt')}_images.txt"] = "".join(paths)
    return placed


def _coco_parts(content: Any, where: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    parts = [content.get(key) for key in ("images", "annotations")] if isinstance(content, Mapping) else []
    images, boxes = parts if all(isinstance(part, list) for part in parts) and parts else (None, None)
    if images is None or boxes is None:
        raise ConfigError("source", where, "COCO json, with the lists 'images' and 'annotations'")
    for key, entries, needed in (("images", images, ("id", "file_name")), ("annotations", boxes, ("image_id",))):
        for index, entry in enumerate(entries):
            for name in needed:
                value = entry.get(name) if isinstance(entry, Mapping) else None
                if not isinstance(value, str if name == "file_name" else int | str):
                    raise ConfigError(f"{where}: {key}[{index}].{name}", value, "COCO json")
    if len({image["id"] for image in images}) < len(images):
        raise ConfigError("source", where, "an id of its own for every image")
    return images, boxes


def _files(
    stem: str,
    draws: Draws,
    chosen: Callable[[int, int], Iterable[int]],
    labeled: Sequence[str],
    unlabeled: Sequence[str],
) -> dict[str, str]:
    """Both lists of every subset, of lines in the order of the whole."""
    files = {}
    for count, seed in draws:
        drawn = set(chosen(count, seed))
        lines = [labeled[index] for index in sorted(drawn)]
        rest = [line for index, line in enumerate(unlabeled) if index not in drawn]
        for kind, part in (("labeled", lines), ("unlabeled", rest)):
            files[f"{subset_name(stem, count, seed, kind)}.txt"] = "".join(f"{line}\n" for line in part)
    return files


def image_names(folder: Path, suffix: str | None = None) -> list[str]:
    """Images of a folder and its subfolders, relative to it and without suffix.

    Args:
        folder (Path): The folder.
        suffix (str | None): How the names of the images end; what is cut off. None: the one suffix that they have.

    Returns:
        list[str]: Names in the order of their characters.

    Raises:
        ConfigError: No images, images of several kinds, a linked folder, or a link that leads out of the folder.
    """
    found = []
    for parent, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = Path(parent, name)
            if path.is_symlink() and (name in folders or not path.resolve().is_relative_to(folder.resolve())):
                raise ConfigError("source", str(path), "no link to another folder", "copy the images, or name that one")
        found += [Path(parent, name).relative_to(folder).as_posix() for name in files]
    ends = (suffix,) if suffix else IMAGES
    visible = [name for name in found if not Path(name).name.startswith(".")]
    images = sorted(name for name in visible if (name if suffix else name.lower()).endswith(ends))
    kinds = {Path(name).suffix for name in images}
    if not images:
        raise ConfigError("source", str(folder), f"a folder with images ({', '.join(ends)})")
    if not suffix and len(kinds) > 1:
        raise ConfigError("suffix", None, sorted(kinds), f"{folder} has images of several kinds")
    cut = len(suffix or kinds.pop())
    return [name[:-cut] for name in images]

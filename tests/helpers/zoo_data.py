"""Tiny data in the true formats of the public sets.

A writer gets a folder: the ``data/`` of the configs. It makes there what a user would unpack, two pictures a split, so
that an epoch with a batch size of 2 is one iteration.
"""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from .tiny_data import write_classification, write_detection, write_segmentation
from .zoo_data_dense import WRITERS as DENSE

COUNT = 2
SYNSETS = {"n01440764": 0, "n02119789": 277}  # folder of a class of ImageNet, and the number of the class


def write_imagenet(root: Path) -> None:
    """``imagenet/{train/<synset>,val}/*.JPEG`` and ``imagenet/meta/{train,val}.txt``."""
    folder, rng = root / "imagenet", np.random.default_rng(0)
    train = {f"{synset}/{synset}_{index}.JPEG": label for index, (synset, label) in enumerate(SYNSETS.items())}
    val = {f"ILSVRC2012_val_{index + 1:08d}.JPEG": label for index, label in enumerate(SYNSETS.values())}
    (folder / "meta").mkdir(parents=True)
    for split, pictures in (("train", train), ("val", val)):
        for name in pictures:
            path = folder / split / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (90, 120, 3), dtype=np.uint8)).save(path, "JPEG")
        lines = [f"{name} {label}\n" for name, label in pictures.items()]
        (folder / "meta" / f"{split}.txt").write_text("".join(lines))


def write_cifar100(root: Path) -> None:
    """``cifar100/cifar-100-python/{train,test,meta}``, pickled as the original."""
    folder, rng = root / "cifar100" / "cifar-100-python", np.random.default_rng(0)
    folder.mkdir(parents=True)
    for split in ("train", "test"):
        labels = [int(label) for label in rng.integers(0, 100, COUNT)]
        content = {
            "filenames": [f"{split}_{index}.png" for index in range(COUNT)],
            "batch_label": split,
            "fine_labels": labels,
            "coarse_labels": [label // 5 for label in labels],
            "data": rng.integers(0, 256, (COUNT, 3 * 32 * 32), dtype=np.uint8),
        }
        (folder / split).write_bytes(pickle.dumps(content, protocol=2))
    names = {"fine_label_names": [f"class_{index}" for index in range(100)]}
    (folder / "meta").write_bytes(pickle.dumps(names, protocol=2))


def accept_cifar100() -> None:
    """mmpretrain compares checksums with those of the original files, which these are not."""
    from mmpretrain.datasets import CIFAR100

    CIFAR100.train_list = [(name, None) for name, _ in CIFAR100.train_list]
    CIFAR100.test_list = [(name, None) for name, _ in CIFAR100.test_list]


def write_digits(root: Path) -> None:
    """``digit_scenes`` as its converter makes it: for segmentation and detection."""
    write_segmentation(root / "digit_scenes", classes=11)
    shutil.rmtree(root / "digit_scenes" / "images")
    write_detection(root / "digit_scenes", classes=tuple(map(str, range(10))))


def write_mnist5k(root: Path) -> None:
    """``mnist5k`` as its converter makes it."""
    write_classification(root / "mnist5k", classes=tuple(map(str, range(10))), count=1)


def write_nuclei(root: Path) -> None:
    """``nuclei`` as its converter makes it."""
    write_segmentation(root / "nuclei", classes=2, size=128)


def write_trees(root: Path) -> None:
    """``trees`` as its converter makes it."""
    write_detection(root / "trees", classes=("tree",), size=400)


DEMO = dict(digits=write_digits, mnist5k=write_mnist5k, nuclei=write_nuclei, trees=write_trees)
WRITERS: dict[str, Callable[[Path], None]] = dict(imagenet=write_imagenet, cifar100=write_cifar100, **DENSE, **DEMO)

"""The written dataloader is read as it is meant, whatever wrappers and names are in it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from helpers.unlabeled_data import write_images
from mmengine.config import Config
from torch import nn

from mmdist.engine.new.dataloader import dataloader_text
from mmdist.engine.new.images import Images

PIPELINE = [dict(type="LoadImageFromFile"), dict(type="PackDetInputs")]
MIXED = [dict(type="Mosaic", img_scale=(64, 64)), dict(type="PackDetInputs")]
PLAIN = dict(type="CocoDataset", ann_file="a.json", pipeline=PIPELINE)


def written(folder: Path, images: Images, student: nn.Module | None = None, **loader: Any) -> Config:
    """The student's config, and the one that is written on top of it, as mmengine reads it."""
    loader = dict(batch_size=2, dataset=PLAIN, sampler=dict(type="DefaultSampler")) | loader
    base, out = folder / "base.py", folder / "work_dirs" / "out.py"
    out.parent.mkdir(exist_ok=True)
    base.write_text(f"train_dataloader = {loader!r}\n")
    text = dataloader_text(images, Config.fromfile(base), out, student or nn.Identity())
    out.write_text(f"_base_ = ['../base.py']\n{text}\n", encoding="utf-8")
    return Config.fromfile(out).train_dataloader


def test_both_kinds_are_in_the_form_of_the_page(tmp_path: Path) -> None:
    found = written(tmp_path, Images(str(tmp_path / "more"), 5))
    images = found.dataset.pop("unlabeled")
    assert os.path.samefile(Path(images).parent, tmp_path) and Path(images).name == "more"
    assert found == dict(
        batch_size=2,
        sampler=dict(type="DefaultSampler"),
        dataset=dict(type="mmdist.LabeledUnlabeledDataset", labeled=PLAIN),
        batch_sampler=dict(type="mmdist.LabeledUnlabeledBatchSampler", labeled=2, unlabeled=5),
    )


def test_batches_by_aspect_ratio_stay_so(tmp_path: Path) -> None:
    found = written(tmp_path, Images("more", 5), batch_sampler=dict(type="AspectRatioBatchSampler", drop_last=True))
    assert found.batch_sampler == dict(
        type="mmdist.LabeledUnlabeledBatchSampler", labeled=2, unlabeled=5, group_by_aspect_ratio=True
    )
    found = written(tmp_path, Images("more", 5), batch_sampler=None)
    assert found.batch_sampler == dict(type="mmdist.LabeledUnlabeledBatchSampler", labeled=2, unlabeled=5)


def test_images_of_their_own_take_the_place_of_the_labelled_ones(tmp_path: Path) -> None:
    found = written(tmp_path, Images(str(tmp_path / "more"), 5, labels=False))
    assert Path(found.dataset.pop("images")).name == "more"
    assert found.dataset == dict(type="mmdist.UnlabeledDataset", pipeline=PIPELINE)
    assert (found.batch_size, "batch_sampler" in found) == (5, False)


def test_without_others_the_training_images_are_taken(tmp_path: Path) -> None:
    meta = dict(classes=("a", "b"))
    found = written(tmp_path, Images(None, 2, labels=False), dataset=dict(PLAIN, metainfo=meta))
    assert found.dataset == dict(type="mmdist.UnlabeledDataset", images=dict(PLAIN, metainfo=meta), pipeline=PIPELINE)
    assert found.batch_size == 2
    others = written(tmp_path, Images("more", 2, labels=False), dataset=dict(PLAIN, metainfo=meta))
    assert others.dataset.metainfo == meta


ALONE = dict(type="mmdist.UnlabeledDataset", pipeline=PIPELINE)
WRAPPED = dict(
    repeated=(
        dict(type="RepeatDataset", times=3, dataset=PLAIN),
        dict(type="RepeatDataset", times=3, dataset=dict(ALONE, images=PLAIN)),
    ),
    balanced=(
        dict(type="ClassBalancedDataset", oversample_thr=0.1, dataset=PLAIN),
        dict(ALONE, images=dict(type="ClassBalancedDataset", oversample_thr=0.1, dataset=PLAIN)),
    ),
    several=(
        dict(type="ConcatDataset", datasets=[PLAIN, dict(PLAIN, ann_file="b.json")]),
        dict(ALONE, images=dict(type="ConcatDataset", datasets=[PLAIN, dict(PLAIN, ann_file="b.json")])),
    ),
    mixed=(
        dict(type="MultiImageMixDataset", dataset=PLAIN, pipeline=MIXED),
        dict(type="MultiImageMixDataset", dataset=dict(ALONE, images=PLAIN), pipeline=MIXED),
    ),
)


@pytest.mark.parametrize("kind", WRAPPED)
def test_wrappers_stay_around_the_images_unless_they_need_labels(kind: str, tmp_path: Path) -> None:
    dataset, expected = WRAPPED[kind]
    assert written(tmp_path, Images(None, 2, labels=False), dataset=dataset).dataset == expected
    labeled = written(tmp_path, Images("more", 2), dataset=dataset).dataset.labeled
    assert labeled == dataset


def test_the_label_that_the_head_ignores_is_told(tmp_path: Path) -> None:
    student = nn.Module()
    student.decode_head = nn.Module()
    student.decode_head.ignore_index = 11
    found = written(tmp_path, Images("more", 2), student).dataset.unlabeled
    assert (found.ignore_index, Path(found.images).name) == (11, "more")
    assert written(tmp_path, Images("more", 2, labels=False), student).dataset.ignore_index == 11


NAMES = (
    "it's",
    'a "b"',
    "line\nbreak",
    "\\back\\",
    "{{ fileDirname }}",
    "{{ $HOME:x }}",
    "{{_base_.train_dataloader}}",
    "#",
    "'); import os",
    "é中",
    "tab\t",
    os.fsdecode(b"\xff\xfe"),
)


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
@pytest.mark.parametrize("labels", [True, False])
def test_a_hostile_name_is_a_name_and_nothing_else(name: str, labels: bool, tmp_path: Path) -> None:
    folder = write_images(tmp_path / name, [(4, 4)])
    dataset = written(tmp_path, Images(str(folder), 2, labels=labels)).dataset
    assert os.path.samefile(dataset.unlabeled if labels else dataset.images, folder)


def test_a_list_that_is_a_link_keeps_the_folder_that_its_lines_start_from(tmp_path: Path) -> None:
    write_images(tmp_path / "data", [(4, 4)])
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "all.txt").write_text("000.png\n")
    (tmp_path / "data" / "mine.txt").symlink_to(tmp_path / "lists" / "all.txt")
    found = Path(written(tmp_path, Images(str(tmp_path / "data" / "mine.txt"), 2)).dataset.unlabeled)
    assert (found.parent / "000.png").is_file()

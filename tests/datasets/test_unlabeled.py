"""Images without labels go through the task's own pipeline, and bad ones are named before the run."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.task_runs import plain_run
from helpers.unlabeled_data import write_images
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DATASETS, DefaultScope
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from mmdist.datasets import UnlabeledDataset
from mmdist.engine.explain import explained
from mmdist.errors import ConfigError, MMDistError

SCOPES = ("mmseg", "mmdet", "mmpretrain")
LOAD = [dict(type="LoadImageFromFile")]
BOXES = dict(type="LoadAnnotations", with_bbox=True, with_mask=True, poly2mask=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_images(tmp_path / "more", [(50, 40), (40, 50), (60, 40)])


def built(scope: str, cfg: dict[str, Any]) -> Any:
    with DefaultScope.overwrite_default_scope(scope):
        return DATASETS.build(cfg)


def paths(dataset: Any) -> list[str]:
    return [Path(dataset.get_data_info(index)["img_path"]).name for index in range(len(dataset))]


@pytest.mark.parametrize("scope", SCOPES)
def test_the_pipeline_of_the_labelled_images_gets_empty_annotations(scope: str, folder: Path, tmp_path: Path) -> None:
    labeled = plain_run(scope, tmp_path).train_dataloader.dataset
    both = built(scope, dict(type="mmdist.LabeledUnlabeledDataset", labeled=labeled, unlabeled=str(folder)))
    count = len(both.labeled)
    assert len(both) == count + 3
    first, sample = (both[index]["data_samples"] for index in (0, count))
    assert getattr(first, "labeled", True)
    assert sample.metainfo["labeled"] is False
    assert type(sample) is type(first)
    assert set(sample.keys()) == set(first.keys())
    if scope == "mmseg":
        assert bool((sample.gt_sem_seg.data == 255).all())
        assert sample.gt_sem_seg.data.dtype == first.gt_sem_seg.data.dtype
        assert tuple(sample.gt_sem_seg.data.shape[1:]) == sample.img_shape
    elif scope == "mmdet":
        assert len(sample.gt_instances) == 0
        assert sample.gt_instances.keys() == first.gt_instances.keys()
    else:
        assert sample.gt_label.shape == first.gt_label.shape


def test_crops_and_sizes_are_those_of_labelled_images(tmp_path: Path) -> None:
    """The same images, with and without their labels, come out in the same sizes."""
    labeled = plain_run("mmdet", tmp_path).train_dataloader.dataset
    both = built("mmdet", dict(type="mmdist.LabeledUnlabeledDataset", labeled=labeled, unlabeled=dict(images=labeled)))
    assert len(both.unlabeled) == len(both.labeled)
    for index in range(len(both.labeled)):
        pair = []
        for dataset in (both.labeled, both.unlabeled):
            torch.manual_seed(index)
            np.random.seed(index)
            pair.append(dataset[index])
        assert torch.equal(pair[0]["inputs"], pair[1]["inputs"])
        assert pair[0]["data_samples"].scale_factor == pair[1]["data_samples"].scale_factor


def test_the_images_of_a_dataset_are_taken_without_its_filter(tmp_path: Path) -> None:
    labeled = plain_run("mmdet", tmp_path).train_dataloader.dataset
    labeled.filter_cfg = dict(filter_empty_gt=True, min_size=32)
    both = built("mmdet", dict(type="mmdist.LabeledUnlabeledDataset", labeled=labeled, unlabeled=dict(images=labeled)))
    assert (len(both.labeled), len(both.unlabeled)) == (3, 4)  # one image has no box
    repeated = dict(type="RepeatDataset", times=3, dataset=labeled)
    inner = dict(type="ConcatDataset", datasets=[labeled, labeled])
    both = built("mmdet", dict(type="mmdist.LabeledUnlabeledDataset", labeled=repeated, unlabeled=dict(images=inner)))
    assert (len(both.labeled), len(both.unlabeled)) == (9, 4)  # each image once
    balanced = dict(type="ClassBalancedDataset", oversample_thr=0.9, dataset=labeled)
    both = built("mmdet", dict(type="mmdist.LabeledUnlabeledDataset", labeled=balanced, unlabeled=dict(images=inner)))
    assert len(both.labeled) >= 3
    assert len(both.unlabeled.pipeline.transforms) == len(labeled.pipeline)


def test_the_images_of_a_dataset_bring_its_class_names(tmp_path: Path) -> None:
    labeled = plain_run("mmdet", tmp_path).train_dataloader.dataset
    classes = labeled.metainfo["classes"]
    assert built("mmdet", dict(type="mmdist.UnlabeledDataset", images=labeled)).metainfo["classes"] == classes
    own = dict(type="mmdist.UnlabeledDataset", images=labeled, metainfo=dict(classes=("mine",)))
    assert built("mmdet", own).metainfo["classes"] == ("mine",)


def test_transforms_that_drop_images_without_boxes_keep_them(folder: Path) -> None:
    crop = dict(type="RandomCrop", crop_size=(20, 20), allow_negative_crop=False)
    pipeline = [*LOAD, BOXES, dict(type="RandomOrder", transforms=[crop]), dict(type="PackDetInputs")]
    dataset = built("mmdet", dict(type="mmdist.UnlabeledDataset", images=str(folder), pipeline=pipeline))
    sample = dataset[0]
    assert sample["inputs"].shape[1:] == (20, 20)
    assert len(sample["data_samples"].gt_instances.masks) == 0
    assert sample["data_samples"].labeled is False


def test_a_pipeline_that_gives_nothing_is_named(folder: Path) -> None:
    class Nothing:
        def __call__(self, results: dict) -> None:
            return None

    dataset = UnlabeledDataset(images=str(folder), pipeline=[*LOAD, Nothing()])
    with pytest.raises(ConfigError, match=r"pipeline\.1 = 'Nothing'"):
        dataset[0]


def test_wrappers_that_mix_images_are_around_the_unlabelled_too(folder: Path, tmp_path: Path) -> None:
    labeled = plain_run("mmdet", tmp_path).train_dataloader.dataset
    labeled.pipeline = [*LOAD, dict(type="LoadAnnotations", with_bbox=True)]
    mix = [dict(type="Mosaic", img_scale=(32, 32)), dict(type="PackDetInputs")]
    both = built(
        "mmdet",
        dict(
            type="mmdist.LabeledUnlabeledDataset",
            labeled=dict(type="MultiImageMixDataset", dataset=labeled, pipeline=mix),
            unlabeled=str(folder),
        ),
    )
    sample = both[len(both.labeled)]
    assert sample["inputs"].shape[1:] == both[0]["inputs"].shape[1:] == (64, 64)
    assert sample["data_samples"].labeled is False
    both.update_skip_type_keys(["Mosaic"])  # as YOLOX's hook
    assert both[len(both.labeled)]["inputs"].shape[1:] == (40, 50)


def test_hooks_that_exchange_the_pipeline_exchange_it_for_all_images(folder: Path, tmp_path: Path) -> None:
    labeled = plain_run("mmseg", tmp_path).train_dataloader.dataset
    both = built("mmseg", dict(type="mmdist.LabeledUnlabeledDataset", labeled=labeled, unlabeled=str(folder)))
    with DefaultScope.overwrite_default_scope("mmseg"):
        both.pipeline = Compose([*LOAD, dict(type="LoadAnnotations"), dict(type="PackSegInputs")])
    assert len(both.pipeline.transforms) == len(both.unlabeled.pipeline.transforms) == 3
    assert both[0]["inputs"].shape[1:] == (48, 48)
    sample = both[len(both.labeled)]["data_samples"]
    assert bool((sample.gt_sem_seg.data == 255).all())
    assert not bool((both[0]["data_samples"].gt_sem_seg.data == 255).all())


def test_what_hooks_ask_of_the_data_is_what_the_labelled_dataset_has(folder: Path, tmp_path: Path) -> None:
    labeled = plain_run("mmpretrain", tmp_path).train_dataloader.dataset
    both = built("mmpretrain", dict(type="mmdist.LabeledUnlabeledDataset", labeled=labeled, unlabeled=str(folder)))
    assert both.CLASSES == both.labeled.CLASSES
    assert both.metainfo == both.labeled.metainfo
    assert not hasattr(both, "__getitems__")
    assert pickle.loads(pickle.dumps(both)).CLASSES == both.CLASSES
    with pytest.raises(AttributeError, match="nothing_such"):
        _ = both.nothing_such


def test_a_folder_is_searched_with_the_folders_in_it(folder: Path, tmp_path: Path) -> None:
    write_images(folder / "inner", [(8, 8)])
    (folder / "inner" / "000.png").rename(folder / "inner" / "B.PNG")
    (folder / "notes.txt").write_text("no image")
    (folder / "._000.png").write_text("no image")
    (folder / "link").symlink_to(folder / "inner")
    (folder / "circle").symlink_to(folder)
    dataset = UnlabeledDataset(images="more", data_root=str(tmp_path), pipeline=LOAD)
    assert paths(dataset) == ["000.png", "001.png", "002.png", "B.PNG"]


def test_a_list_file_names_images(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(f"more/002.png\n\n{folder / '000.png'}\r\nmore/002.png\n")
    assert paths(UnlabeledDataset(images=str(tmp_path / "list.txt"))) == ["002.png", "000.png"]
    (tmp_path / "list.txt").write_text("../elsewhere.png\n")
    with pytest.raises(ConfigError, match="leads to"):
        UnlabeledDataset(images=str(tmp_path / "list.txt"))


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_links_that_leave_the_folder_are_named(folder: Path, tmp_path: Path, kind: str) -> None:
    outside = write_images(tmp_path / "outside", [(9, 9)])
    link = folder / ("link.png" if kind == "file" else "link")
    link.symlink_to(outside / "000.png" if kind == "file" else outside)
    with pytest.raises(ConfigError, match=r"link.* leads to .*follow_links"):
        UnlabeledDataset(images=str(folder))
    assert len(UnlabeledDataset(images=str(folder), follow_links=True)) == 4


def test_folders_and_lists_without_images_are_answered(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    for name in ("empty", "absent", "empty.txt", "binary.txt"):
        with pytest.raises(ConfigError, match=r"unlabeled\.images") as caught:
            UnlabeledDataset(images=str(tmp_path / name))
        assert "\n" not in str(caught.value)
        assert name in str(caught.value)


def bad_file(path: Path, kind: str) -> None:
    if kind == "text":
        path.write_text("no image")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "pipe":
        os.mkfifo(path)
    else:  # a head that promises more than memory holds
        Image.new("1", (20_000, 20_000)).save(path)


@pytest.mark.parametrize("kind", ["text", "empty", "pipe", "large"])
def test_images_that_cannot_be_read_or_are_too_large_are_named_or_skipped(folder: Path, kind: str) -> None:
    bad_file(folder / "bad\x1b.png", kind)
    with pytest.raises(ConfigError, match=r"bad\\x1b\.png .*bad_images='skip'"):
        UnlabeledDataset(images=str(folder))
    assert len(UnlabeledDataset(images=str(folder), bad_images="skip")) == 3


def test_an_image_whose_pixels_are_damaged_is_named_or_another_taken(folder: Path) -> None:
    whole = (folder / "001.png").read_bytes()
    (folder / "001.png").write_bytes(whole[:60] + b"\0" * 50)  # the head is whole
    with pytest.raises(MMDistError, match=r"001\.png"):
        UnlabeledDataset(images=str(folder), pipeline=LOAD)[1]
    assert UnlabeledDataset(images=str(folder), pipeline=LOAD, bad_images="skip")[1]["img"].size


class Refusing(Dataset):
    """Raises the error of a user's mistake."""

    def __init__(self, *arguments: str) -> None:
        self.arguments = arguments

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> None:
        try:
            raise OSError("line\nbreak")
        except OSError as error:
            raise (MMDistError if len(self.arguments) == 1 else ConfigError)(*self.arguments) from error


@pytest.mark.parametrize("arguments", [("a.png cannot be read",), ("pipeline.1", "Nothing", "another transform")])
def test_an_error_in_a_data_worker_is_one_line_too(arguments: tuple[str, ...]) -> None:
    with pytest.raises(MMDistError) as caught, explained(Config()):
        next(iter(DataLoader(Refusing(*arguments), num_workers=1)))
    expected = MMDistError if len(arguments) == 1 else ConfigError
    assert str(caught.value) == str(expected(*arguments))


def test_an_image_on_its_side_has_the_size_that_it_is_shown_in(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (8, 6)).save(tmp_path / "photos" / "a.jpg", exif=exif)
    dataset = UnlabeledDataset(images=str(tmp_path / "photos"), pipeline=LOAD)
    info = dataset.get_data_info(0)
    assert (info["height"], info["width"]) == dataset[0]["img"].shape[:2] == (8, 6)


@pytest.mark.parametrize(
    ("options", "key"),
    [(dict(bad_images="ignore"), "bad_images"), (dict(images=""), "images"), (dict(max_pixels=0), "max_pixels")],
)
def test_wrong_options_are_named(folder: Path, options: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=rf"unlabeled\.{key}"):
        UnlabeledDataset(**{"images": str(folder), **options})

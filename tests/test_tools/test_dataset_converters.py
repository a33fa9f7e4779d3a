"""What the converters write, checked on small made-up sources and, with a network, on the real ones."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.converter_sources import CONVERTERS, SPLITS, coco_json, pixels


@pytest.fixture
def scenes(load, sources, tmp_path: Path) -> Path:
    return load("digit_scenes").convert(tmp_path / "scenes", train=24, val=8)


# ---------------------------------------------------------------- digit scenes


def test_train_and_validation_scenes_share_no_digit_and_no_photograph(scenes):
    train, val = (coco_json(scenes, split) for split in SPLITS)
    digits = [{box["digit"] for box in content["annotations"]} for content in (train, val)]
    photographs = [{image["photograph"] for image in content["images"]} for content in (train, val)]
    assert all(digits) and not digits[0] & digits[1]
    assert all(photographs) and not photographs[0] & photographs[1]


@pytest.mark.parametrize(("split", "channel"), [("train", 0), ("val", 1)])
def test_backgrounds_come_from_the_photographs_of_the_split(scenes, split, channel):
    for path in (scenes / "images" / split).iterdir():
        background = pixels(path)[pixels(scenes / "annotations" / split / path.name) == 0]
        medians = np.median(background, axis=0)
        assert medians.argmax() == channel and sorted(medians)[1] == 10


@pytest.mark.parametrize("split", SPLITS)
def test_boxes_and_areas_agree_with_the_mask(scenes, split):
    content = coco_json(scenes, split)
    assert [category["name"] for category in content["categories"]] == [str(digit) for digit in range(10)]
    for image in content["images"]:
        mask = pixels(scenes / "annotations" / split / image["file_name"])
        boxes = [box for box in content["annotations"] if box["image_id"] == image["id"]]
        assert 2 <= len(boxes) <= 4
        assert sum(box["area"] for box in boxes) == np.count_nonzero(mask)
        assert set(np.unique(mask)) - {0, 255} == {box["category_id"] for box in boxes}
        covered = np.zeros(mask.shape, dtype=bool)
        for box in boxes:
            left, top, width, height = box["bbox"]
            window = mask[top : top + height, left : left + width]
            covered[top : top + height, left : left + width] = True
            assert window.shape == (height, width) and (window == box["category_id"]).any()
            assert window[0].any() and window[-1].any() and window[:, 0].any() and window[:, -1].any()
        assert not mask[~covered].any()


def test_digits_are_those_that_the_annotations_name(scenes, sources):
    for split in SPLITS:
        for box in coco_json(scenes, split)["annotations"]:
            assert box["category_id"] == sources["labels"][box["digit"]] + 1


def test_digits_are_bright_on_dark(scenes):
    for path in (scenes / "images" / "train").iterdir():
        image, mask = pixels(path), pixels(scenes / "annotations" / "train" / path.name)
        assert image[(mask > 0) & (mask < 255)].mean() > image[mask == 0].mean() + 60


def test_the_truth_scores_full_average_precision(scenes):
    coco, evaluation = pytest.importorskip("pycocotools.coco"), pytest.importorskip("pycocotools.cocoeval")
    truth = coco.COCO(str(scenes / "annotations" / "instances_train.json"))
    found = [{**box, "score": 1.0} for box in truth.anns.values()]
    score = evaluation.COCOeval(truth, truth.loadRes(found), "bbox")
    score.evaluate()
    score.accumulate()
    score.summarize()
    assert score.stats[0] == pytest.approx(1.0)


def test_the_seed_alone_decides_the_scenes(load, scenes, tmp_path):
    converter, checksum = load("digit_scenes"), load("_dataset").tree_sha256
    again = converter.convert(tmp_path / "again", train=24, val=8)
    other = converter.convert(tmp_path / "other", train=24, val=8, seed=1)
    assert checksum(scenes) == checksum(again) != checksum(other)


def test_fewer_scenes_are_the_first_of_many(load, scenes, tmp_path):
    few = load("digit_scenes").convert(tmp_path / "few", train=3, val=2)
    for path in few.rglob("*.png"):
        assert path.read_bytes() == (scenes / path.relative_to(few)).read_bytes()


def test_digits_that_find_no_room_are_an_error_and_leave_nothing(load, sources, tmp_path):
    with pytest.raises(ValueError, match=r"digits = \(10, 10\): .*fewer, smaller"):
        load("digit_scenes").convert(tmp_path / "full", train=1, val=1, digits=(10, 10), digit_size=(64, 64))
    assert not (tmp_path / "full").exists()


# ---------------------------------------------------------------- the other sets


def test_mnist_lists_name_every_file_once_with_its_class(load, sources, tmp_path):
    root = load("mnist5k").convert(tmp_path / "mnist")
    rows = {}
    for split, count in zip(SPLITS, (80, 20), strict=True):
        entries = [line.split() for line in (root / "meta" / f"{split}.txt").read_text().splitlines()]
        assert sorted(name for name, _ in entries) == sorted(
            path.relative_to(root / split).as_posix() for path in (root / split).rglob("*.png")
        )
        assert np.bincount([int(label) for _, label in entries]).tolist() == [count // 10] * 10
        rows[split] = [int(Path(name).stem) for name, _ in entries]
        for (name, label), row in zip(entries, rows[split], strict=True):
            assert np.array_equal(pixels(root / split / name), sources["digits"][row])
            assert name.split("/")[0] == label == str(sources["labels"][row])
    assert sorted(rows["train"] + rows["val"]) == list(range(100))


def test_digit_scenes_and_mnist_hold_out_the_same_digits(load, scenes, sources, tmp_path):
    root = load("mnist5k").convert(tmp_path / "mnist")
    for split in SPLITS:
        pool = {int(path.stem) for path in (root / split).rglob("*.png")}
        assert {box["digit"] for box in coco_json(scenes, split)["annotations"]} <= pool


def test_no_training_tile_of_the_nuclei_reaches_into_the_validation_quarter(load, sources, tmp_path):
    root = load("nuclei").convert(tmp_path / "nuclei", tile=64)
    seen = {split: np.zeros((512, 512), dtype=int) for split in SPLITS}
    for split in SPLITS:
        for path in (root / "images" / split).iterdir():
            y, x = (int(part[1:]) for part in path.stem.split("_"))
            seen[split][y : y + 64, x : x + 64] += 1
            assert np.array_equal(pixels(path), sources["microscopy"][y : y + 64, x : x + 64])
    assert not (seen["train"].astype(bool) & seen["val"].astype(bool)).any()
    assert (seen["train"] > 0).sum() == 512 * 512 * 3 // 4 and (seen["val"] == 1).sum() == 512 * 512 // 4


def test_nuclei_are_ignored_at_outlines_and_across_the_border(load, sources, tmp_path):
    root = load("nuclei").convert(tmp_path / "nuclei", tile=128)
    first = pixels(root / "annotations" / "train" / "y000_x000.png")
    assert first[30, 30] == first[30, 50] == 1 and first[5, 5] == 0
    assert (first[25:35, 39:41] == 255).all() and (first[25:35, 20] == 255).all()
    held_out = pixels(root / "annotations" / "val" / "y256_x256.png")
    assert (held_out[44:64, 0:24] == 255).all()
    assert pixels(root / "annotations" / "val" / "y384_x384.png")[30, 30] == 1


@pytest.mark.parametrize("split", SPLITS)
def test_tree_boxes_lie_where_the_trees_are(load, sources, tmp_path, split):
    root = load("trees").convert(tmp_path / "trees", tile=200)
    content = coco_json(root, split)
    names = {image["id"]: image["file_name"] for image in content["images"]}
    assert sorted(names.values()) == sorted(path.name for path in (root / "images" / split).iterdir())
    for box in content["annotations"]:
        left, top, width, height = map(int, box["bbox"])
        tile = pixels(root / "images" / split / names[box["image_id"]])
        assert tile.shape == (200, 200, 3)
        window = tile[top : top + height, left : left + width]
        assert window.shape == (height, width, 3) and (window == 255).all()


def test_validation_counts_no_tree_twice_and_trains_on_other_photographs(load, sources, tmp_path):
    converter = load("trees")
    root = converter.convert(tmp_path / "trees", tile=200)
    train, val = (coco_json(root, split) for split in SPLITS)
    photographs = [{image["photograph"] for image in content["images"]} for content in (train, val)]
    assert photographs == [set(converter.PHOTOGRAPHS[split]) for split in SPLITS]
    assert not photographs[0] & photographs[1]
    area = sum(box["area"] for box in val["annotations"])
    trees = np.concatenate([sources[name] for name in photographs[1]])
    whole = ((trees[:, 2] - trees[:, 0]) * (trees[:, 3] - trees[:, 1])).sum()
    assert 0.95 * whole < area <= whole
    counted = [not box["iscrowd"] for box in val["annotations"]]
    assert sum(counted) <= len(trees) and not all(counted)


# ---------------------------------------------------------------- command line


@pytest.mark.parametrize(
    ("name", "arguments", "answer"),
    [
        ("digit_scenes", ["--train", "0"], "train = 0: expected a number of scenes above 0"),
        ("digit_scenes", ["--digits", "4", "2"], "digits = (4, 2): expected two numbers from 1 to 10"),
        ("digit_scenes", ["--digit-size", "26", "99"], "digit_size = (26, 99): expected two numbers from 14 to 64"),
        ("digit_scenes", ["--stroke", "2"], "stroke = 2: expected 1, 3, 5 or 7"),
        ("digit_scenes", ["--seed", "-1"], "seed = -1: expected a number from 0"),
        ("nuclei", ["--tile", "100"], "tile = 100: expected 32, 64, 128 or 256"),
        ("trees", ["--tile", "4000"], "tile = 4000: expected a number from 64 to 400"),
    ],
)
def test_a_wrong_value_is_answered_in_one_line(load, sources, tmp_path, capsys, name, arguments, answer):
    assert load(name).main(["--out", str(tmp_path / "out"), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {answer}") and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_answered_in_one_line(load, sources, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert load("mnist5k").main(["--out", str(tmp_path / "file" / "data")]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: cannot make {tmp_path / 'file' / 'data'}: ") and error.count("\n") == 1


@pytest.mark.parametrize("name", ["digit_scenes", "mnist5k", "nuclei", "trees"])
def test_each_converter_runs_as_a_script_from_anywhere(name, tmp_path):
    environment = {"PYTHONPATH": str(CONVERTERS.parents[1]), "PATH": "", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(CONVERTERS / f"{name}.py"), "--help"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and "--out" in done.stdout


# ---------------------------------------------------------------- the task libraries, and the real sources


def test_the_task_libraries_read_the_folders(load, scenes, sources, tmp_path):
    for package in ("mmcv", "mmseg", "mmdet", "mmpretrain"):
        pytest.importorskip(package)
    from mmdet.datasets import CocoDataset
    from mmpretrain.datasets import CustomDataset
    from mmseg.datasets import BaseSegDataset

    classes = tuple(str(digit) for digit in range(10))
    masks = BaseSegDataset(
        data_root=str(scenes),
        data_prefix={"img_path": "images/train", "seg_map_path": "annotations/train"},
        img_suffix=".png",
        seg_map_suffix=".png",
        metainfo={"classes": ("background", *classes), "palette": [[number] * 3 for number in range(11)]},
        pipeline=[{"type": "mmseg.LoadImageFromFile"}, {"type": "mmseg.LoadAnnotations"}],
    )
    assert len(masks) == 24 and np.array_equal(
        masks[5]["gt_seg_map"], pixels(scenes / "annotations" / "train" / "000005.png")
    )
    boxes = CocoDataset(
        data_root=str(scenes),
        ann_file="annotations/instances_val.json",
        data_prefix={"img": "images/val/"},
        metainfo={"classes": classes},
        pipeline=[{"type": "mmdet.LoadImageFromFile"}, {"type": "mmdet.LoadAnnotations", "with_bbox": True}],
    )
    wanted = [box["category_id"] - 1 for box in coco_json(scenes, "val")["annotations"] if box["image_id"] == 1]
    assert len(boxes) == 8 and boxes[0]["gt_bboxes_labels"].tolist() == wanted
    mnist = load("mnist5k").convert(tmp_path / "mnist")
    listed = CustomDataset(data_root=str(mnist), ann_file="meta/val.txt", data_prefix="val", classes=classes)
    found = CustomDataset(data_root=str(mnist), data_prefix="val")
    assert sorted(listed.get_gt_labels()) == sorted(found.get_gt_labels()) == sorted(np.repeat(np.arange(10), 2))


@pytest.mark.network
def test_the_real_sources_hold_what_the_documentation_says(load, tmp_path):
    def splits(name: str) -> dict:
        return json.loads((load(name).convert(tmp_path / name) / "manifest.json").read_text())["splits"]

    assert [split["images"] for split in splits("mnist5k").values()] == [4000, 1000]
    nuclei, trees = splits("nuclei"), splits("trees")
    assert [nuclei[split]["nuclei"] for split in SPLITS] == [102, 23]
    assert [trees[split]["trees"] for split in SPLITS] == [635, 316]
    images, labels = load("_mnist").read_digits()
    assert len({image.tobytes() for image in images}) == 5000 and (np.bincount(labels) == 500).all()
    scenes = load("digit_scenes").convert(tmp_path / "digit_scenes", train=16, val=8)
    assert len(list(scenes.rglob("*.png"))) == 48

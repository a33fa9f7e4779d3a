"""The halves of the digits share nothing, and a few-label subset is what its seed says and what the libraries read."""

from __future__ import annotations

import doctest
import hashlib
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from helpers.converter_sources import CONVERTERS, coco_json
from PIL import Image


def listed(root: Path, name: str) -> list[str]:
    return (root / "splits" / name).read_text().splitlines()


def boxes_of(content: dict) -> dict[str, list[list[int]]]:
    """The boxes of a COCO file, by image."""
    names = {image["id"]: image["file_name"] for image in content["images"]}
    return {
        name: [box["bbox"] for box in content["annotations"] if box["image_id"] == number]
        for number, name in names.items()
    }


def crops(root: Path) -> set[bytes]:
    """Every training image of a data set, by content."""
    return {np.array(Image.open(path)).tobytes() for path in root.rglob("train/**/*.png") if "images" in path.parts}


# ---------------------------------------------------------------- halves of the digits


def test_the_halves_of_the_scenes_share_no_digit_and_no_scene(load, sources, tmp_path):
    converter = load("digit_scenes")
    halves = [converter.convert(tmp_path / half, train=24, val=4, digits=half) for half in ("teacher", "student")]
    digits = [{box["digit"] for box in coco_json(root, "train")["annotations"]} for root in halves]
    pools = [load("_mnist").halve_digits(sources["labels"], half)["train"] for half in ("teacher", "student")]
    assert all(found and found <= set(pool.tolist()) for found, pool in zip(digits, pools, strict=True))
    assert not digits[0] & digits[1] and not crops(halves[0]) & crops(halves[1])
    layouts = [boxes_of(coco_json(root, "train")) for root in halves]
    assert not any(layouts[0][name] == layouts[1][name] for name in layouts[0])


@pytest.mark.parametrize("name", ["digit_scenes", "mnist5k"])
def test_both_halves_are_judged_on_the_same_validation_images(load, sources, tmp_path, name):
    counts = {"train": 4, "val": 4} if name == "digit_scenes" else {}
    roots = [
        load(name).convert(tmp_path / str(half["digits"] if half else None), **counts, **half)
        for half in ({}, {"digits": "teacher"}, {"digits": "student"})
    ]
    found = [
        {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("val/**/*.png"))}
        for root in roots
    ]
    assert found[0] and found[0] == found[1] == found[2]


def test_the_halves_of_mnist_part_the_training_digits_of_every_class(load, sources, tmp_path):
    def rows(**half: str) -> list[int]:
        root = load("mnist5k").convert(tmp_path / half.get("digits", "all"), **half)
        lines = [line.split() for line in (root / "meta" / "train.txt").read_text().splitlines()]
        assert Counter(label for _, label in lines) == {str(digit): len(lines) // 10 for digit in range(10)}
        assert sorted(name for name, _ in lines) == sorted(
            path.relative_to(root / "train").as_posix() for path in (root / "train").rglob("*.png")
        )
        return [int(Path(name).stem) for name, _ in lines]

    teacher, student = rows(digits="teacher"), rows(digits="student")
    assert len(teacher) == len(student) == 40 and sorted(teacher + student) == rows()


def test_what_was_made_before_there_were_halves_is_still_sound(load, sources, tmp_path):
    """Parameters and boxes as they always were, for made-up sources that never change."""
    root = load("digit_scenes").convert(tmp_path / "scenes", train=24, val=8)
    manifest = json.loads((root / "manifest.json").read_text())
    assert list(manifest["params"]) == ["train", "val", "size", "digits", "digit_size", "stroke", "seed"]
    assert {path.name for path in root.iterdir()} == {"images", "annotations", "manifest.json"}
    boxes = (root / "annotations" / "instances_train.json").read_bytes()
    assert hashlib.sha256(boxes).hexdigest() == "21e75f3e386563cb9aa9df261f2cb00ea4f1d4c742a25a65606dc2605e0089e1"
    mnist = load("mnist5k").convert(tmp_path / "mnist")
    assert json.loads((mnist / "manifest.json").read_text())["params"] == {}
    assert {path.name for path in mnist.iterdir()} == {"train", "val", "meta", "manifest.json"}


def test_a_half_can_have_other_numbers_of_digits_in_a_scene(load, sources, tmp_path):
    root = tmp_path / "scenes"
    arguments = ["--train", "8", "--val", "2", "--digits", "student", "--digits-per-scene", "1", "1"]
    assert load("digit_scenes").main(["--out", str(root), *arguments]) == 0
    assert len(coco_json(root, "train")["annotations"]) == 8
    again = load("digit_scenes").convert(tmp_path / "again", train=8, val=2, digits="student", digits_per_scene=(1, 1))
    assert coco_json(again, "train") == coco_json(root, "train")


# ---------------------------------------------------------------- subsets of the digits


@pytest.fixture
def scenes(load, sources, tmp_path: Path) -> Path:
    return load("digit_scenes").convert(tmp_path / "scenes", train=24, val=4, labeled=[5, 10], subset_seed=[0, 1])


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("count", [5, 10])
def test_a_subset_and_the_rest_are_all_scenes_and_both_tasks_have_the_same(scenes, count, seed):
    stem = f"train_{count}_seed{seed}"
    labeled, rest = listed(scenes, f"{stem}_labeled.txt"), listed(scenes, f"{stem}_unlabeled.txt")
    assert len(labeled) == count and sorted(labeled + rest) == [f"{index:06d}" for index in range(24)]
    whole = coco_json(scenes, "train")
    parts = {
        kind: json.loads((scenes / "splits" / f"instances_{stem}_{kind}.json").read_text())
        for kind in ("labeled", "unlabeled")
    }
    assert list(boxes_of(parts["labeled"])) == [f"{name}.png" for name in labeled]
    assert list(boxes_of(parts["unlabeled"])) == [f"{name}.png" for name in rest]
    assert boxes_of(parts["labeled"]).items() <= boxes_of(whole).items() and not parts["unlabeled"]["annotations"]
    assert all(part["categories"] == whole["categories"] for part in parts.values())


def test_a_smaller_subset_is_part_of_a_larger_one_and_another_seed_draws_others(scenes):
    drawn = {
        (count, seed): set(listed(scenes, f"train_{count}_seed{seed}_labeled.txt"))
        for count in (5, 10)
        for seed in (0, 1)
    }
    assert drawn[5, 0] < drawn[10, 0] and drawn[5, 1] < drawn[10, 1] and drawn[10, 0] != drawn[10, 1]


def test_the_draw_is_the_order_of_a_hash_that_every_machine_has(scenes):
    """An independent formula: no random number generator whose stream a version could change."""
    names = [f"{index:06d}" for index in range(24)]
    order = sorted(names, key=lambda name: hashlib.sha256(f"1\0{name}".encode()).hexdigest())
    assert listed(scenes, "train_10_seed1_labeled.txt") == sorted(order[:10])


def test_further_subsets_are_added_to_a_data_set_that_is_there(load, scenes, capsys):
    checksum = load("_dataset").tree_sha256(scenes)
    before = {path.name for path in [*scenes.iterdir(), *(scenes / "splits").iterdir()]}
    inode = scenes.stat().st_ino
    load("digit_scenes").convert(scenes, train=24, val=4, labeled=7)
    after = {path.name for path in [*scenes.iterdir(), *(scenes / "splits").iterdir()]}
    assert len(after - before) == 5 and before < after and scenes.stat().st_ino == inode
    assert load("_dataset").tree_sha256(scenes) == checksum and "already there" in capsys.readouterr().out


def test_a_damaged_list_is_mended_by_the_same_command(load, scenes):
    path = scenes / "splits" / "train_5_seed0_labeled.txt"
    whole = path.read_text()
    path.write_text(whole[:9])
    load("digit_scenes").convert(scenes, train=24, val=4, labeled=5)
    assert path.read_text() == whole


@pytest.mark.parametrize("name", ["digit_scenes", "mnist5k"])
def test_the_paths_of_the_unlabelled_images_lead_down_from_the_list(load, sources, tmp_path, name):
    sizes = {"train": 24, "val": 4} if name == "digit_scenes" else {}
    root = load(name).convert(tmp_path / "data", labeled=10, **sizes)
    path = root / "train_10_seed0_unlabeled_images.txt"
    paths = path.read_text().splitlines()
    assert all((path.parent / line).is_file() and ".." not in line for line in paths)
    names = [Path(line).stem for line in listed(root, "train_10_seed0_unlabeled.txt")]
    assert [Path(line).stem for line in paths] == names


def test_what_a_killed_run_left_of_a_list_is_no_damage(load, scenes, capsys):
    for folder in (scenes, scenes / "splits"):
        (folder / ".train_9_seed0_unlabeled.txt.partial").write_text("0000")
    (scenes / ".train_9_seed0_unlabeled.txt.partial").rename(scenes / ".train_9_seed0_unlabeled_images.txt.partial")
    load("digit_scenes").convert(scenes, train=24, val=4, labeled=9)
    assert "already there" in capsys.readouterr().out and not list(scenes.rglob("*.partial"))


@pytest.mark.parametrize("name", ["splits", "splits/.train_5_seed0_labeled.txt.partial"])
def test_lists_are_never_written_through_a_link(load, scenes, tmp_path, name):
    other = tmp_path / "precious"
    if name == "splits":
        (scenes / name).rename(other)
    else:
        other.write_text("precious")
    (scenes / name).symlink_to(other)
    before = other.read_text() if other.is_file() else sorted(path.stat().st_mtime_ns for path in other.iterdir())
    code = load("digit_scenes").main(["--out", str(scenes), "--train", "24", "--val", "4", "--labeled", "5"])
    after = other.read_text() if other.is_file() else sorted(path.stat().st_mtime_ns for path in other.iterdir())
    assert before == after and code == (2 if name == "splits" else 0)


@pytest.mark.parametrize("name", ["test", "trainannot", "train_5_seed0_labeled.txt", "my_unlabeled_images.txt"])
def test_what_this_data_set_has_not_at_its_top_is_the_users(load, scenes, name):
    (scenes / name).mkdir()
    with pytest.raises(ValueError, match="nothing but this data set"):
        load("digit_scenes").convert(scenes, train=12, val=4)
    assert (scenes / name).is_dir()


def test_a_file_of_the_users_among_the_lists_is_not_lost(load, scenes, sources):
    (scenes / "splits" / "mine.txt").write_text("000001\n")
    with pytest.raises(ValueError, match="lists of subsets alone"):
        load("digit_scenes").convert(scenes, train=12, val=4)
    assert (scenes / "splits" / "mine.txt").read_text() == "000001\n"


@pytest.mark.parametrize("count", [10, 13, 40])
def test_every_class_of_mnist_keeps_as_many_labels(load, sources, tmp_path, count):
    root = load("mnist5k").convert(tmp_path / "mnist", labeled=count, subset_seed=3)
    labeled = listed(root, f"train_{count}_seed3_labeled.txt")
    rest = listed(root, f"train_{count}_seed3_unlabeled.txt")
    per_class = Counter(line.split()[1] for line in labeled)
    assert len(labeled) == count and len(per_class) == 10 and max(per_class.values()) - min(per_class.values()) <= 1
    lines = (root / "meta" / "train.txt").read_text().splitlines()
    assert set(labeled) <= set(lines) and not any(" " in name for name in rest)
    assert sorted([*(line.split()[0] for line in labeled), *rest]) == sorted(line.split()[0] for line in lines)


@pytest.mark.parametrize(
    ("name", "arguments", "answer"),
    [
        ("digit_scenes", ["--digits", "techer"], "digits = 'techer': did you mean 'teacher'?"),
        ("mnist5k", ["--digits", "both"], "digits = 'both': Allowed: 'student', 'teacher'"),
        ("digit_scenes", ["--digits", "2", "x"], "digits = ['2', 'x']: expected two numbers from 1 to 10"),
        ("digit_scenes", ["--digits-per-scene", "3", "2"], "digits_per_scene = (3, 2): expected two numbers"),
        ("digit_scenes", ["--digits", "1", "3", "--digits-per-scene", "1", "2"], "digits = ['1', '3']: "),
        ("digit_scenes", ["--labeled", "3000"], "labeled = 3000: expected less than the 3000 training scenes"),
        ("mnist5k", ["--labeled", "81"], "labeled = 81: expected less than the 80 images of train"),
        ("mnist5k", ["--labeled", "9"], "labeled = 9: expected at least one image for each of the 10 classes"),
        ("mnist5k", ["--digits", "teacher", "--labeled", "40"], "labeled = 40: expected less than the 40 images"),
        ("mnist5k", ["--labeled", "0"], "labeled = 0: expected a number of images above 0"),
        ("mnist5k", ["--labeled", "20", "--subset-seed", "-1"], "subset_seed = -1: expected a number from 0"),
        ("mnist5k", ["--subset-seed", "1"], "subset_seed = [1]: expected nothing, without labeled"),
    ],
)
def test_a_wrong_subset_is_answered_in_one_line(load, sources, tmp_path, capsys, name, arguments, answer):
    assert load(name).main(["--out", str(tmp_path / "out"), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {answer}") and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("labeled", [1.5, True, "20", [20, 2.0]])
def test_from_python_only_whole_numbers_of_images_are_taken(load, sources, tmp_path, labeled):
    with pytest.raises(ValueError, match=r"labeled = .*: expected a number of images above 0"):
        load("mnist5k").convert(tmp_path / "out", labeled=labeled)


@pytest.mark.parametrize("name", ["_blocks", "_lists", "_mnist", "_subsets", "_mobilenetv2"])
def test_the_examples_in_the_docstrings_are_true(load, monkeypatch, name):
    monkeypatch.syspath_prepend(str(CONVERTERS.parent / "model_converters"))
    done = doctest.testmod(load(name))
    assert done.attempted and not done.failed


# ---------------------------------------------------------------- the task libraries


def test_the_task_libraries_read_the_subsets(load, scenes, sources, tmp_path):
    for package in ("mmcv", "mmseg", "mmdet", "mmpretrain"):
        pytest.importorskip(package)
    from mmdet.datasets import CocoDataset
    from mmpretrain.datasets import CustomDataset
    from mmseg.datasets import BaseSegDataset

    classes = tuple(str(digit) for digit in range(10))
    for kind, count in (("labeled", 5), ("unlabeled", 19)):
        masks = BaseSegDataset(
            data_root=str(scenes),
            ann_file=f"splits/train_5_seed0_{kind}.txt",
            data_prefix={"img_path": "images/train", "seg_map_path": "annotations/train"},
            img_suffix=".png",
            seg_map_suffix=".png",
            pipeline=[],
        )
        boxes = CocoDataset(
            data_root=str(scenes),
            ann_file=f"splits/instances_train_5_seed0_{kind}.json",
            data_prefix={"img": "images/train/"},
            metainfo={"classes": classes},
            filter_cfg={"filter_empty_gt": kind == "labeled"},
            pipeline=[],
        )
        assert len(masks) == len(boxes) == count
        paths = [sorted(Path(dataset.get_data_info(i)["img_path"]) for i in range(count)) for dataset in (masks, boxes)]
        assert paths[0] == paths[1] and all(path.is_file() for path in paths[0])
        assert all(bool(boxes.get_data_info(i)["instances"]) == (kind == "labeled") for i in range(count))
    mnist = load("mnist5k").convert(tmp_path / "mnist", labeled=20)
    labeled = CustomDataset(
        data_root=str(mnist), ann_file="splits/train_20_seed0_labeled.txt", data_prefix="train", classes=classes
    )
    assert sorted(labeled.get_gt_labels()) == sorted(np.repeat(np.arange(10), 2))
    rest = CustomDataset(
        data_root=str(mnist), ann_file="splits/train_20_seed0_unlabeled.txt", data_prefix="train", with_label=False
    )
    assert len(rest) == 60 and all(Path(rest.get_data_info(i)["img_path"]).is_file() for i in range(60))

"""CamVid: what the zoo's configs read, from what people have; frames of different use are never neighbours."""

from __future__ import annotations

import io
import itertools
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.converter_sources import CONVERTERS, pixels, png
from PIL import Image

ROOT = CONVERTERS.parents[1]
SPLITS = ("train", "val", "test")
SIZE = (9, 12)  # height and width
# As the real set has them: names of three videos, one of which is in val as well and one in test.
NAMES = {
    "train": [
        *(f"0001TP_{6690 + 30 * index:06d}" for index in range(62)),
        *(f"0006R0_f{930 + 30 * index:05d}" for index in range(101)),
        *(f"0016E5_{390 + 30 * index:05d}" for index in range(204)),
    ],
    "val": [f"0016E5_{7959 + 2 * index:05d}" for index in range(3)],
    "test": ["0001TP_008550", "Seq05VD_f00000", "Seq05VD_f00030"],
}
VIDEOS = [NAMES["train"][:62], NAMES["train"][62:163], NAMES["train"][163:]]


def jpeg(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=94)
    return file.getvalue()


def write_source(root: Path, image_suffix: str = ".png", train: int = 367) -> Path:
    """A folder in the layout of the real one."""
    rng = np.random.default_rng(3)
    for split, names in NAMES.items():
        images, labels = root / split, root / f"{split}annot"
        images.mkdir(parents=True)
        labels.mkdir()
        for name in names[: train if split == "train" else None]:
            image = rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
            (images / f"{name}{image_suffix}").write_bytes(png(image) if image_suffix == ".png" else jpeg(image))
            (labels / f"{name}.png").write_bytes(png(rng.integers(0, 12, SIZE, dtype=np.uint8)))
        (root / f"{split}.txt").write_text("the list that comes with it\n")
        (images / ".DS_Store").touch()
    return root


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MMDIST_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_source(tmp_path / "source", train=8)


@pytest.fixture
def longer(tmp_path: Path) -> Path:
    return write_source(tmp_path / "source", train=16)


def listed(root: Path, name: str) -> list[str]:
    return (root / "splits" / name).read_text().splitlines()


# ---------------------------------------------------------------- images


def test_png_files_are_copied_byte_for_byte(load, source, tmp_path):
    root = load("camvid").convert(tmp_path / "CamVid", source)
    for split in SPLITS:
        for folder in (split, f"{split}annot"):
            before = {path.name: path.read_bytes() for path in (source / folder).glob("*.png")}
            assert before and before == {path.name: path.read_bytes() for path in (root / folder).iterdir()}
    counts = json.loads((root / "manifest.json").read_text())["splits"]
    assert counts == {"train": {"images": 8}, "val": {"images": 3}, "test": {"images": 3}}
    assert {path.name for path in root.iterdir()} == {*SPLITS, *(f"{split}annot" for split in SPLITS), "manifest.json"}


def test_jpeg_photographs_become_png_with_the_same_pixels(load, tmp_path):
    source = write_source(tmp_path / "source", ".jpg", train=4)
    root = load("camvid").convert(tmp_path / "CamVid", source)
    for path in source.rglob("*.jpg"):
        assert np.array_equal(pixels(path), pixels(root / path.parent.name / f"{path.stem}.png"))
    assert not list(root.rglob("*.jpg"))


def test_label_maps_with_a_palette_keep_their_labels(load, source, tmp_path):
    path = source / "trainannot" / f"{NAMES['train'][0]}.png"
    labels = pixels(path)
    coloured = Image.fromarray(labels)
    coloured.putpalette([200, 100, 50] * 256)
    coloured.save(path)
    root = load("camvid").convert(tmp_path / "CamVid", source)
    written = Image.open(root / "trainannot" / path.name)
    assert written.mode == "L" and np.array_equal(np.array(written), labels)


def test_the_zoos_dataset_config_reads_the_folder_and_the_lists(load, tmp_path):
    pytest.importorskip("mmseg")
    from mmengine.config import Config
    from mmseg.datasets import BaseSegDataset

    source = write_source(tmp_path / "source")
    root = load("camvid").convert(tmp_path / "CamVid", source, teacher=160, labeled=20)
    cfg = Config.fromfile(ROOT / "configs" / "_base_" / "datasets" / "camvid.py")

    def build(split: str, **changes: object) -> BaseSegDataset:
        options = {**cfg[f"{split}_dataloader"].dataset, "data_root": str(root), **changes}
        options["pipeline"] = [{"type": "mmseg.LoadImageFromFile"}, {"type": "mmseg.LoadAnnotations"}]
        return BaseSegDataset(**{key: value for key, value in options.items() if key != "type"})

    assert [len(build(split)) for split in SPLITS] == [367, 3, 3]
    for name in ("teacher_160_seed0", "student_160_seed0_20_seed0_labeled", "student_160_seed0_20_seed0_unlabeled"):
        dataset = build("train", ann_file=f"splits/{name}.txt")
        frames = listed(root, f"{name}.txt")
        assert [Path(dataset.get_data_info(i)["img_path"]).stem for i in range(len(dataset))] == frames
        assert np.array_equal(dataset[0]["gt_seg_map"], pixels(root / "trainannot" / f"{frames[0]}.png"))


# ---------------------------------------------------------------- blocks of frames


def distances(one: set[str], other: set[str]) -> list[int]:
    """How many frames lie between each of one and each of other, in the videos that have both."""
    place = {name: (video, index) for video, names in enumerate(VIDEOS) for index, name in enumerate(names)}
    pairs = itertools.product((place[name] for name in one), (place[name] for name in other))
    return [abs(a[1] - b[1]) - 1 for a, b in pairs if a[0] == b[0]]


@pytest.mark.parametrize("teacher", [None, 40, 160, 250])
@pytest.mark.parametrize("seed", [0, 1, 7])
@pytest.mark.parametrize("count", [1, 20, 61])
def test_ten_frames_lie_between_frames_of_different_use(load, teacher, seed, count):
    lists = load("camvid").split_lists(NAMES["train"], teacher, seed, [(count, seed + 1)])
    stem = "train" if teacher is None else f"student_{teacher}_seed{seed}"
    uses = {use: lists[f"{stem}_{count}_seed{seed + 1}_{use}.txt"].splitlines() for use in ("labeled", "unlabeled")}
    if teacher is not None:
        uses["teacher"] = lists[f"teacher_{teacher}_seed{seed}.txt"].splitlines()
        student = set(lists[f"{stem}.txt"].splitlines())
        assert {*uses["labeled"], *uses["unlabeled"]} <= student
        assert min(distances(set(uses["teacher"]), student)) >= 10
        assert len(uses["teacher"]) == teacher
    assert len(uses["labeled"]) == count and uses["unlabeled"]
    for one, other in itertools.combinations(uses.values(), 2):
        assert min(distances(set(one), set(other)), default=10) >= 10
    assert all(len(set(frames)) == len(frames) and set(frames) <= set(NAMES["train"]) for frames in uses.values())


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_more_frames_are_left_out_than_the_gaps_need(load, seed):
    lists = load("camvid").split_lists(NAMES["train"], 150, seed, [(20, seed)])
    student = lists[f"student_150_seed{seed}.txt"].split()
    rest = lists[f"student_150_seed{seed}_20_seed{seed}_unlabeled.txt"].split()
    assert len(student) == 367 - 150 - 3 * 10 and len(rest) >= len(student) - 20 - 3 * 2 * 10


def test_the_teachers_frames_are_one_block_of_every_video(load):
    lists = load("camvid").split_lists(NAMES["train"], 160, 3, [])
    teacher = lists["teacher_160_seed3.txt"].split()
    for names, share in zip(VIDEOS, (27, 44, 89), strict=True):
        rows = [index for index, name in enumerate(names) if name in set(teacher)]
        assert len(rows) == share == rows[-1] - rows[0] + 1


def test_the_teachers_frames_do_not_depend_on_the_subset(load):
    split = load("camvid").split_lists
    one, other = (split(NAMES["train"], 100, 0, [(count, seed)]) for count, seed in ((20, 0), (40, 5)))
    assert one["teacher_100_seed0.txt"] == other["teacher_100_seed0.txt"]
    assert split(NAMES["train"], 100, 1, [])["teacher_100_seed1.txt"] != one["teacher_100_seed0.txt"]


def test_the_seed_alone_draws_the_frames(load):
    split = load("camvid").split_lists
    lists = split(NAMES["train"], None, 0, [(20, 0), (20, 1)])
    assert lists == split(list(reversed(NAMES["train"])), None, 0, [(20, 0), (20, 1)])
    assert lists["train_20_seed0_labeled.txt"] != lists["train_20_seed1_labeled.txt"]
    # Drawn by SHA-256, so the same on every machine.
    assert lists["train_20_seed0_labeled.txt"].split()[0] == "0001TP_007470"


def test_a_short_video_keeps_frames_without_labels_wherever_the_seed_falls(load):
    for seed in range(20):
        lists = load("camvid").split_lists(NAMES["train"][:16], None, 0, [(2, seed)])
        labeled, rest = (lists[f"train_2_seed{seed}_{use}.txt"].split() for use in ("labeled", "unlabeled"))
        assert len(labeled) == 2 and rest and min(distances(set(labeled), set(rest))) >= 10


def test_lists_are_added_to_a_data_set_that_is_there(load, longer, tmp_path, capsys):
    converter = load("camvid")
    checksum = load("_dataset").tree_sha256(converter.convert(tmp_path / "CamVid", longer))
    root = converter.convert(tmp_path / "CamVid", longer, labeled=2)
    assert "already there" in capsys.readouterr().out and load("_dataset").tree_sha256(root) == checksum
    assert len(listed(root, "train_2_seed0_labeled.txt")) == 2
    paths = (root / "train_2_seed0_unlabeled_images.txt").read_text().splitlines()
    assert paths and paths == [f"train/{name}.png" for name in listed(root, "train_2_seed0_unlabeled.txt")]
    assert all((root / path).is_file() for path in paths)


@pytest.mark.parametrize("name", ["images", "meta", "notes"])
def test_what_camvid_has_not_at_its_top_is_the_users(load, source, tmp_path, name):
    root = load("camvid").convert(tmp_path / "CamVid", source)
    (root / name).mkdir()
    with pytest.raises(ValueError, match="nothing but this data set"):
        load("camvid").convert(root, source)
    assert (root / name).is_dir()


# ---------------------------------------------------------------- mistakes


def rewrite(path: Path, image: np.ndarray) -> None:
    path.write_bytes(png(image))


def first(source: Path, folder: str = "trainannot") -> Path:
    return source / folder / f"{NAMES['train'][0]}.png"


def without_folder(source: Path) -> None:
    for path in (source / "valannot").iterdir():
        path.unlink()
    (source / "valannot").rmdir()


def one_folder_deeper(source: Path) -> None:
    elsewhere = source.with_name("moved")
    source.rename(elsewhere)
    source.mkdir()
    elsewhere.rename(source / "CamVid")


def without_images(source: Path) -> None:
    for folder in ("test", "testannot"):
        for path in (source / folder).glob("*.png"):
            path.unlink()


def leading_out(source: Path) -> None:
    first(source, "train").rename(source.with_name("secret.png"))
    first(source, "train").symlink_to(source.with_name("secret.png"))


def folder_leading_out(source: Path) -> None:
    (source / "val").rename(source.with_name("elsewhere"))
    (source / "val").symlink_to(source.with_name("elsewhere"))


MISTAKES = {
    "no folder": (lambda source: source.rename(source.with_name("gone")), "there is no such folder"),
    "a part missing": (without_folder, "'valannot' is not in it"),
    "one folder deeper": (one_folder_deeper, "did you mean "),
    "no photographs": (without_images, "expected photographs"),
    "no label map": (lambda source: first(source).unlink(), "a file of the same name in 'trainannot'"),
    "no photograph": (lambda source: first(source, "train").unlink(), "a file of the same name in 'train'"),
    "link": (leading_out, "it is a link to another place"),
    "linked folder": (folder_leading_out, "it is a link to another place"),
    "broken link": (lambda source: (source / "val" / "x.png").symlink_to("nowhere.png"), "'valannot'"),
    "twice": (lambda source: first(source, "train").with_suffix(".jpg").write_bytes(b""), "every frame once"),
    "label 12": (lambda source: rewrite(first(source), np.full(SIZE, 12, np.uint8)), "there is a 12"),
    "label 255": (lambda source: rewrite(first(source), np.full(SIZE, 255, np.uint8)), "there is a 255"),
    "colours": (lambda source: rewrite(first(source), np.zeros((*SIZE, 3), np.uint8)), "32 classes"),
    "another size": (lambda source: rewrite(first(source), np.zeros((12, 9), np.uint8)), "size (12, 9)"),
    "16 bits": (lambda source: rewrite(first(source, "train"), np.zeros(SIZE, np.uint16)), "8 bits a channel"),
    "empty file": (lambda source: first(source, "train").write_bytes(b""), "a whole PNG or JPEG image"),
    "text": (lambda source: first(source).write_text("404 not found"), "a whole PNG image"),
    "cut off": (lambda source: first(source).write_bytes(first(source).read_bytes()[:-30]), "a whole PNG image"),
    "folder": (lambda source: (first(source).unlink(), first(source).mkdir()), "can be read"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_source_that_is_not_camvid_is_answered_in_one_line(load, source, tmp_path, capsys, mistake):
    damage, answer = MISTAKES[mistake]
    damage(source)
    assert load("camvid").main(["--src", str(source), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.strip().splitlines()[-1].startswith("error: src = ") and answer in error
    assert "Traceback" not in error and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["--labeled", "8"], "labeled = 8: expected a number that leaves some of the 8 training frames without labels"),
        (["--labeled", "9"], "labeled = 9: "),
        (["--teacher", "90"], "teacher = 90: "),
        (["--labeled", "0"], "labeled = 0: expected a number of images above 0"),
        (["--teacher", "1"], "teacher = 1: expected a number that leaves some of the 8 training frames to the student"),
        (["--teacher", "0"], "teacher = 0: expected a number of frames above 0"),
        (["--teacher", "2", "--seed", "-1"], "seed = -1: expected a number from 0"),
        (["--subset-seed", "2"], "subset_seed = [2]: "),
    ],
)
def test_a_wrong_number_of_frames_is_answered_in_one_line(load, source, tmp_path, capsys, arguments, answer):
    assert load("camvid").main(["--src", str(source), "--out", str(tmp_path / "out"), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {answer}") and error.count("\n") == 1 and not (tmp_path / "out").exists()


@pytest.mark.parametrize("where", [".", "new", ".."])
def test_source_and_target_are_kept_apart(load, source, where, capsys):
    before = sorted(source.rglob("*"))
    assert load("camvid").main(["--src", str(source), "--out", str(source / where)]) == 2
    assert "outside the source" in capsys.readouterr().err and sorted(source.rglob("*")) == before


@pytest.mark.parametrize("name", ["frame", "a-1", "x_y"])
def test_frames_without_a_number_are_named_before_blocks_are_drawn(load, name):
    with pytest.raises(ValueError, match=f"'{name}'"):
        load("camvid").split_lists([*NAMES["train"], name], None, 0, [(5, 0)])


def test_whatever_a_damaged_file_holds_it_is_answered_in_one_line(load, source):
    reader, rng = load("_camvid_source"), random.Random(0)
    errors = load("mmdist.errors").ConfigError
    path = first(source)
    whole = path.read_bytes()
    for _ in range(300):
        content = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        path.write_bytes(bytes(content[: rng.randint(1, len(content))]))
        for read in (reader.read_image, lambda path: reader.read_labels(path, SIZE[::-1])):
            try:
                read(path)
            except errors as error:
                assert "\n" not in str(error)


def test_it_runs_as_a_script_from_anywhere(longer, tmp_path):
    command = [sys.executable, str(CONVERTERS / "camvid.py"), "--src", "source", "--out", "CamVid", "--labeled", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "camvid: 16 train images, 3 val images, 3 test images in CamVid" in done.stdout

"""Few labels of any other data set: its lists, its COCO json, its folders, and whatever else such a file can hold."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.converter_sources import CONVERTERS


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Ten images, the first two without a box."""
    content = {
        "info": {"year": 2017},
        "images": [dict(id=50 + index, file_name=f"{index:03d}.jpg", height=9, width=9) for index in range(10)],
        "annotations": [
            dict(id=index, image_id=50 + index, bbox=[0, 0, 1, 1], category_id=1) for index in range(2, 10)
        ],
        "categories": [dict(id=1, name="cat")],
    }
    path = tmp_path / "train.json"
    path.write_text(json.dumps(content))
    return path


def few_labels(load, *arguments: object) -> int:
    return load("few_labels").main([str(word) for word in arguments])


def test_images_without_boxes_are_never_among_the_labelled(load, coco, tmp_path):
    assert few_labels(load, coco, "--labeled", 7, "--out", tmp_path / "out") == 0
    whole = json.loads(coco.read_text())
    labeled, rest = (
        json.loads((tmp_path / "out" / f"train_7_seed0_{kind}.json").read_text()) for kind in ("labeled", "unlabeled")
    )
    assert len(labeled["images"]) == len(labeled["annotations"]) == 7 and labeled["info"] == whole["info"]
    assert [image["id"] for image in rest["images"]][:2] == [50, 51] and len(rest["images"]) == 3
    assert all(box in whole["annotations"] for box in labeled["annotations"]) and rest["annotations"] == []


def test_a_list_of_names_and_a_folder_draw_the_same(load, tmp_path):
    folder = tmp_path / "train"
    (folder / "town").mkdir(parents=True)
    for index in range(8):
        (folder / "town" / f"{index}_leftImg8bit.png").touch()
    (folder / "town" / "._0_leftImg8bit.png").touch()
    (tmp_path / "train.txt").write_text("".join(f"town/{index}\n" for index in range(8)))
    out = ["--labeled", 3, "--out"]
    assert few_labels(load, folder, "--suffix", "_leftImg8bit.png", *out, tmp_path / "a") == 0
    assert few_labels(load, tmp_path / "train.txt", *out, tmp_path / "b") == 0
    for kind, count in (("labeled", 3), ("unlabeled", 5)):
        lines = (tmp_path / "a" / f"train_3_seed0_{kind}.txt").read_text()
        assert lines == (tmp_path / "b" / f"train_3_seed0_{kind}.txt").read_text() and lines.count("\n") == count


def repeated(coco: Path) -> object:
    content = json.loads(coco.read_text())
    return {**content, "images": content["images"] + content["images"][:1]}


def leaving(coco: Path) -> object:
    content = json.loads(coco.read_text())
    content["images"][3]["file_name"] = "../../003.jpg"
    return content


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("", "expected COCO json"),
        ("[" * 100000, "expected COCO json"),
        ("[]", "the lists 'images' and 'annotations'"),
        ('{"images": [], "annotations": {}}', "the lists 'images' and 'annotations'"),
        ('{"images": [1], "annotations": []}', r"images\[0\].id = None"),
        ('{"images": [{"id": 1, "file_name": 3}], "annotations": []}', r"images\[0\].file_name = 3"),
        ('{"images": [], "annotations": [{}]}', r"annotations\[0\].image_id = None"),
        (repeated, "an id of its own for every image"),
        (leaving, "'../../003.jpg': expected images inside their folder"),
    ],
)
def test_a_json_file_that_is_none_of_cocos_is_refused_in_one_line(load, coco, tmp_path, capsys, text, answer):
    coco.write_text(json.dumps(text(coco)) if callable(text) else text)
    assert few_labels(load, coco, "--labeled", 1, "--out", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and re.search(answer, error) and not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["train.json", "manifest.json"])
def test_deep_nesting_ends_no_process_whose_recursion_limit_was_raised(tmp_path, name):
    (tmp_path / name).write_text("[" * 3_000_000)
    code = "import sys; sys.path.insert(0, sys.argv[1]); sys.setrecursionlimit(10**9); import mmdist.errors, {} as tool"
    calls = {
        "train.json": code.format("few_labels")
        + "; sys.exit(tool.main([sys.argv[2], '--labeled', '1', '--out', 'x']))",
        "manifest.json": code.format("_dataset")
        + "; import pathlib; print(tool._state(pathlib.Path(), dict(dataset='x')))",
    }
    environment = {**os.environ, "PYTHONPATH": str(CONVERTERS.parents[1])}
    command = [sys.executable, "-c", calls[name], str(CONVERTERS), name]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == (2 if name == "train.json" else 0), done.stderr[-300:]
    assert "nested too deeply" in done.stderr if name == "train.json" else done.stdout == "damaged\n"


@pytest.mark.parametrize("name", ["/etc/passwd", "../a", "a/../../b", "C:\\a", "\\\\host\\a", "a\x1b[2J", "a\u202eb"])
def test_names_that_leave_the_folder_or_hide_are_refused(load, tmp_path, capsys, name):
    (tmp_path / "train.txt").write_text(f"x\n{name}\n", encoding="utf-8")
    assert few_labels(load, tmp_path / "train.txt", "--labeled", 1, "--out", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and error.strip().isprintable() and not (tmp_path / "out").exists()


def test_links_that_lead_out_of_a_folder_are_refused(load, tmp_path, capsys):
    (tmp_path / "secret.png").touch()
    for kind in ("file", "folder"):
        folder = tmp_path / kind
        folder.mkdir()
        (folder / "a.png").touch()
        (folder / "b.png").symlink_to(tmp_path / "secret.png" if kind == "file" else tmp_path)
        assert few_labels(load, folder, "--labeled", 1, "--out", tmp_path / "out") == 2
        error = capsys.readouterr().err
        assert "no link" in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("source", ["nothing.json", "nothing.txt", "nothing", "empty", "mixed"])
def test_a_source_without_images_is_answered_in_one_line(load, tmp_path, capsys, source):
    (tmp_path / "empty").mkdir()
    (tmp_path / "mixed").mkdir()
    for suffix in (".png", ".jpg"):
        (tmp_path / "mixed" / f"a{suffix}").touch()
    assert few_labels(load, tmp_path / source, "--labeled", 1, "--out", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: s") and error.count("\n") == 1 and not (tmp_path / "out").exists()


def test_it_runs_as_a_script_from_anywhere(coco, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(CONVERTERS.parents[1])}
    command = [sys.executable, str(CONVERTERS / "few_labels.py"), str(coco), "--labeled", "2", "--out", "out"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and (tmp_path / "out" / "train_2_seed0_labeled.json").is_file(), done.stderr

"""Classes are compared by number, so names that differ are said before a run and by ``mmdist new``."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.logs import warnings_logged
from helpers.tiny_models import distiller, feature_distiller
from helpers.tiny_pairs import write_config
from mmengine.config import Config

from mmdist.engine import preflight as module
from mmdist.engine.class_names import class_notes, compare_names
from mmdist.engine.dataset_classes import config_names, meta_names
from mmdist.engine.new import new_config
from mmdist.engine.preflight import preflight

ANIMALS = ("cat", "dog", "bird")
TURNED = ("bird", "cat", "dog")


def data(classes: Any, **changes: Any) -> dict[str, Any]:
    return dict(dataset=dict(type="BaseSegDataset", metainfo=dict(classes=classes), **changes))


def write(folder: Path, file: str, classes: Any, **changes: Any) -> Path:
    return write_config(folder, "segmentor", file, train_dataloader=data(classes), **changes)


def distilled(folder: Path, student: Any, teacher: Any, **changes: Any) -> Config:
    path = write(folder, "teacher", teacher)
    cfg = Config.fromfile(write(folder, "student", student))
    cfg.model = dict(
        type="mmdist.SingleTeacherDistill",
        architecture=cfg.model,
        teacher=str(path),
        random_teacher="teacher_ckpt" not in changes,
        distiller=distiller("decode_head.conv_seg"),
    )
    cfg.model.update(changes)
    return cfg


def checkpoint(folder: Path, **meta: Any) -> str:
    torch.save(dict(state_dict={}, meta=meta), folder / "teacher.pth")
    return str(folder / "teacher.pth")


def test_a_permutation_is_said_with_its_numbers():
    said = compare_names(ANIMALS, TURNED)
    for number, name, other in ((0, "cat", 1), (1, "dog", 2), (2, "bird", 0)):
        assert f"{number} {name!r} is the teacher's {other}" in said
    assert "\n" not in said


@pytest.mark.parametrize("other", [("Traffic-Light", "STOP sign"), ("traffic_light", "stopsign")])
def test_spelling_is_no_difference(other):
    assert compare_names(("traffic light", "stop sign"), other) == ""


def test_what_only_one_of_the_two_knows_is_said():
    said = compare_names(("cat", "dog", "fox"), ("cat", "dog", "cow"))
    assert "only the student has 'fox'" in said
    assert "only the teacher has 'cow'" in said
    assert "'dog'" not in said


def test_a_long_difference_stays_one_short_line_without_control_characters():
    said = compare_names([f"a{i}" for i in range(1000)], [f"\x1b[31m{i}\n" + "b" * 500 for i in range(1000)])
    assert len(said) < 1000
    assert said.isprintable()
    assert "994 more" in said


def test_the_first_of_two_configs_is_that_of_the_student(tmp_path: Path):
    (note,) = class_notes(distilled(tmp_path, ANIMALS, TURNED))
    assert "0 'cat' is the teacher's 1" in note
    assert class_notes(distilled(tmp_path, ANIMALS, ANIMALS)) == []


def test_names_are_found_in_wrappers_files_arguments_and_the_class_of_the_data(tmp_path: Path):
    (tmp_path / "classes.txt").write_text("\n".join(TURNED))
    wrapped = dict(type="RepeatDataset", dataset=dict(type="ConcatDataset", datasets=[data(TURNED)["dataset"]]))
    for loader in (
        dict(dataset=wrapped),
        data(str(tmp_path / "classes.txt")),
        dict(dataset=dict(type="mmpretrain.CustomDataset", classes=TURNED)),
    ):
        assert config_names(Config(dict(default_scope="mmseg", val_dataloader=loader)), {}) == list(TURNED)
    cfg = Config(dict(default_scope="mmseg", train_dataloader=dict(dataset=dict(type="CityscapesDataset"))))
    assert config_names(cfg, dict(decode_head=dict(num_classes=19)))[:2] == ["road", "sidewalk"]
    assert config_names(cfg, dict(decode_head=dict(num_classes=5))) is None  # not what this model tells apart
    assert config_names(Config(dict(train_dataloader=dict(dataset=dict(type="NoSuchDataset")))), {}) is None


def test_folders_are_the_classes_of_images_without_annotations(tmp_path: Path):
    for name in ANIMALS:
        (tmp_path / "train" / name).mkdir(parents=True)
    dataset = dict(type="CustomDataset", data_root=str(tmp_path), data_prefix="train")
    cfg = Config(dict(default_scope="mmpretrain", train_dataloader=dict(dataset=dataset)))
    assert config_names(cfg, {}) == sorted(ANIMALS)
    cfg.train_dataloader.dataset.ann_file = "list.txt"
    assert config_names(cfg, {}) is None


def test_what_the_weights_were_trained_on_counts_before_the_teachers_config(tmp_path: Path):
    cfg = distilled(tmp_path, ANIMALS, ANIMALS, teacher_ckpt=checkpoint(tmp_path, dataset_meta=dict(classes=TURNED)))
    assert len(class_notes(cfg)) == 1
    cfg = distilled(tmp_path, ANIMALS, TURNED, teacher_ckpt=checkpoint(tmp_path, CLASSES=ANIMALS))
    assert class_notes(cfg) == []
    cfg.model.teacher = copy.deepcopy(cfg.model.architecture)  # a model's config, which names no data
    assert class_notes(cfg, dict(dataset_meta=dict(classes=TURNED)))
    assert class_notes(cfg, {}) == []


@pytest.mark.parametrize("meta", [{}, dict(dataset_meta=3), dict(CLASSES=[1, 2]), dict(dataset_meta=dict(classes="x"))])
def test_a_checkpoint_may_say_anything(meta):
    assert meta_names(meta) is None


def test_a_file_that_a_checkpoint_names_is_not_opened(tmp_path: Path):
    (tmp_path / "classes.txt").write_text("a\nb\nc")
    assert meta_names(dict(dataset_meta=dict(classes=str(tmp_path / "classes.txt")))) is None


def test_a_file_of_names_that_cannot_be_read_is_not_this_checks_business(tmp_path: Path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for file in (str(tmp_path), str(tmp_path / "none"), str(tmp_path / "binary"), "a\0b"):
        assert config_names(Config(dict(train_dataloader=data(file))), {}) is None


def test_features_have_no_classes(tmp_path: Path):
    cfg = distilled(tmp_path, ANIMALS, TURNED, distiller=feature_distiller("backbone.layer4"))
    assert class_notes(cfg) == []
    cfg.model.weighting = dict(type="mmdist.RDDWeighting")
    assert len(class_notes(cfg)) == 1


def test_it_is_said_once_before_a_training_and_not_before_a_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for check in ("check_data", "check_run"):  # this config has nothing but classes
        monkeypatch.setattr(module, check, lambda cfg, splits, **_: None)
    cfg = distilled(tmp_path, ANIMALS, TURNED)
    for splits, times in ((("train",), 1), (("test",), 0)):
        with warnings_logged() as said:
            preflight(cfg, splits)
        assert len([text for text in said if "the teacher's 1" in text]) == times


def test_a_new_config_says_it_too(tmp_path: Path):
    student, teacher = (write(tmp_path, name, names) for name, names in (("s", ANIMALS), ("t", TURNED)))
    notes = new_config(str(student), str(teacher), "kd", str(tmp_path / "out.py")).notes
    assert [note for note in notes if "0 'cat' is the teacher's 1" in note]

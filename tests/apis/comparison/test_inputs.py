"""What a training depends on beside its config: another file is another training."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config

from mmdist.apis.comparison.cells import FINAL, Cell
from mmdist.apis.comparison.inputs import forget, named_files
from mmdist.apis.comparison.results import Metric
from mmdist.apis.comparison.trainings import Place, Training


def key(folder: Path, **config: object) -> str:
    training = Training(Cell(FINAL, "dist", 0, 40), Config(config))
    return training.stage(Place(folder, -1, Metric("mIoU", "mIoU"))).key


def test_other_weights_and_annotations_of_the_same_name_are_another_training(tmp_path: Path) -> None:
    weights, listed = tmp_path / "w.pth", tmp_path / "list.txt"
    weights.write_text("one")
    listed.write_text("one")
    config = dict(load_from=str(weights), train_dataloader=dict(dataset=dict(ann_file=str(listed))))
    keys = [key(tmp_path, **config)]
    for file in (weights, listed):
        file.write_text("another")
        keys.append(key(tmp_path, **config))
    assert len(set(keys)) == 3 and keys[-1] == key(tmp_path, **config)


@pytest.mark.parametrize("named", [lambda path: path, lambda path: dict(cfg_path=path, pretrained=False)])
def test_a_student_by_the_name_of_its_config_is_what_that_is_based_on(named: object, tmp_path: Path) -> None:
    base, student = tmp_path / "base.py", tmp_path / "student.py"
    base.write_text("model = dict(type='A', depth=18)\n")
    student.write_text("_base_ = 'base.py'\n")
    before = named_files(dict(model=dict(architecture=named(str(student)))))
    base.write_text("model = dict(type='A', depth=50)\n")
    forget()
    assert before and named_files(dict(model=dict(architecture=named(str(student))))) != before


@pytest.mark.parametrize("text", ["", "x" * 5000, "a\0b", "a\nb", "https://host/w.pth", "none.pth", "\udcff"])
def test_what_names_no_file_is_left_out(text: str) -> None:
    assert named_files(dict(a=text, b=[text], model=dict(teacher=text))) == {}

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.tiny_run import write_run
from mmengine.config import Config

from mmdist.engine.config import load_config
from mmdist.engine.weights import set_student_checkpoint, set_teacher_checkpoint
from mmdist.errors import ConfigError


@pytest.fixture
def plain(tmp_path: Path) -> Config:
    cfg = load_config(str(write_run(tmp_path)))
    cfg.work_dir = str(tmp_path)
    return cfg


@pytest.fixture
def distill(plain: Config, tmp_path: Path) -> Config:
    return load_config(str(tmp_path / "distill.py"))


def test_the_teachers_weights_go_to_the_distiller(distill: Config) -> None:
    set_teacher_checkpoint(distill, "a.pth")
    assert distill.model.teacher_ckpt == "a.pth"


def test_a_plain_config_has_no_teacher(plain: Config) -> None:
    with pytest.raises(ConfigError, match=r"--teacher-ckpt = 'a\.pth'.*'ImageClassifier'"):
        set_teacher_checkpoint(plain, "a.pth")


def test_the_students_weights_go_to_the_student_alone(distill: Config) -> None:
    set_student_checkpoint(distill, "a.pth")
    assert distill.model.student_ckpt == "a.pth"
    assert distill.get("load_from") is None


def test_under_mmrazors_class_the_student_is_initialised_from_its_weights(distill: Config) -> None:
    distill.model.type = "mmrazor.SingleTeacherDistill"
    set_student_checkpoint(distill, "a.pth")
    assert distill.model.architecture.init_cfg == {"type": "Pretrained", "checkpoint": "a.pth"}
    assert "student_ckpt" not in distill.model


def test_a_plain_model_is_its_own_student(plain: Config) -> None:
    set_student_checkpoint(plain, "a.pth")
    assert plain.load_from == "a.pth"


def test_a_bare_resume_wins_over_the_students_weights_once_there_is_something_to_resume(
    plain: Config, tmp_path: Path
) -> None:
    plain.resume, plain.load_from = True, None
    set_student_checkpoint(plain, "a.pth")
    assert (plain.resume, plain.load_from) == (False, "a.pth")
    (tmp_path / "last_checkpoint").write_text("epoch_1.pth")
    plain.resume, plain.load_from = True, None
    set_student_checkpoint(plain, "a.pth")
    assert (plain.resume, plain.load_from) == (True, None)


def test_resuming_from_a_file_and_starting_from_another_contradict(plain: Config) -> None:
    plain.resume, plain.load_from = True, "b.pth"
    with pytest.raises(ConfigError, match="give one of the two"):
        set_student_checkpoint(plain, "a.pth")

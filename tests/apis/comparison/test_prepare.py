"""From a plan to what is trained: what the settings say counts, for the metric and for every length."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.comparison_project import write_project
from helpers.tiny_data import write_segmentation
from mmengine.config import Config
from PIL import Image

from mmdist.apis.comparison.cells import FINAL, PLAIN, SEARCH, TEACHER, Cell
from mmdist.apis.comparison.plan import CONFIGS, Arm, Plan, Taught
from mmdist.apis.comparison.plan_file import make_plan
from mmdist.apis.comparison.prepare import prepare
from mmdist.apis.comparison.trainings import config_text
from mmdist.errors import ConfigError


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    write_project(folder)
    return folder


def plan(student: Path, **changes: object) -> Plan:
    arms = [Arm(name, str(student), taught=False, rate=CONFIGS) for name in (PLAIN, "twin")]
    return Plan(str(student), tuple(arms), **changes)


def test_the_teachers_own_settings_say_how_long_it_trains(project: Path, tmp_path: Path) -> None:
    student = project / "student.py"
    teacher = Taught(str(student), options={"train_cfg.max_iters": 9})
    prepared = prepare(plan(student, teacher=teacher), tmp_path)
    assert (prepared.lengths.teacher, prepared.lengths.schedule) == (9, 6)
    assert prepared.config_of(Cell(SEARCH, TEACHER, 100, 9)).train_cfg.max_iters == 9


def test_a_teacher_whose_rate_cannot_be_searched_is_found_before_it_trains(project: Path, tmp_path: Path) -> None:
    text = (project / "student.py").read_text() + "optim_wrapper = dict(first=optim_wrapper, second=optim_wrapper)\n"
    (tmp_path / "teacher.py").write_text(text)
    with pytest.raises(ConfigError, match="teacher"):
        prepare(plan(project / "student.py", teacher=Taught(str(tmp_path / "teacher.py"))), tmp_path / "work")


def test_the_metric_is_that_of_the_settings(project: Path, tmp_path: Path) -> None:
    options = {"val_evaluator.iou_metrics": ["mDice"]}
    assert prepare(plan(project / "student.py", options=options), tmp_path).metric.key == "mDice"


def test_another_metric_of_the_test_data_is_found_before_the_searches(project: Path, tmp_path: Path) -> None:
    cfg = Config.fromfile(project / "student.py")
    cfg.test_dataloader = cfg.val_dataloader.to_dict()
    cfg.test_dataloader.dataset.data_root = str(tmp_path / "data")
    cfg.test_evaluator, cfg.test_cfg = dict(type="IoUMetric", iou_metrics=["mDice"]), dict(type="TestLoop")
    (tmp_path / "student.py").write_text(config_text(cfg))
    write_segmentation(tmp_path / "data", 3, 48, 3)
    with pytest.raises(ConfigError, match="test_evaluator"):
        prepare(plan(tmp_path / "student.py"), tmp_path / "work")


def test_without_validation_data_a_plan_of_its_own_images_is_refused(project: Path, tmp_path: Path) -> None:
    text = (project / "student.py").read_text() + "val_dataloader = val_evaluator = val_cfg = None\n"
    (tmp_path / "student.py").write_text(text)
    images = {"val_dataloader.dataset.indices": [0]}
    with pytest.raises(ConfigError, match="val_"):
        prepare(plan(tmp_path / "student.py", choosing=images, judging=images, metric="mIoU"), tmp_path / "work")


def test_a_config_of_imported_classes_is_trained_as_one_of_names(project: Path, tmp_path: Path) -> None:
    text = "from mmengine.hooks import EarlyStoppingHook, EMAHook\n" + (project / "student.py").read_text()
    text += "custom_hooks = [dict(type=EarlyStoppingHook, monitor='mIoU'), dict(type=EMAHook)]\nlimit = float('inf')\n"
    (tmp_path / "student.py").write_text(text)
    cfg = prepare(plan(tmp_path / "student.py"), tmp_path / "work").config_of(Cell(FINAL, "twin", 0, 12))
    (tmp_path / "written.py").write_text(config_text(cfg))
    written = Config.fromfile(tmp_path / "written.py")
    assert [hook.type.rpartition(".")[2] for hook in written.custom_hooks] == ["EMAHook"]
    assert written.to_dict() == cfg.to_dict() and written.limit == float("inf")


def test_settings_of_all_trainings_reach_the_student_inside_a_method(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for index in range(6):
        Image.new("RGB", (48, 48)).save(pictures / f"{index}.png")
    options = {
        "model.decode_head.dropout_ratio": 0.5,
        "train_dataloader.batch_size": 2,
        "train_cfg.max_iters": 12,
        "optim_wrapper.optimizer.lr": 0.5,
    }
    made = make_plan(
        *("student.py", tmp_path / "work"),
        teacher="student.py",
        teacher_ckpt="teacher.pth",
        methods=["kd"],
        search_lr="none",
        images={"unlabeled": str(pictures)},
        options=options,
    )
    prepared = prepare(made, tmp_path / "work")
    assert prepared.lengths.schedule == 12 and prepared.rates == {PLAIN: 0.5, "kd": 0.5}
    plain, kd = (prepared.config_of(Cell(FINAL, arm, 0, 12, 2.0)) for arm in (PLAIN, "kd"))
    assert plain.optim_wrapper.optimizer.lr == kd.optim_wrapper.optimizer.lr == 1.0
    assert plain.model.decode_head.dropout_ratio == kd.model.architecture.decode_head.dropout_ratio == 0.5
    assert plain.train_dataloader.batch_size == kd.train_dataloader.batch_sampler.labeled == 2

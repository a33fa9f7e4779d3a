"""``mmdist train STUDENT --teacher ... --unlabeled DIR`` on written images of the three libraries."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from helpers.task_runs import plain_run
from helpers.unlabeled_data import write_images
from mmengine.config import Config

from mmdist.cli import train

RANDOM = ["--cfg-options", "model.random_teacher=True"]
EPOCHS = dict(
    train_cfg=dict(by_epoch=True, max_epochs=1),
    default_hooks=dict(sampler_seed=dict(type="DistSamplerSeedHook"), logger=dict(type="LoggerHook", interval=1)),
)
MOSAIC = [
    dict(type="Mosaic", img_scale=(64, 64), pad_val=114.0),
    dict(type="RandomFlip", prob=0.5),
    dict(type="FilterAnnotations", min_gt_bbox_wh=(1, 1), keep_empty=False),
    dict(type="PackDetInputs"),
]


def student_of(scope: str, folder: Path, **loader: Any) -> str:
    """A plain config in epochs, of a task library's own kind."""
    cfg = plain_run(scope, folder, **EPOCHS).to_dict()
    del cfg["work_dir"], cfg["log_level"]
    cfg["train_dataloader"].update(loader, sampler=dict(type="DefaultSampler", shuffle=True), batch_size=2)
    path = folder / "student.py"
    path.write_text("".join(f"{name} = {value!r}\n" for name, value in cfg.items()))
    return str(path)


def logged(folder: Path) -> str:
    return next(folder.glob("work_dirs/*/*/*.log")).read_text()


def iterations(log: str) -> int:
    return int(re.search(r"Epoch\(train\) +\[1\]\[ *\d+/(\d+)\]", log).group(1))


@pytest.fixture
def more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Config, "pretty_text", "")  # laying it out takes longer than the run
    return str(write_images(tmp_path / "more", [(50, 40), (40, 50), (64, 48), (30, 60), (40, 40), (60, 30), (44, 44)]))


@pytest.mark.parametrize("scope", ["mmseg", "mmdet", "mmpretrain"])  # the last with Mixup
@pytest.mark.parametrize("labels", [[], ["--labels", "none"]], ids=["both", "none"])
def test_the_three_libraries_train(scope: str, labels: list[str], more: str, tmp_path: Path) -> None:
    student = student_of(scope, tmp_path)
    assert train.main([student, "--teacher", student, "--unlabeled", more, *labels, *RANDOM]) == 0
    log = logged(tmp_path)
    assert "distill.loss_dist" in log and ("student." not in log.partition("Epoch(train)")[2]) == bool(labels)
    if labels:
        assert iterations(log) == 4  # two of the seven in a batch


def test_wide_and_high_images_are_grouped_as_before(more: str, tmp_path: Path) -> None:
    student = student_of("mmdet", tmp_path, batch_sampler=dict(type="AspectRatioBatchSampler"))
    assert train.main([student, "--teacher", student, "--unlabeled", more, *RANDOM]) == 0
    config = next(tmp_path.glob("work_dirs/*/dist_student.py")).read_text()
    assert "group_by_aspect_ratio=True" in config and "distill.loss_dist" in logged(tmp_path)


@pytest.mark.parametrize("labels", [[], ["--labels", "none"]], ids=["both", "none"])
@pytest.mark.parametrize("wrapper", ["mixed", "repeated"])
def test_wrapped_training_data_train(wrapper: str, labels: list[str], more: str, tmp_path: Path) -> None:
    inner = plain_run("mmdet", tmp_path).train_dataloader.dataset.to_dict()
    if wrapper == "mixed":
        inner["pipeline"] = inner["pipeline"][:2]
        dataset = dict(type="MultiImageMixDataset", dataset=inner, pipeline=MOSAIC)
    else:
        dataset = dict(type="RepeatDataset", times=2, dataset=inner)
    student = student_of("mmdet", tmp_path, dataset=dataset)
    assert train.main([student, "--teacher", student, "--unlabeled", more, *labels, *RANDOM]) == 0
    log = logged(tmp_path)
    assert "distill.loss_dist" in log
    if labels:
        assert iterations(log) == (7 if wrapper == "repeated" else 4)

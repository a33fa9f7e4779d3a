"""Each fault is found for what it is, in every task; a run without faults has no finding."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import Runner

from mmdist.engine.predicting import predict

TO_RGB = dict(mmseg="bgr_to_rgb", mmdet="bgr_to_rgb", mmpretrain="to_rgb")
WEIGHT = "model.distiller.distill_losses.loss_dist.loss_weight"


def names(found: Any) -> list[str]:
    """All but what depends on how busy this machine is."""
    return [finding.name for finding in found.findings if finding.name != "data-bottleneck"]


def serious(found: Any) -> list[str]:
    return [finding.name for finding in found.findings if finding.serious]


def test_a_healthy_run_has_no_finding_and_its_numbers_are_whole(run: Any) -> None:
    found = run.doctor()
    assert names(found) == [] and not found.serious
    assert found.predicted.measured["teacher"].value > 0.8
    assert set(found.predicted.measured) == {"teacher"}  # the student starts from random weights
    teacher, student = found.weights["teacher"], found.weights["student"]
    assert (
        teacher.loaded == teacher.tensors > 0 and teacher.random == [] and teacher.sources == [run.path("teacher.pth")]
    )
    assert student.loaded == 0 and "backbone" in student.random
    assert list(found.losses.rows) == ["task", "distill.loss_dist"]
    assert all(row.norm > 0 and row.finite for row in found.losses.rows.values())
    assert {"data", "teacher", "student and task loss", "distillation losses", "backward and step"} <= set(
        found.steps.seconds
    )
    assert found.steps.memory > 0
    assert set(found.steps.fates.values()) <= {"moved", "no loss has a gradient for it"}


def test_a_random_teacher_is_found_by_what_it_predicts(run: Any) -> None:
    found = run.doctor(teacher_ckpt=run.path("random.pth"))
    assert serious(found) == ["random-teacher"]
    assert found.weights["teacher"].random == []  # the file has all weights


def test_a_teacher_without_weights_is_found_and_its_parts_are_named(run: Any) -> None:
    cfg = deepcopy(run.distill)
    cfg.model.update(teacher_ckpt=None, random_teacher=True)
    found = run.doctor(run.write(cfg))
    assert serious(found) == ["random-teacher"]
    assert "backbone" in found.findings[0].what
    assert found.weights["teacher"].loaded == 0


def test_a_teacher_that_sees_bgr_for_rgb_is_found(run: Any) -> None:
    found = run.doctor(cfg_options={f"model.teacher.data_preprocessor.{TO_RGB[run.scope]}": False})
    assert serious(found) == ["teacher-channels"]
    as_it_is, other = found.predicted.measured["teacher"], found.predicted.variants["channels reversed"]
    assert other.value > 0.8 > as_it_is.value
    # What another order shows is what the right config shows as it is.
    assert other.value == run.doctor().predicted.measured["teacher"].value


def test_classes_in_another_order_are_found_and_named(run: Any) -> None:
    found = run.doctor(teacher_ckpt=run.path("permuted.pth"))
    assert serious(found) == ["permuted-classes"]
    what = found.findings[0].what
    for own, other in (("orange", 1), ("green", 2), ("violet", 0)):
        assert f"{own!r} is the teacher's {other}" in what


def test_a_weight_that_is_a_thousand_times_too_large_is_found_with_the_one_that_evens_it_out(run: Any) -> None:
    found = run.doctor(cfg_options={WEIGHT: 1000.0})
    assert serious(found) == ["loss-too-large"]
    before, after = (losses.rows["distill.loss_dist"] for losses in (run.doctor().losses, found.losses))
    assert after.weight == 1000 * before.weight
    ratio = found.losses.ratio("distill.loss_dist")
    assert ratio > 50
    assert f"{1000 / ratio:.2g}" in found.findings[0].advice


@pytest.mark.parametrize(
    "options",
    [
        {"optim_wrapper.optimizer.lr": 0.0},
        {"model.student_trainable": False},
        {"optim_wrapper.paramwise_cfg": dict(custom_keys=dict(architecture=dict(lr_mult=0.0)))},
    ],
    ids=["learning rate", "no gradients", "lr_mult"],
)
def test_a_student_that_does_not_move_is_found(run: Any, options: dict[str, Any]) -> None:
    assert serious(run.doctor(cfg_options=options, images=0)) == ["frozen-student"]


def test_a_normalisation_that_is_not_the_teachers_is_found(segmenter: Any) -> None:
    found = segmenter.doctor(cfg_options={"model.teacher.data_preprocessor.mean": [-500.0] * 3})
    assert serious(found) == ["teacher-normalisation"]


def test_the_metric_is_that_of_the_librarys_own_evaluator(segmenter: Any) -> None:
    found = segmenter.doctor(images=100)
    assert found.predicted.images == found.predicted.total == 16
    assert found.predicted.measured["teacher"].value == pytest.approx(miou(segmenter.plain, segmenter), abs=1e-4)


def miou(cfg: Config, run: Any) -> float:
    """As mmseg evaluates the teacher by itself."""
    from mmengine.evaluator import Evaluator
    from mmengine.runner import load_checkpoint

    with DefaultScope.overwrite_default_scope("mmseg"):
        model = MODELS.build(deepcopy(cfg.model)).eval()
        load_checkpoint(model, run.path("teacher.pth"), map_location="cpu", logger="silent")
        loader = Runner.build_dataloader(deepcopy(cfg.val_dataloader), seed=0)
        evaluator = Evaluator([deepcopy(cfg.val_evaluator)])
        evaluator.dataset_meta = loader.dataset.metainfo
        for batch in loader:
            evaluator.process(data_samples=predict(model, model.data_preprocessor, batch), data_batch=batch)
        return evaluator.evaluate(len(loader.dataset))["mIoU"] / 100

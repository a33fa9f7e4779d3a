"""The diagnosis as a whole: what it takes, what it leaves alone, how the command ends."""

from __future__ import annotations

import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.colour_runs import distillation
from helpers.tiny_run import environment
from helpers.unlabeled_data import with_unlabeled, write_images
from mmengine.logging import MessageHub
from mmengine.registry import DefaultScope

from mmdist.apis.diagnosis.steps import Stopwatch
from mmdist.cli.main import main
from mmdist.errors import ConfigError, MMDistError


def names(found: Any) -> list[str]:
    """All but what depends on how busy this machine is."""
    return [finding.name for finding in found.findings if finding.name != "data-bottleneck"]


def test_the_package_is_light_and_knows_its_functions(tmp_path: Path) -> None:
    code = "import sys, mmdist.apis; assert 'doctor' in dir(mmdist.apis); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert "mmdist.apis" in loaded
    assert not loaded & {"mmdist.apis.diagnosis", "mmengine.runner", "mmrazor", "mmseg"}


def test_an_unknown_function_is_an_attribute_error() -> None:
    import mmdist.apis

    with pytest.raises(AttributeError, match="docter"):
        _ = mmdist.apis.docter


def test_nothing_is_written_and_the_process_is_as_it_was(
    segmenter: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in segmenter.folder.rglob("*")}
    scopes, hubs = list(DefaultScope._instance_dict), list(MessageHub._instance_dict)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    segmenter.doctor()
    assert torch.equal(torch.rand(3), expected)
    assert list(tmp_path.iterdir()) == []
    assert {path: path.stat().st_mtime_ns for path in segmenter.folder.rglob("*")} == before
    assert list(DefaultScope._instance_dict) == scopes and list(MessageHub._instance_dict) == hubs


def test_two_diagnoses_have_the_same_numbers(segmenter: Any) -> None:
    first, second = (segmenter.doctor().as_dict() for _ in range(2))
    for numbers in (first, second):
        numbers.pop("steps")
        numbers["findings"] = [found for found in numbers["findings"] if found["name"] != "data-bottleneck"]
    assert first == second


def test_a_plain_config_is_looked_at_without_a_teacher(segmenter: Any) -> None:
    found = segmenter.doctor(segmenter.path("plain.py"))
    assert names(found) == [] and list(found.losses.rows) == ["task"] and not found.predicted.measured
    assert any("no teacher" in note for note in found.notes)
    assert {"model and loss", "backward and step"} <= set(found.steps.seconds)


def test_a_plain_config_with_weights_has_a_metric(segmenter: Any) -> None:
    found = segmenter.doctor(segmenter.path("plain.py"), student_ckpt=segmenter.path("teacher.pth"))
    assert found.predicted.measured["model"].value > 0.8
    assert found.weights["model"].loaded == found.weights["model"].tensors


def test_a_plain_config_whose_learning_rate_is_zero_is_frozen(segmenter: Any) -> None:
    found = segmenter.doctor(segmenter.path("plain.py"), cfg_options={"optim_wrapper.optimizer.lr": 0.0})
    assert names(found) == ["frozen-student"]


def test_a_student_that_is_as_good_as_its_teacher_is_told(run: Any) -> None:
    found = run.doctor(student_ckpt=run.path("teacher.pth"))
    assert "teacher-not-better" in names(found) and not found.serious
    teacher, student = (found.predicted.measured[side] for side in ("teacher", "student"))
    assert teacher.value == student.value and teacher.scores == student.scores


def test_a_frozen_backbone_is_told_and_not_serious(segmenter: Any) -> None:
    found = segmenter.doctor(images=0, cfg_options={"model.architecture.backbone.frozen_stages": 1})
    assert names(found) == ["frozen-part"] and not found.serious


def test_a_teacher_of_features_needs_no_head(segmenter: Any) -> None:
    """Its backbone alone has weights, and alone is recorded: nothing is wrong."""
    state = torch.load(segmenter.path("teacher.pth"))["state_dict"]
    backbone = {name.removeprefix("backbone."): value for name, value in state.items() if name.startswith("backbone.")}
    torch.save(backbone, segmenter.path("backbone.pth"))
    cfg = deepcopy(segmenter.distill)
    cfg.model.teacher_ckpt = None
    cfg.model.teacher.backbone.init_cfg = dict(type="Pretrained", checkpoint=segmenter.path("backbone.pth"))
    for side in ("student", "teacher"):
        cfg.model.distiller[f"{side}_recorders"].logits.source = "backbone.layer1"
    cfg.model.distiller.distill_losses.loss_dist = dict(type="mmdist.ChannelRelationLoss")
    pair = cfg.model.distiller.loss_forward_mappings.loss_dist
    cfg.model.distiller.loss_forward_mappings.loss_dist = dict(preds_S=pair.logits_S, preds_T=pair.logits_T)
    found = segmenter.doctor(segmenter.write(cfg, "features.py"))
    assert names(found) == [] and not found.predicted.measured
    assert found.weights["teacher"].loaded == len(backbone)
    assert found.weights["teacher"].random == ["decode_head"]


def test_a_teacher_that_trains_too_may_start_from_random_weights(segmenter: Any) -> None:
    cfg = deepcopy(segmenter.distill)
    cfg.model.update(teacher_ckpt=None, teacher_trainable=True)
    found = segmenter.doctor(segmenter.write(cfg, "trainable.py"))
    assert names(found) == [] and not found.predicted.measured
    assert found.steps.seconds["teacher"] > 0


def test_images_without_labels_are_trained_on_too(segmenter: Any) -> None:
    write_images(segmenter.folder / "unlabeled", [(32, 32)] * 6)
    cfg = with_unlabeled(segmenter.distill, segmenter.path("unlabeled"))
    cfg.model.pseudo_labels = dict(score_thr=0.5)
    found = segmenter.doctor(segmenter.write(cfg, "unlabeled.py"))
    assert not found.serious
    assert any(name.startswith("pseudo.") for name in found.losses.rows)


def test_accumulated_gradients_move_the_student_too(segmenter: Any) -> None:
    found = segmenter.doctor(images=0, cfg_options={"optim_wrapper.accumulative_counts": 64})
    assert "moved" in found.steps.fates.values() and names(found) == []


def test_mixed_precision_is_left_out_where_there_is_no_gpu(segmenter: Any) -> None:
    found = segmenter.doctor(images=0, cfg_options={"optim_wrapper.type": "AmpOptimWrapper"})
    assert bool(found.notes) != torch.cuda.is_available()


def test_without_validation_data_the_rest_is_looked_at(segmenter: Any) -> None:
    cfg = deepcopy(segmenter.distill)
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    found = segmenter.doctor(segmenter.write(cfg, "no_val.py"))
    assert not found.predicted.measured and len(found.predicted.skipped) == 1 and found.losses.rows


@pytest.mark.parametrize("options", [dict(images=-1), dict(iterations=0), dict(images=2.5), dict(iterations=True)])
def test_numbers_that_cannot_be_are_refused(segmenter: Any, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"--{next(iter(options))}"):
        segmenter.doctor(**options)


def test_labels_that_are_no_class_are_a_mistake(segmenter: Any) -> None:
    cfg = deepcopy(segmenter.distill)
    cfg.model.architecture.decode_head.num_classes = cfg.model.teacher.decode_head.num_classes = 2
    cfg.model.update(teacher_ckpt=None, random_teacher=True)
    with pytest.raises(MMDistError, match="num_classes"):
        segmenter.doctor(segmenter.write(cfg, "two.py"))


def test_the_distillation_of_mmrazor_is_answered(segmenter: Any) -> None:
    cfg = distillation(segmenter.plain, segmenter.path("teacher.pth"))
    cfg.model.type = "mmrazor.SingleTeacherDistill"
    with pytest.raises(ConfigError, match=r"mmdist\.SingleTeacherDistill"):
        segmenter.doctor(segmenter.write(cfg, "razor.py"))


def test_the_command_ends_with_0_1_or_2(segmenter: Any, capsys: pytest.CaptureFixture[str]) -> None:
    config = segmenter.path("distill.py")
    assert main(["doctor", config, "--images", "8", "--iterations", "1"]) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("teacher", "mIoU", "distill.loss_dist", "peak memory"))
    assert main(["doctor", config, "--teacher-ckpt", segmenter.path("permuted.pth"), "--iterations", "1"]) == 1
    assert "error (permuted-classes)" in capsys.readouterr().out
    assert main(["doctor", segmenter.path("distil.py")]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1 and "distill.py" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["plain.py", "--teacher-ckpt", "teacher.pth"], "--teacher-ckpt"),
        (["distill.py", "--teacher-ckpt", "none.pth"], "none.pth"),
        (["distill.py", "--images", "-3"], "--images"),
        (["distill.py", "--cfg-options", "model.teacher_ckpt=None"], "model.teacher_ckpt"),
    ],
)
def test_a_mistake_is_one_line(
    segmenter: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list, said: str
) -> None:
    monkeypatch.chdir(segmenter.folder)
    assert main(["doctor", *arguments]) == 2
    err = capsys.readouterr().err
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and said in errors[0] and "Traceback" not in err


def test_options_without_a_config_are_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--images", "3"]) == 2
    assert "CONFIG" in capsys.readouterr().err


def test_names_from_files_cannot_write_on_the_terminal(segmenter: Any) -> None:
    classes = ("orange\x1b[2J", "green\nerror: none", "violet")
    changes = {
        f"{split}_dataloader.dataset.metainfo": dict(classes=classes, palette=[[0, 0, 0]] * 3)
        for split in ("train", "val")
    }
    text = str(segmenter.doctor(teacher_ckpt=segmenter.path("permuted.pth"), cfg_options=changes))
    assert "\x1b" not in text and "\nerror: none" not in text and "permuted-classes" in text


def test_times_are_those_of_the_methods_and_the_methods_are_as_before() -> None:
    class Slow:
        def work(self) -> int:
            return 3

    owner, watch = Slow(), Stopwatch(torch.device("cpu"))
    with watch.method(owner, "work", "part"):
        assert owner.work() == 3 and owner.work() == 3
    assert watch.seconds["part"] > 0 and "work" not in vars(owner)

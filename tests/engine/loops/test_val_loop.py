"""``mmdist.DistillValLoop``: the student's validation as ever, the teacher's beside it, no trace in the training."""

from __future__ import annotations

import pickle
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.task_runs import build, differing, distilled, plain_run, quickly, student_state, train
from helpers.tiny_run import environment
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

import mmdist.engine.loops  # noqa: F401
from mmdist.errors import ConfigError

LOOP = dict(type="mmdist.DistillValLoop", teacher=True)
EMA = dict(type="EMAHook", momentum=0.2)


class Record(Hook):
    """What is called how often, and the metrics of each validation."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.metrics: list[dict[str, Any]] = []

    def before_val(self, runner: Runner) -> None:
        self.calls.append("before_val")

    def before_val_epoch(self, runner: Runner) -> None:
        self.calls.append("before_val_epoch")

    def before_val_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        self.calls.append("before_val_iter")

    def after_val_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        self.calls.append("after_val_iter")

    def after_val_epoch(self, runner: Runner, metrics: dict[str, Any]) -> None:
        self.calls.append("after_val_epoch")
        self.metrics.append(dict(metrics))

    def after_val(self, runner: Runner) -> None:
        self.calls.append("after_val")


class CountTeacher(Hook):
    """How many batches the teacher has seen: at the start of each iteration, and at the end."""

    def before_train(self, runner: Runner) -> None:
        self.validating, self.batches = False, 0
        runner.model.teacher.backbone.register_forward_pre_hook(self.count)

    def count(self, *args: Any) -> None:
        self.batches += self.validating

    def before_val(self, runner: Runner) -> None:
        self.validating = True

    def after_val(self, runner: Runner) -> None:
        self.validating = False


def seg_run(folder: Path, **changes: Any) -> Config:
    """Four iterations of a segmenter under a teacher, validated after the second and the fourth."""
    return plain_run("mmseg", folder, **{"iters": 4, "val_interval": 2, **changes})


def metrics_of(model: dict, state: dict[str, torch.Tensor], folder: Path, name: str) -> dict[str, Any]:
    """What mmengine's own loop says of a model."""
    cfg = plain_run("mmseg", folder / name, val_interval=1, model=deepcopy(model))
    record = Record()
    with quickly("mmseg"):
        runner = build(cfg)
        runner.register_hook(record)
        runner.model.load_state_dict(state)
        runner._has_loaded = runner._is_init = True
        runner.val()
    return record.metrics[0]


def test_a_config_finds_the_loop_by_its_name() -> None:
    code = "import mmdist; from mmengine.registry import LOOPS; print(LOOPS.get('mmdist.DistillValLoop').__name__)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment())
    assert found.stdout.split()[-1:] == ["DistillValLoop"], found.stderr


def test_the_student_is_validated_as_by_mmengine_and_hooks_fire_once(tmp_path: Path) -> None:
    plain, ours = Record(), Record()
    cfg = distilled(seg_run(tmp_path), weight=1.0)
    train(cfg, plain)
    cfg.val_cfg = LOOP
    train(cfg, ours)
    assert ours.calls == plain.calls
    assert plain.calls.count("before_val_epoch") == 2
    own = [{name: value for name, value in found.items() if not name.startswith("teacher.")} for found in ours.metrics]
    assert own[0] == plain.metrics[0]
    assert list(ours.metrics[0])[: len(own[0])] == list(plain.metrics[0])  # `save_best='auto'` takes the first


def test_the_teacher_is_evaluated_once_as_if_by_itself(tmp_path: Path) -> None:
    record, count = Record(), CountTeacher()
    plain = seg_run(tmp_path)
    cfg = distilled(plain, weight=1.0)
    cfg.model.teacher.data_preprocessor.update(mean=[90.0, 100.0, 110.0], std=[30.0] * 3, bgr_to_rgb=True)
    cfg.val_cfg = LOOP
    run = train(cfg, record, count)
    alone = metrics_of(cfg.model.teacher, run.model.teacher.state_dict(), tmp_path, "alone")
    for found in record.metrics:
        assert {name: found[f"teacher.{name}"] for name in alone} == alone
    assert count.batches == len(run.val_dataloader)
    assert not any(module.training for module in run.model.teacher.modules())


def test_a_teacher_without_a_normalisation_gets_the_students(tmp_path: Path) -> None:
    record = Record()
    cfg = distilled(seg_run(tmp_path, val_cfg=LOOP), weight=1.0)
    teacher = deepcopy(cfg.model.teacher)
    cfg.model.teacher.pop("data_preprocessor")
    run = train(cfg, record)
    alone = metrics_of(teacher, run.model.teacher.state_dict(), tmp_path, "alone")
    assert record.metrics[0]["teacher.aAcc"] == alone["aAcc"]


def test_a_teacher_that_trains_is_evaluated_every_time(tmp_path: Path) -> None:
    count = CountTeacher()
    cfg = distilled(seg_run(tmp_path, val_cfg=LOOP), weight=1.0, acclimated=["decode_head.conv_seg"])
    run = train(cfg, count)
    assert count.batches == 2 * len(run.val_dataloader)


def test_without_teacher_nobody_asks_for_one(tmp_path: Path) -> None:
    record, count = Record(), CountTeacher()
    train(distilled(seg_run(tmp_path, val_cfg=dict(type="mmdist.DistillValLoop"))), record, count)
    assert count.batches == 0
    assert not any(name.startswith("teacher.") for name in record.metrics[0])
    train(seg_run(tmp_path / "plain", val_cfg=dict(type="mmdist.DistillValLoop")), record)
    assert len(record.metrics) == 4


def test_a_model_without_teacher_is_answered_before_the_first_iteration(tmp_path: Path) -> None:
    with quickly("mmseg"):
        runner = build(seg_run(tmp_path, val_cfg=LOOP))
        with pytest.raises(ConfigError, match=r"val_cfg\.teacher = True: .*EncoderDecoder.*SingleTeacherDistill"):
            runner.train()
    assert runner.iter == 0


def test_the_best_checkpoint_is_the_students_best(tmp_path: Path) -> None:
    record = Record()
    checkpoint = dict(type="CheckpointHook", by_epoch=False, interval=2, save_best="aAcc", rule="greater")
    cfg = seg_run(tmp_path, val_cfg=LOOP, default_hooks=dict(checkpoint=checkpoint))
    run = train(distilled(cfg, weight=1.0), record)
    assert run.message_hub.get_info("best_score") == max(found["aAcc"] for found in record.metrics)


def test_files_that_metrics_write_are_the_students(tmp_path: Path) -> None:
    def predictions(val_cfg: dict) -> list[torch.Tensor]:
        path = tmp_path / "predictions.pkl"
        metric = [dict(type="IoUMetric"), dict(type="DumpResults", out_file_path=str(path))]
        train(distilled(seg_run(tmp_path, iters=1, val_interval=1, val_cfg=val_cfg, val_evaluator=metric)))
        return [sample["pred_sem_seg"]["data"] for sample in pickle.loads(path.read_bytes())]

    expected, found = predictions(dict()), predictions(LOOP)
    assert len(expected) == 4
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))


def test_validation_leaves_no_trace_in_the_weights_with_a_moving_average(tmp_path: Path) -> None:
    cfg = distilled(seg_run(tmp_path, val_cfg=LOOP, custom_hooks=[EMA]), weight=1.0)
    validated = train(cfg)
    without = deepcopy(cfg)
    for key in ("val_cfg", "val_dataloader", "val_evaluator"):
        without.pop(key)
    plain = train(without)
    assert not differing(student_state(validated), student_state(plain))
    assert not differing(average(validated), average(plain))
    assert differing(average(plain), plain.model.state_dict())


def average(run: Runner) -> dict[str, torch.Tensor]:
    """The moving average of what a run has trained."""
    (hook,) = [hook for hook in run.hooks if type(hook).__name__ == "EMAHook"]
    return hook.ema_model.module.state_dict()


def test_the_moving_average_at_weight_zero_is_that_of_plain_training(tmp_path: Path) -> None:
    checkpoint = dict(type="CheckpointHook", by_epoch=False, interval=4)
    cfg = seg_run(tmp_path, custom_hooks=[EMA], default_hooks=dict(checkpoint=checkpoint))
    plain, run = train(cfg), train(distilled(cfg))
    found = {name.removeprefix("architecture."): value for name, value in average(run).items()}
    assert not differing(found, average(plain))
    saved = torch.load(Path(run.work_dir) / "iter_4.pth", weights_only=False)
    assert saved["ema_state_dict"]
    assert not [name for part in ("state_dict", "ema_state_dict") for name in saved[part] if "teacher" in name]


def test_modes_come_back_even_after_an_error(tmp_path: Path) -> None:
    with quickly("mmseg"):
        runner = build(distilled(seg_run(tmp_path, val_cfg=LOOP)))
        loop = runner.build_val_loop(runner._val_loop)
        runner.model.train()
        runner.model.student.backbone.layer1.eval()
        modes = {name: module.training for name, module in runner.model.named_modules()}
        loop.evaluator.evaluate = lambda size: 1 / 0
        with pytest.raises(ZeroDivisionError):
            loop.run()
    assert {name: module.training for name, module in runner.model.named_modules()} == modes
    assert len(set(modes.values())) == 2

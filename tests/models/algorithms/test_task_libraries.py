"""What the task libraries do with a model, they can do with the algorithm around it: hooks, TTA, several processes."""

from __future__ import annotations

import pickle
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.processes import run_ranks
from helpers.task_runs import build, differing, distilled, plain_run, quickly, student_state, train, train_one_rank
from helpers.tiny_models import classifier
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

TTA = dict(
    mmseg=dict(
        model=dict(type="SegTTAModel"),
        transforms=[
            [dict(type="Resize", scale_factor=ratio, keep_ratio=True) for ratio in (0.75, 1.0)],
            [dict(type="RandomFlip", prob=prob, direction="horizontal") for prob in (0.0, 1.0)],
            [dict(type="LoadAnnotations")],
            [dict(type="PackSegInputs")],
        ],
    ),
    mmdet=dict(
        model=dict(type="DetTTAModel", tta_cfg=dict(nms=dict(type="nms", iou_threshold=0.5), max_per_img=50)),
        transforms=[
            [dict(type="Resize", scale=(side, side), keep_ratio=True) for side in (64, 96)],
            [dict(type="RandomFlip", prob=prob) for prob in (0.0, 1.0)],
            [
                dict(
                    type="PackDetInputs",
                    meta_keys=("img_id", "ori_shape", "img_shape", "scale_factor", "flip", "flip_direction"),
                )
            ],
        ],
    ),
)


def predictions_with_tta(cfg: Config, state: dict[str, torch.Tensor], folder: Path) -> list[dict[str, Any]]:
    """What ``tools/test.py --tta`` of the task library predicts."""
    cfg = deepcopy(cfg)
    tta = deepcopy(TTA[cfg.default_scope])
    folder.mkdir()
    torch.save(dict(state_dict=state), folder / "model.pth")
    cfg.test_dataloader = deepcopy(cfg.val_dataloader)
    load = dict(type="LoadImageFromFile")
    cfg.test_dataloader.dataset.pipeline = [load, dict(type="TestTimeAug", transforms=tta["transforms"])]
    cfg.test_evaluator = [dict(type="DumpResults", out_file_path=str(folder / "predictions.pkl"))]
    cfg.model = dict(**tta["model"], module=deepcopy(cfg.model))
    cfg.test_cfg, cfg.load_from = dict(), str(folder / "model.pth")
    with quickly(cfg.default_scope):
        build(cfg).test()
    return pickle.loads((folder / "predictions.pkl").read_bytes())


@pytest.mark.parametrize("scope", ["mmseg", "mmdet"])
def test_test_time_augmentation_gives_what_it_gives_around_the_student(scope: str, tmp_path: Path) -> None:
    plain = plain_run(scope, tmp_path, iters=1, val_interval=5)
    cfg = distilled(plain)
    state = train(cfg).model.state_dict()
    own = {name.removeprefix("architecture."): value for name, value in state.items()}
    expected = predictions_with_tta(plain, own, tmp_path / "plain")
    found = predictions_with_tta(cfg, state, tmp_path / "ours")
    part, key = ("pred_sem_seg", "data") if scope == "mmseg" else ("pred_instances", "bboxes")
    assert len(expected) == len(found) == 4
    assert expected[0][part][key].numel()
    for a, b in zip(expected, found, strict=True):
        assert torch.equal(a[part][key], b[part][key])


class Access(Hook):
    """Parts of the student that hooks of the task libraries ask the model for."""

    def before_train(self, runner: Runner) -> None:
        model = runner.model
        assert model.decode_head is model.student.decode_head
        assert model.backbone is model.student.backbone
        assert model.num_classes == model.student.num_classes
        assert model.with_auxiliary_head is False
        self.fired = True


def test_hooks_find_the_parts_of_the_student(tmp_path: Path) -> None:
    hook = Access()
    train(distilled(plain_run("mmseg", tmp_path, iters=1)), hook)
    assert hook.fired


@pytest.mark.parametrize("scope", ["mmdet", "mmpretrain"])
def test_a_student_of_other_classes_than_the_data_is_found_as_in_plain_training(scope: str, tmp_path: Path) -> None:
    name = dict(mmdet="NumClassCheckHook", mmpretrain="ClassNumCheckHook")[scope]
    cfg = plain_run(scope, tmp_path, custom_hooks=[dict(type=name)])
    cfg.train_cfg = dict(by_epoch=True, max_epochs=1)
    cfg.train_dataloader.sampler.type = "DefaultSampler"
    cfg.model["bbox_head" if scope == "mmdet" else "head"].num_classes = 7
    for run in (cfg, distilled(cfg)):
        with pytest.raises(AssertionError, match=r"num_classes|number of classes"):
            train(run)


def test_the_pictures_of_the_visualization_hook_are_drawn(tmp_path: Path) -> None:
    cfg = plain_run("mmseg", tmp_path, iters=1, val_interval=1)
    cfg.default_hooks.visualization = dict(type="SegVisualizationHook", draw=True, interval=1)
    cfg.visualizer = dict(type="SegLocalVisualizer", vis_backends=[dict(type="LocalVisBackend")])
    run = train(distilled(cfg))
    assert list(Path(run.work_dir).rglob("*.png"))


def test_precise_statistics_and_averages_of_mmpretrain_are_those_of_plain_training(tmp_path: Path) -> None:
    hooks = [
        dict(type="PreciseBNHook", num_samples=12, interval=2, priority="ABOVE_NORMAL"),
        dict(type="EMAHook", momentum=0.2, evaluate_on_ema=True, evaluate_on_origin=True),
    ]
    cfg = plain_run("mmpretrain", tmp_path, iters=4, val_interval=2, custom_hooks=hooks, model=classifier())
    cfg.train_dataloader.sampler.type = "DefaultSampler"  # PreciseBNHook cannot share an infinite one
    plain, run = train(cfg), train(distilled(cfg))
    assert not differing(student_state(run), student_state(plain))
    averages = []
    for done in (plain, run):
        (hook,) = [hook for hook in done.hooks if type(hook).__name__ == "EMAHook"]
        state = hook.ema_model.module.state_dict()
        averages.append({name.removeprefix("architecture."): value for name, value in state.items()})
    assert not differing(*averages)
    for name in ("val/accuracy/top1", "val/accuracy/top1_origin"):
        assert run.message_hub.get_scalar(name).current() == plain.message_hub.get_scalar(name).current()


def test_two_processes_train_every_parameter_and_stay_equal(tmp_path: Path) -> None:
    one, two = run_ranks(train_one_rank, 2, tmp_path, str(tmp_path))
    assert not differing(one["parameters"], two["parameters"])
    assert any("connectors" in name for name in one["parameters"])
    assert one["head"] and two["head"]
    for name in ("val/mIoU", "val/aAcc", "val/teacher.mIoU", "val/teacher.aAcc"):
        assert one["metrics"][name] == two["metrics"][name]
    assert one["metrics"]["train/loss"] != two["metrics"]["train/loss"]  # each rank has pictures of its own

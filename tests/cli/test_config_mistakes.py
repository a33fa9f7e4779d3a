"""A hundred plausible mistakes in configs of three libraries: each answered in one line before the first iteration."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from helpers.task_runs import distilled, plain_run
from mmengine.config import Config, ConfigDict
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.registry import HOOKS

from mmdist.cli import train

GONE = object()
NUMBERS = itertools.count()
LIBRARIES = ("mmseg", "mmdet", "mmpretrain")
CLS, SEG, DET = "mmpretrain", "mmseg", "mmdet"
MAP = "model.distiller.loss_forward_mappings.loss_dist"
LOSS = "model.distiller.distill_losses.loss_dist"
RECORDERS = "model.distiller.student_recorders"
TRAIN = "train_dataloader.dataset"
PARAMS = "optim_wrapper.paramwise_cfg"
CONV = dict(type="mmrazor.ConvModuleConnector", in_channel=3, out_channel=7)
LINEAR = dict(type="LinearLR", start_factor=0.1, by_epoch=False, begin=0, end=10)

# library (with a + for a student under a teacher), what is changed, the key of the answer, what it says besides
MISTAKES: list[tuple[str, dict[str, Any], str, str]] = [
    # The model
    (CLS, {"model.type": "ImageClasifier"}, "model.type", "'ImageClassifier'"),
    (SEG, {"model.type": "EncodeDecoder"}, "model.type", "'EncoderDecoder'"),
    (DET, {"model.type": "RetinNet"}, "model.type", "'RetinaNet'"),
    (SEG, {"model.type": "RetinaNet"}, "model.type", "mmseg"),
    (CLS, {"model.type": GONE}, "model", "`type`"),
    (CLS, {"model": GONE}, "model", "a dict"),
    (CLS, {"model.backbone.type": "VisonTransformer"}, "model.backbone.type", "'VisionTransformer'"),
    (CLS, {"model.backbone.image_size": 16}, "model.backbone.image_size", "'img_size'"),
    (CLS, {"model.backbone.arch": "bse"}, "model.backbone", "bse"),
    (CLS, {"model.head.loss.type": "CrossEntropy"}, "model.head.loss.type", "'CrossEntropyLoss'"),
    (CLS, {"model.head.num_class": 3}, "model.head.num_class", "'num_classes'"),
    (CLS, {"model.head.in_channels": GONE}, "model.head", "in_channels"),
    (CLS, {"model.head.in_channels": 32}, "model.head", "shapes"),
    (CLS, {"model.train_cfg.augments.type": "MixUp"}, "augments.type", "'Mixup'"),
    (CLS, {"model.train_cfg.augments.alpha": "0.8"}, "augments", "alpha"),
    (SEG, {"model.decode_head.in_index": 7}, "model", "out of range"),
    (SEG, {"model.decode_head.in_channels": 16}, "model.decode_head", "channels"),
    (SEG, {"model.decode_head.norm_cfg.type": "SyncBatchNorm"}, "model.decode_head.norm_cfg.type", "'SyncBN'"),
    (SEG, {"model.backbone.depth": 19}, "model.backbone", "19"),
    (SEG, {"model.decode_head.dropout": 0.3}, "model.decode_head.dropout", "'dropout_ratio'"),
    (DET, {"model.neck.in_channels": [4, 8, 16]}, "model.neck", "in_channels"),
    (DET, {"model.neck.num_out": 5}, "model.neck.num_out", "'num_outs'"),
    (DET, {"model.bbox_head.anchor_generator.type": "AnchorGen"}, "anchor_generator.type", "'AnchorGenerator'"),
    (DET, {"model.bbox_head.bbox_coder.type": "DeltaXYWHCoder"}, "bbox_coder.type", "'DeltaXYWHBBoxCoder'"),
    (DET, {"model.train_cfg.assigner.pos_iou": 0.5}, "model.train_cfg.assigner.pos_iou", "'pos_iou_thr'"),
    (DET, {"model.bbox_head.feat_channel": 8}, "model.bbox_head.feat_channel", "'feat_channels'"),
    # The distiller
    (CLS + "+", {"model.distiller.type": "mmrazor.ConfigurableDistill"},
     "model.distiller.type", "ConfigurableDistiller"),
    (CLS + "+", {"model.teacher_checkpoint": "a.pth"}, "model.teacher_checkpoint", "'teacher_ckpt'"),
    (CLS + "+", {"model.teacher": GONE}, "model", "teacher"),
    (CLS + "+", {f"{LOSS}.type": "mmdist.DistLoss"}, f"{LOSS}.type", "'mmdist.DISTLoss'"),
    (CLS + "+", {f"{LOSS}.type": "DISTLoss"}, f"{LOSS}.type", "'mmdist.DISTLoss'"),
    (CLS + "+", {f"{LOSS}.tau": 0}, f"{LOSS}.tau", "above 0"),
    (SEG + "+", {f"{LOSS}.tau": "4"}, f"{LOSS}.tau", "number"),
    (CLS + "+", {f"{LOSS}.temperature": 4}, f"{LOSS}.temperature", "takes"),
    (CLS + "+", {f"{LOSS}.activation": "softmx"}, f"{LOSS}.activation", "'softmax'"),
    (CLS + "+", {"model.distiller.student_recorders.logits.source": "head.fcc"},
     "student_recorders.logits.source", "head.fc"),
    (CLS + "+", {"model.distiller.teacher_recorders.logits.type": "mmrazor.ModuleOutput"},
     "logits.type", "ModuleOutputs"),
    (CLS + "+", {f"{RECORDERS}.logits": dict(type="mmdist.Module", source="head.fcc")},
     f"{RECORDERS}.logits.source", "head.fc"),
    (CLS + "+", {f"{RECORDERS}.logits": dict(type="mmdist.Method", source="head.forwrd")},
     f"{RECORDERS}.logits.source", "forward"),
    (CLS + "+", {f"{RECORDERS}.logits": dict(type="mmdist.Module", source="head.fc", what="output")},
     f"{RECORDERS}.logits.what", "'outputs'"),
    (CLS + "+", {f"{MAP}.logits_S.recorder": "logit"}, f"{MAP}.logits_S.recorder", "'logits'"),
    (CLS + "+", {f"{MAP}.logits_T": GONE}, MAP, "logits_T"),
    (CLS + "+", {f"{MAP}.logits_S.record_idx": 3}, f"{MAP}.logits_S.record_idx", "3"),
    (CLS + "+", {f"{MAP}.logits_T.record_idx": 1}, f"{MAP}.logits_T.record_idx", "1"),
    (CLS + "+", {f"{MAP}.logits_S.record_idx": "0"}, f"{MAP}.logits_S.record_idx", "whole number"),
    (DET + "+", {f"{MAP}.logits_S.record_idx": 5}, f"{MAP}.logits_S.record_idx", "5"),
    (CLS + "+", {f"{MAP}.logits_S.data_idx": 2}, f"{MAP}.logits_S.data_idx", "2"),
    (CLS + "+", {f"{MAP}.logits_S.data_idx": 1.5}, f"{MAP}.logits_S.data_idx", "whole number"),
    (CLS + "+", {f"{MAP}.logits_S.connector": "align"}, f"{MAP}.logits_S.connector", "connectors"),
    (SEG + "+", {"model.distiller.connectors": {"c": {**CONV}}, f"{MAP}.logits_S.connector": "c"},
     "distill_losses", "shape"),
    (SEG + "+", {"model.distiller.connectors": {"c": {**CONV, "in_channel": 5}}, f"{MAP}.logits_S.connector": "c"},
     "model.distiller.connectors.c", "channels"),
    (CLS + "+", {"model.teacher.head.num_classes": 5}, "model.distiller", "shape"),
    (CLS + "+", {"model.acclimated": "head.fc"}, "model.acclimated", "['head.fc']"),
    (CLS + "+", {"model.teacher_dtype": "half"}, "model.teacher_dtype", "float16"),
    (CLS + "+", {"val_cfg.type": "mmdist.DistilValLoop"}, "val_cfg.type", "'mmdist.DistillValLoop'"),
    (CLS + "+", {"val_cfg.type": "mmdist.DistillValLoop", "val_cfg.teachr": True}, "val_cfg.teachr", "'teacher'"),
    (CLS, {"val_cfg.type": "mmdist.DistillValLoop", "val_cfg.teacher": True}, "val_cfg.teacher", "no teacher"),
    # Data
    (CLS, {f"{TRAIN}.type": "CustomDatset"}, f"{TRAIN}.type", "'CustomDataset'"),
    (DET, {f"{TRAIN}.type": "CocoDatasets"}, f"{TRAIN}.type", "'CocoDataset'"),
    (SEG, {"val_dataloader.dataset.type": "BaseSegDatset"}, "val_dataloader.dataset.type", "'BaseSegDataset'"),
    (SEG, {f"{TRAIN}.image_suffix": ".jpg"}, f"{TRAIN}.image_suffix", "'img_suffix'"),
    (DET, {f"{TRAIN}.ann_flie": "a.json"}, f"{TRAIN}.ann_flie", "'ann_file'"),
    (DET, {f"{TRAIN}.ann_file": "annotations/gone.json"}, f"{TRAIN}.ann_file", "does not exist"),
    (SEG, {f"{TRAIN}.img_suffix": ".jpg"}, f"{TRAIN}", "none"),
    (CLS, {f"{TRAIN}.pipeline.0.type": "LoadImagesFromFile"}, f"{TRAIN}.pipeline.0.type", "'LoadImageFromFile'"),
    (CLS, {f"{TRAIN}.pipeline.1.size": 16}, f"{TRAIN}.pipeline.1.size", "RandomResizedCrop"),
    (SEG, {f"{TRAIN}.pipeline.3.crop": (48, 48)}, f"{TRAIN}.pipeline.3.crop", "'crop_size'"),
    (DET, {f"{TRAIN}.pipeline.3.probability": 0.5}, f"{TRAIN}.pipeline.3.probability", "prob"),
    (DET, {f"{TRAIN}.pipeline.2.scale": GONE}, f"{TRAIN}.pipeline.2", "scale"),
    (SEG, {f"{TRAIN}.pipeline.6.type": "PackDetInputs"}, f"{TRAIN}.pipeline.6.type", "PackSegInputs"),
    (CLS, {f"{TRAIN}.pipeline": [dict(type="LoadImageFromFile")]}, f"{TRAIN}.pipeline", "inputs"),
    (DET, {f"{TRAIN}.pipeline": [dict(type="Resize", scale=(64, 64)), dict(type="PackDetInputs")]},
     f"{TRAIN}.pipeline.0", "first image"),
    (CLS, {"train_dataloader.batch_size": 0}, "train_dataloader.batch_size", "1 or above"),
    (DET, {"train_dataloader.batch_size": "4"}, "train_dataloader.batch_size", "without quotes"),
    (SEG, {"train_dataloader.batch_size": GONE, "train_dataloader.batchsize": 2},
     "train_dataloader.batchsize", "'batch_size'"),
    (CLS, {"train_dataloader.num_workers": -1}, "train_dataloader.num_workers", "0 or above"),
    (CLS, {"train_dataloader.batch_size": 64, "train_dataloader.drop_last": True}, "train_dataloader.batch_size", "24"),
    (CLS, {"train_dataloader.sampler": GONE}, "train_dataloader", "sampler"),
    (CLS, {"train_dataloader.sampler.type": "InfinitSampler"}, "train_dataloader.sampler.type", "'InfiniteSampler'"),
    (CLS, {"train_dataloader.sampler.shufle": True}, "train_dataloader.sampler.shufle", "'shuffle'"),
    (CLS, {"train_dataloader.collate_fn.type": "default_colate"},
     "train_dataloader.collate_fn.type", "'default_collate'"),
    (DET, {"train_dataloader.batch_sampler": dict(type="AspectRatioBatchSample")},
     "batch_sampler.type", "AspectRatioBatchSampler"),
    (CLS, {"model.head.num_classes": 2}, "model.head.num_classes", "label 2"),
    (SEG, {"model.decode_head.num_classes": 2}, "model.decode_head.num_classes", "label 2"),
    (DET, {"model.bbox_head.num_classes": 1}, "model.bbox_head.num_classes", "label"),
    # Evaluation
    (CLS, {"val_evaluator": GONE}, "val_evaluator", "val_dataloader"),
    (SEG, {"val_dataloader": GONE}, "val_dataloader", "val_evaluator"),
    (CLS, {"val_evaluator.type": "Acuracy"}, "val_evaluator.type", "'Accuracy'"),
    (SEG, {"val_evaluator.type": "mIoU"}, "val_evaluator.type", "registered"),
    (SEG, {"val_evaluator.iou_metric": ["mIoU"]}, "val_evaluator.iou_metric", "'iou_metrics'"),
    (DET, {"val_evaluator.metric": "boxes"}, "val_evaluator", "boxes"),
    (DET, {"val_evaluator.ann_file": "gone.json"}, "val_evaluator", "gone.json"),
    # Optimizer and schedule
    (CLS, {"optim_wrapper.optimizer.type": "Adamw"}, "optim_wrapper.optimizer.type", "'AdamW'"),
    (CLS, {"optim_wrapper.optimizer.lr": "0.001"}, "optim_wrapper.optimizer.lr", "without quotes"),
    (SEG, {"optim_wrapper.optimizer.lr": -0.1}, "optim_wrapper.optimizer.lr", "0 or above"),
    (CLS, {"optim_wrapper.optimizer.learning_rate": 0.1}, "optim_wrapper.optimizer.learning_rate", "lr"),
    (DET, {"optim_wrapper.optimizer.weight_deacy": 0.1}, "optim_wrapper.optimizer.weight_deacy", "'weight_decay'"),
    (CLS, {"optim_wrapper.type": "AmpOptimWraper"}, "optim_wrapper.type", "'AmpOptimWrapper'"),
    (CLS, {"optim_wrapper.clip_gard": dict(max_norm=1)}, "optim_wrapper.clip_gard", "'clip_grad'"),
    (CLS, {"optim_wrapper": GONE}, "optim_wrapper", "train_dataloader"),
    (CLS, {"optim_wrapper.constructor": "LearningRateDecayConstructor"}, "optim_wrapper.constructor",
     "LearningRateDecayOptimWrapperConstructor"),
    (CLS, {PARAMS: dict(norm_decay_mult=0.0), "optim_wrapper.optimizer.weight_decay": GONE},
     f"{PARAMS}.norm_decay_mult", "weight_decay"),
    (CLS, {PARAMS: dict(custom_keys=dict(backbone=dict(decay_mult=0.0))), "optim_wrapper.optimizer.weight_decay": GONE},
     f"{PARAMS}.custom_keys.backbone.decay_mult", "weight_decay"),
    (CLS, {PARAMS: dict(norm_decay_mul=0.0)}, f"{PARAMS}.norm_decay_mul", "'norm_decay_mult'"),
    (CLS, {PARAMS: dict(custom_keys=dict(backbon_=dict(lr_mult=0.1)))}, f"{PARAMS}.custom_keys.backbon_", "'backbone'"),
    (SEG, {PARAMS: dict(custom_keys=dict(decode_haed=dict(lr_mult=10.0)))},
     f"{PARAMS}.custom_keys.decode_haed", "'decode_head'"),
    (CLS, {PARAMS: dict(custom_keys=dict(head=dict(lr_mul=0.1)))}, f"{PARAMS}.custom_keys.head.lr_mul", "'lr_mult'"),
    (SEG, {"param_scheduler": dict(LINEAR, type="PolyLr")}, "param_scheduler.type", "'PolyLR'"),
    (DET, {"param_scheduler": [LINEAR, dict(type="MultiStepLR", milestone=[8])]},
     "param_scheduler.1.milestone", "'milestones'"),
    (CLS, {"param_scheduler": [dict(LINEAR, end=0)]}, "param_scheduler.0.end", "begin"),
    (CLS, {"param_scheduler": [dict(LINEAR, start_factor=3.0)]}, "param_scheduler.0", "factor"),
    (SEG, {"param_scheduler": dict(type="PolyLR", eta_min="1e-4")}, "param_scheduler.eta_min", "quotes"),
    (CLS, {"optim_wrapper.clip_grad": 35}, "optim_wrapper.clip_grad", "a dict"),
    # The loop, hooks and the rest
    (CLS, {"train_cfg.max_iters": 0}, "train_cfg.max_iters", "1 or above"),
    (SEG, {"train_cfg.val_interval": 0}, "train_cfg.val_interval", "1 or above"),
    (CLS, {"train_cfg": dict(by_epoch=True, max_epochs=0)}, "train_cfg.max_epochs", "1 or above"),
    (CLS, {"train_cfg": dict(by_epoch=True, max_epoch=2)}, "train_cfg.max_epoch", "'max_epochs'"),
    (CLS, {"train_cfg": dict(max_epochs=2)}, "train_cfg", "by_epoch"),
    (CLS, {"train_cfg.type": "IterBasedTrainingLoop"}, "train_cfg.type", "'IterBasedTrainLoop'"),
    (CLS, {"custom_hooks": dict(type="EMAHook")}, "custom_hooks", "a list"),
    (CLS, {"custom_hooks": [dict(type="EmaHok")]}, "custom_hooks.0.type", "'EMAHook'"),
    (CLS, {"custom_hooks": [dict(type="EMAHook", momentun=0.1)]}, "custom_hooks.0.momentun", "momentum"),
    (DET, {"default_hooks.checkpoint.intervall": 1}, "default_hooks.checkpoint.intervall", "'interval'"),
    (DET, {"default_hooks.logger": dict(type="LogerHook")}, "default_hooks.logger.type", "'LoggerHook'"),
    (SEG, {"visualizer": dict(type="SegLocalVisualiser")}, "visualizer.type", "'SegLocalVisualizer'"),
    (SEG, {"visualizer": dict(type="SegLocalVisualizer", vis_backends=[dict(type="TensorboardBackend")])},
     "visualizer.vis_backends.0.type", "'TensorboardVisBackend'"),
    (CLS, {"log_level": "VERBOSE"}, "log_level", "'INFO'"),
    (CLS, {"log_processor": dict(windowsize=10)}, "log_processor.windowsize", "'window_size'"),
    (CLS, {"randomness.sed": 3}, "randomness.sed", "'seed'"),
    (CLS, {"default_scope": "mmpretrained"}, "default_scope", "mmpretrain"),
]  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Config]:
    """A config of each library that trains, as it is and under a teacher."""
    folder = tmp_path_factory.mktemp("runs")
    made = {scope: plain_run(scope, folder, iters=2, val_interval=2) for scope in LIBRARIES}
    return made | {f"{scope}+": distilled(cfg, weight=1.0) for scope, cfg in made.items()}


def changed(cfg: Config, changes: dict[str, Any]) -> Config:
    cfg = deepcopy(cfg)
    for key, value in changes.items():
        *parents, last = key.split(".")
        node: Any = cfg._cfg_dict
        for name in parents:
            node = node[int(name)] if name.isdigit() else node.setdefault(name, ConfigDict())
        if value is GONE:
            del node[last]
        else:
            node[last] = ConfigDict(value) if isinstance(value, dict) else deepcopy(value)
    return cfg


def run(cfg: Config, monkeypatch: pytest.MonkeyPatch, folder: Path) -> int:
    """``mmdist train`` on a config that is no file."""
    cfg.experiment_name = f"mistake_{next(NUMBERS)}"  # mmengine shares visualizers among runs of one name and second
    monkeypatch.setattr(train, "load_config", lambda path: cfg)
    monkeypatch.setattr(Config, "pretty_text", "")  # yapf takes half of the time
    monkeypatch.setenv("LOCAL_RANK", "0")
    return train.main(["tiny.py", "--work-dir", str(folder / "work")])


@pytest.fixture(autouse=True)
def _no_old_logs() -> Iterator[None]:
    """Loggers write into the stderr that they first met, which pytest has closed since."""
    MMLogger._instance_dict.clear()
    yield
    MMLogger._instance_dict.clear()


def test_there_are_a_hundred_mistakes_of_three_libraries() -> None:
    assert len(MISTAKES) >= 100
    assert {library.rstrip("+") for library, *_ in MISTAKES} == set(LIBRARIES)


@HOOKS.register_module(name="NoIteration", force=True)
class NoIteration(Hook):
    """Fails where an iteration is done."""

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        raise AssertionError("an iteration was done")


@pytest.mark.parametrize(("library", "changes", "key", "says"), MISTAKES, ids=[f"{m[0]} {m[2]}" for m in MISTAKES])
def test_a_mistake_is_answered_in_one_line_before_the_first_iteration(
    runs: dict[str, Config],
    library: str,
    changes: dict[str, Any],
    key: str,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    cfg = changed(runs[library], changes)
    if "custom_hooks" not in cfg:
        cfg.custom_hooks = [dict(type="NoIteration")]
    assert run(cfg, monkeypatch, tmp_path) == 2
    error = capfd.readouterr().err
    answers = [line for line in error.splitlines() if line.startswith("error: ")]
    assert len(answers) == 1, error
    assert "Traceback" not in error
    place, _, rest = answers[0].removeprefix("error: ").partition(" = ")
    assert key in (place if rest else answers[0]), answers[0]
    assert says in answers[0], answers[0]
    assert len(answers[0]) < 900, answers[0]
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("library", [*LIBRARIES, *(f"{name}+" for name in LIBRARIES)])
def test_the_configs_that_the_mistakes_are_made_in_train(
    runs: dict[str, Config], library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(deepcopy(runs[library]), monkeypatch, tmp_path) == 0

"""Labels that are no class of the model are found before the run, and in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.task_runs import build, differing, distilled, plain_run, quickly, student_state, train
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.structures import InstanceData, PixelData
from PIL import Image
from torch import nn

from mmdist.engine.checks import LabelGuard
from mmdist.engine.checks.datasets import spread
from mmdist.engine.checks.labels import Classes
from mmdist.engine.hooks.run_checks import RunCheckHook
from mmdist.errors import ConfigError

LIBRARIES = ("mmseg", "mmdet", "mmpretrain")


def fits(cfg: Config) -> None:
    """Build the run, and look at the labels as it does."""
    with quickly(cfg.default_scope):
        runner = build(cfg)
        LabelGuard(runner.model).look(runner.train_dataloader, "train_dataloader")


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_run_is_the_same_bit_for_bit_with_and_without_the_checks(library: str, tmp_path: Path) -> None:
    cfg = plain_run(library, tmp_path, iters=3, val_interval=3)
    plain, checked = train(cfg), train(cfg, RunCheckHook())
    assert differing(student_state(plain), student_state(checked)) == []


def write_label(root: Path, index: int, label: int) -> None:
    path = root / "annotations" / "train" / f"{index}.png"
    pixels = np.array(Image.open(path))
    pixels[-1, -1] = label
    Image.fromarray(pixels).save(path)


def test_one_wrong_pixel_in_the_last_label_map_is_found_and_an_ignored_one_is_none(tmp_path: Path) -> None:
    cfg = plain_run("mmseg", tmp_path)
    root = Path(cfg.train_dataloader.dataset.data_root)
    write_label(root, 3, 255)
    fits(cfg)
    write_label(root, 3, 3)
    with pytest.raises(ConfigError, match=r"model\.decode_head\.num_classes = 3: .*label 3 is in \S*3\.png"):
        fits(cfg)
    with pytest.raises(ConfigError, match=r"model\.architecture\.decode_head\.num_classes"):
        fits(distilled(cfg))
    cfg.model.decode_head.ignore_index = 3
    with pytest.raises(ConfigError, match="label 255"):
        fits(cfg)


def test_a_loss_that_takes_any_label_is_left_alone(tmp_path: Path) -> None:
    cfg = plain_run("mmseg", tmp_path)
    cfg.model.decode_head.num_classes = 2
    with pytest.raises(ConfigError):
        fits(cfg)
    cfg.model.decode_head.loss_decode = dict(type="CrossEntropyLoss", use_sigmoid=True)
    fits(cfg)


def head(kind: str, **values: Any) -> nn.Module:
    """A model with this head of a task library's."""
    from mmdet.models import RetinaHead
    from mmpretrain.models import LinearClsHead

    model = nn.Module()
    if kind == "mmdet":
        model.bbox_head = RetinaHead(**values, in_channels=4)
    else:
        model.head = LinearClsHead(**values, in_channels=4)
    return model


@pytest.mark.parametrize(("label", "right"), [(0, True), (2, True), (3, False), (80, False)])
def test_each_batch_is_looked_at(label: int, right: bool) -> None:
    from mmdet.structures import DetDataSample
    from mmpretrain.structures import DataSample

    boxes = DetDataSample(gt_instances=InstanceData(labels=torch.tensor([0, label]), bboxes=torch.zeros(2, 4)))
    for kind, sample in (("mmdet", boxes), ("mmpretrain", DataSample().set_gt_label(label))):
        guard = LabelGuard(head(kind, num_classes=3))
        batch = dict(inputs=[], data_samples=[sample])
        if right:
            guard.check_batch(batch)
        else:
            with pytest.raises(ConfigError, match=f"num_classes = 3: .*label {label}"):
                guard.check_batch(batch)


@pytest.mark.parametrize("batch", [None, torch.zeros(2), {}, dict(data_samples=None), dict(data_samples=dict(a=[1]))])
def test_a_batch_of_another_form_is_left_alone(batch: Any) -> None:
    LabelGuard(head("mmdet", num_classes=1)).check_batch(batch)


@pytest.mark.parametrize("model", [nn.Linear(1, 1), nn.Sequential()])
def test_a_model_of_another_kind_is_left_alone(model: nn.Module) -> None:
    guard = LabelGuard(model)
    sample = Hook()
    sample.gt_sem_seg = PixelData(data=torch.full((1, 2, 2), 99))
    guard.check_batch(dict(data_samples=[sample]))
    assert guard.look(None, "train_dataloader") == 0


def test_images_are_spread_over_the_data() -> None:
    assert spread(100, 5) == [0, 25, 50, 74, 99]
    assert spread(0, 5) == []
    assert spread(3, 5) == [0, 1, 2]


@pytest.mark.parametrize("ignored", [255, 0, 7, None])
def test_what_is_said_of_a_map_is_what_a_look_at_each_pixel_says(ignored: int | None) -> None:
    model = nn.Module()
    guard = LabelGuard(model)
    for high in (2, 3, 4, 8, 254, 255, 256, 300):
        for low in (-1, 0, 3):
            labels = torch.tensor([[low, 0, 1, 2, high]])
            guard.classes = Classes("model.decode_head.num_classes", 4, ignored)
            right = all(0 <= label < 4 or label == ignored for label in labels.flatten().tolist())
            try:
                guard._check(labels, "a.png")
                said = True
            except ConfigError:
                said = False
            assert said == right, (low, high)

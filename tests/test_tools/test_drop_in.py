"""The demo configs under every tool that a user may start them with, and MMRazor's own config with our loss."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import mmdet
import mmpretrain
import mmseg
import numpy as np
import pytest
import torch
from helpers.tiny_data import write_classification, write_detection, write_segmentation
from helpers.tiny_run import ROOT, environment
from mmengine.registry import MODELS
from PIL import Image

DEMO = ROOT / "configs" / "demo"
SEG = "dist_upernet_r18-w32_upernet_r18-w4_1xb32-800_digits.py"
DET = "dist_retinanet_r18-w32_retinanet_r18-w8_1xb32-800_digits.py"
CLS = "dist_resnet18-w16_resnet18-w2_1xb64-500_mnist5k.py"
DIGITS = tuple("0123456789")


def run(*command: object, cwd: Path, **extra: str) -> str:
    """Run a command to its end; what it printed."""
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, env=environment(**extra), capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


def two_iterations(root: Path, *more: str) -> list[str]:
    """Options that make a demo config run two iterations on the data in ``root``."""
    return [
        "--work-dir",
        str(root / "work"),
        "--cfg-options",
        "model.random_teacher=True",
        "train_cfg.max_iters=2",
        "train_cfg.val_interval=2",
        "train_dataloader.batch_size=2",
        f"train_dataloader.dataset.data_root={root / 'data'}",
        f"val_dataloader.dataset.data_root={root / 'data'}",
        "default_hooks.logger.interval=1",
        *more,
    ]


def own_tool(library) -> Path:
    return Path(library.__file__).parent / ".mim" / "tools" / "train.py"


@pytest.mark.slow
def test_mmsegs_own_tool_trains_the_demo_config(tmp_path):
    write_segmentation(tmp_path / "data", 11)
    output = run(sys.executable, own_tool(mmseg), DEMO / SEG, *two_iterations(tmp_path), cwd=tmp_path)
    assert "distill.loss_dist" in output
    assert "mIoU" in output


@pytest.mark.slow
def test_mmdets_own_tool_trains_the_demo_config(tmp_path):
    write_detection(tmp_path / "data", DIGITS)
    annotations = f"val_evaluator.ann_file={tmp_path / 'data/annotations/instances_val.json'}"
    output = run(sys.executable, own_tool(mmdet), DEMO / DET, *two_iterations(tmp_path, annotations), cwd=tmp_path)
    assert "distill.loss_dist_2" in output


@pytest.mark.slow
def test_mmpretrains_own_tool_trains_the_demo_config(tmp_path):
    write_classification(tmp_path / "data", DIGITS)
    output = run(sys.executable, own_tool(mmpretrain), DEMO / CLS, *two_iterations(tmp_path), cwd=tmp_path)
    assert "distill.loss_dist" in output
    assert "accuracy/top1" in output


@pytest.mark.slow
def test_mim_trains_and_tests_the_demo_config(tmp_path):
    write_segmentation(tmp_path / "data", 11)
    mim = [Path(sys.executable).with_name("mim")]
    output = run(*mim, "train", "mmdist", DEMO / SEG, "--gpus", 0, *two_iterations(tmp_path), cwd=tmp_path)
    assert "distill.loss_dist" in output
    checkpoint = tmp_path / "work" / "iter_2.pth"
    data = f"test_dataloader.dataset.data_root={tmp_path / 'data'}"
    tested = run(
        *(*mim, "test", "mmdist", DEMO / SEG, "--checkpoint", checkpoint, "--gpus", 0, "--cfg-options", data),
        cwd=tmp_path,
    )
    assert "mIoU" in tested


@pytest.mark.slow
def test_two_processes_train_the_demo_config_on_the_cpu(tmp_path):
    write_segmentation(tmp_path / "data", 11)
    output = run("bash", ROOT / "tools/dist_train.sh", DEMO / SEG, 2, *two_iterations(tmp_path), cwd=tmp_path)
    assert "distill.loss_dist" in output
    assert (tmp_path / "work" / "iter_2.pth").is_file()


# MMRazor's own CWD config for PSPNet with another loss, on small pictures in the layout of Cityscapes.
STOCK = """
_base_ = ['mmseg::_base_/datasets/cityscapes.py', 'mmseg::_base_/default_runtime.py']
custom_imports = dict(imports=['mmdist'], allow_failed_imports=False)
path = 'mmseg::pspnet/pspnet_r18-d8_4xb2-80k_cityscapes-512x1024.py'
model = dict(
    _scope_='mmrazor',
    type='SingleTeacherDistill',
    architecture=dict(cfg_path=path, pretrained=False),
    teacher=dict(cfg_path=path, pretrained=False),
    teacher_ckpt=None,
    data_preprocessor=dict(
        type='mmseg.SegDataPreProcessor', mean=[127.5] * 3, std=[60.0] * 3, bgr_to_rgb=True, size=(64, 128)),
    distiller=dict(
        type='ConfigurableDistiller',
        distill_losses=dict(loss_dist=dict(type='mmdist.DISTLoss', tau=1)),
        student_recorders=dict(logits=dict(type='ModuleOutputs', source='decode_head.conv_seg')),
        teacher_recorders=dict(logits=dict(type='ModuleOutputs', source='decode_head.conv_seg')),
        loss_forward_mappings=dict(
            loss_dist=dict(
                logits_S=dict(from_student=True, recorder='logits'),
                logits_T=dict(from_student=False, recorder='logits')))))
train_pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False, dataset=dict(pipeline=train_pipeline))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=2, val_interval=100)
val_dataloader = val_cfg = val_evaluator = test_dataloader = test_cfg = test_evaluator = None
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01))
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=1), checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=2))
"""


@pytest.mark.slow
def test_a_stock_mmrazor_config_trains_with_our_loss_on_pspnet(tmp_path):
    rng = np.random.default_rng(0)
    for kind, suffix in (("leftImg8bit", "leftImg8bit"), ("gtFine", "gtFine_labelTrainIds")):
        folder = tmp_path / "data" / "cityscapes" / kind / "train" / "town"
        folder.mkdir(parents=True)
        for index in range(4):
            shape, top = ((64, 128, 3), 256) if kind == "leftImg8bit" else ((64, 128), 19)
            pixels = rng.integers(0, top, shape, dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"town_{index:06}_000019_{suffix}.png")
    # What the config's backbone starts from, under the name that mmengine knows it by.
    weights = tmp_path / "mmengine" / "resnet18_v1c.pth"
    weights.parent.mkdir()
    weights.with_name("open_mmlab.json").write_text('{"resnet18_v1c": "resnet18_v1c.pth"}')
    torch.save(dict(state_dict=MODELS.build(dict(type="mmseg.ResNetV1c", depth=18)).state_dict()), weights)
    (tmp_path / "stock.py").write_text(STOCK)
    command = (sys.executable, ROOT / "tools/train.py", "stock.py", "--work-dir", "work")
    output = run(*command, cwd=tmp_path, MMENGINE_HOME=str(weights.parent))
    assert "distill.loss_dist" in output
    assert (tmp_path / "work" / "iter_2.pth").is_file()

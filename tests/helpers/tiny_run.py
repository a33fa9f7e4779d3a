"""A real run that takes seconds: ResNets of a few channels on a few written images."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[2]

CONFIG = """
default_scope = 'mmpretrain'
experiment_name = {name!r}  # mmengine shares a visualizer among runs of one name and second
data_root = {data!r}
pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
dataset = dict(type='CustomDataset', data_root=data_root, data_prefix='images', pipeline=pipeline)
train_dataloader = dict(
    batch_size=2, num_workers=0, dataset=dataset, sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'))
val_dataloader = dict(
    batch_size=2, num_workers=0, dataset=dataset, sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'))
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1, ))
test_evaluator = val_evaluator
val_cfg = dict()
test_cfg = dict()
train_cfg = dict(by_epoch=True, max_epochs={epochs}, val_interval=1)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01))
auto_scale_lr = dict(base_batch_size=2)
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=1),
    checkpoint=dict(type='CheckpointHook', interval=1),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='VisualizationHook'))
visualizer = dict(type='UniversalVisualizer', vis_backends=[dict(type='LocalVisBackend')])
randomness = dict(seed=0)
plain = dict(
    type='ImageClassifier',
    data_preprocessor=dict(type='ClsDataPreprocessor', num_classes=2, mean=[127.5] * 3, std=[127.5] * 3),
    backbone=dict(
        type='ResNet_CIFAR', depth=18, stem_channels=4, base_channels=4, norm_cfg=dict(type={norm!r})),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=2, in_channels=32, loss=dict(type='CrossEntropyLoss')))
model = plain
"""

DISTILL = """
_base_ = ['plain.py']
custom_imports = dict(imports=['mmdist'], allow_failed_imports=False)
plain = _base_.plain
model = dict(
    _delete_=True, type='mmdist.SingleTeacherDistill', architecture=plain, teacher='plain.py',
    random_teacher=True,
    distiller=dict(
        type='mmrazor.ConfigurableDistiller',
        student_recorders=dict(logits=dict(type='mmrazor.ModuleOutputs', source='head.fc')),
        teacher_recorders=dict(logits=dict(type='mmrazor.ModuleOutputs', source='head.fc')),
        distill_losses=dict(loss_dist=dict(type='mmdist.DISTLoss', tau=1.0)),
        loss_forward_mappings=dict(
            loss_dist=dict(
                logits_S=dict(recorder='logits', from_student=True),
                logits_T=dict(recorder='logits', from_student=False)))))
"""


def write_images(folder: Path, count: int = 4) -> None:
    """Two classes that differ in brightness."""
    rng = np.random.default_rng(0)
    for label, name in enumerate(("dark", "light")):
        (folder / "images" / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            pixels = rng.integers(0, 100, (16, 16, 3), dtype=np.uint8) + np.uint8(120 * label)
            Image.fromarray(pixels).save(folder / "images" / name / f"{index}.png")


def write_run(folder: Path, *, epochs: int = 1, norm: str = "BN") -> Path:
    """Write images, ``plain.py`` and ``distill.py`` into a folder; the path of ``plain.py``."""
    write_images(folder / "data")
    (folder / "plain.py").write_text(
        CONFIG.format(name=folder.name, data=str(folder / "data"), epochs=epochs, norm=norm)
    )
    distill = DISTILL.replace("'plain.py', ", f"{str(folder / 'plain.py')!r}, ", 1).replace(
        "teacher='plain.py'", f"teacher={str(folder / 'plain.py')!r}"
    )
    (folder / "distill.py").write_text(distill)
    return folder / "plain.py"


def environment(**extra: str) -> dict[str, str]:
    """What a process of a test starts with: this checkout, one thread, no launcher's variables."""
    drop = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    kept = {name: value for name, value in os.environ.items() if name not in drop and not name.startswith("SLURM_")}
    return kept | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHON": sys.executable} | extra


def run_tool(
    name: str, *args: object, cwd: Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ``tools/NAME`` as a user does."""
    starter = ["bash"] if name.endswith(".sh") else [sys.executable]
    return subprocess.run(
        [*starter, str(ROOT / "tools" / name), *map(str, args)],
        cwd=cwd,
        env=env or environment(),
        capture_output=True,
        text=True,
        timeout=240,
    )

"""The config of a cell, from the demo's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.config import Config

from benchmarks._few_labels.plan import (
    BATCH,
    CHOOSING,
    JUDGING,
    LABELED,
    LABELS,
    OTHER,
    PLAIN,
    PSEUDO,
    SAME,
    SEARCH,
    TEACHER,
    Cell,
)
from benchmarks.accuracy.plan import ROOT
from mmdist.engine.config import load_config

PAIR = "upernet_r18-w32_upernet_r18-w4_1xb32-800_digits.py"
FILES = {
    PLAIN: "upernet_r18-w4_1xb32-800_digits.py",
    TEACHER: "upernet_r18-w32_1xb32-800_digits.py",
    SAME: f"dist_{PAIR}",
    PSEUDO: f"dist_{PAIR}",
    "kd": f"kd_{PAIR}",
    "dist": f"dist_{PAIR}",
    "pseudo-kd": f"kd_{PAIR}",
    "pseudo-dist": f"dist_{PAIR}",
}
WITH_UNLABELED = {PSEUDO, "kd", "dist", "pseudo-kd", "pseudo-dist"}


def config_of(
    cell: Cell, data: Path, *, labels: int = LABELS, choosing: int = CHOOSING, judging: int = JUDGING
) -> Config:
    """The config of a training; its length is set elsewhere.

    Args:
        cell (Cell): The training.
        data (Path): The folder with ``student`` and ``teacher``, two sets of digit scenes.
        labels (int): Scenes of the student's that keep their labels.
        choosing (int): Validation scenes that choose.
        judging (int): Validation scenes that judge, after those.
    """
    cfg = load_config(str(ROOT / "configs" / "demo" / FILES[cell.arm]))
    subset = f"train_{labels}_seed{cell.seed}"
    student, elsewhere = data / "student", cell.arm == TEACHER and cell.setting == OTHER
    train = cfg.train_dataloader
    train.batch_size = BATCH
    train.dataset.data_root = str(data / "teacher" if elsewhere else student)
    if not elsewhere:
        train.dataset.ann_file = f"splits/{subset}_labeled.txt"
    if cell.arm in WITH_UNLABELED:
        _add_unlabeled(train, str(student / f"{subset}_unlabeled_images.txt"))
    first, last = (0, choosing) if cell.purpose == SEARCH else (choosing, choosing + judging)
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.data_root = str(student)
        loader.dataset.indices = list(range(first, last))
    cfg.optim_wrapper.optimizer.lr *= cell.rate
    if cell.arm not in (PLAIN, TEACHER):
        _set_losses(cfg.model, cell)
    return cfg


def _add_unlabeled(train: Any, images: str) -> None:
    train.dataset = dict(type="mmdist.LabeledUnlabeledDataset", labeled=train.dataset, unlabeled=images)
    counts = dict(labeled=LABELED, unlabeled=BATCH - LABELED)
    train.batch_sampler = dict(type="mmdist.LabeledUnlabeledBatchSampler", **counts)
    train.batch_size = LABELED


def _set_losses(model: Any, cell: Cell) -> None:
    """The weights of what the teacher says."""
    if cell.arm == PSEUDO:
        model.distiller = None
        model.pseudo_labels = dict(score_thr=0.0, loss_weight=cell.weight)
        return
    if cell.arm.startswith(PSEUDO):
        model.pseudo_labels = dict(score_thr=0.0)
    for loss in model.distiller.distill_losses.values():
        loss.loss_weight *= cell.weight

"""The settings that the literature names, by task, and what each argument means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmdist.engine.new.pair import Pair
from mmdist.engine.new.sides import CLASSIFIER, DENSE, SEGMENTER, TWO_STAGE
from mmdist.engine.new.text import Noted

SMALL = 64  # pixels up to which a classifier's pictures are like CIFAR's
SHARE = 0.048  # of the batch's pixels: 100 000 of four crops of 512x1024, as the official code of RDD
TWO_CLASSES = 4.0  # tau: what DIST's authors suggest
MEANINGS = {
    "loss_weight": "times the loss, before it is added to the student's own; 0 switches it off",
    "tau": "temperature: the larger, the more the small probabilities count",
    "inter_loss_weight": "of the relation between the classes of one position",
    "intra_loss_weight": "of the relation between the positions in one class",
    "activation": "sigmoid: each class is a question of its own; softmax: they compete",
    "num_classes": "scores of one anchor, of which a map holds several",
    "alpha": "weight of how sure the teacher is of the true class",
    "beta": "weight of how the teacher ranks the other classes",
    "gamma": "weight of the classes that are not the true one",
    "warmup_epochs": "epochs in which the weight grows to its full size",
    "complementary_weight": "times more for regions that differ from the whole picture",
    "split": "what differs: whether the teacher is right (correctness), or its answer (agreement)",
    "scales": "grids of regions: the whole, 2x2 parts, 4x4 parts",
    "resize_stu": "where sizes differ, the student's is resized",
    "normalize": "compare the values themselves",
    "div_element": "the mean over all values",
    "warmup": "share of the training in which the teacher's two heads weigh the task loss",
    "mode": "then count positions that are hard for one of the two networks alone",
    "threshold": "hard: the label's probability is at most this",
    "score_thr": "confidence from which the teacher's decision is a label; 0: always",
    "losses": "the student's losses that are weighed; the others stay as they are",
    "min_kept": "at least so many of a batch's pixels are hard for each network",
}


@dataclass(frozen=True)
class Task:
    """What the settings depend on.

    Args:
        kind (str): Such as ``classifier``.
        small (bool): Pictures like CIFAR's.
        by_epoch (bool): Whether the training counts epochs.
        alike (bool): Backbones of one class.
        scores (int): Of one position, or anchor.
        compete (bool): Whether the classes compete; otherwise each is a question of its own.
    """

    kind: str
    small: bool
    by_epoch: bool
    alike: bool
    scores: int = 0
    compete: bool = True


def task_of(pair: Pair) -> Task:
    """What the settings of a pair depend on."""
    train = pair.cfg.get("train_cfg") or {}
    by_epoch = bool(train.get("by_epoch", "Epoch" in str(train.get("type", ""))))
    small = pair.student.kind == CLASSIFIER and max(pair.size) <= SMALL
    backbones = [type(getattr(side.model, "backbone", None)) for side in (pair.student, pair.teacher)]
    scores, compete = pair.student.channels, not pair.student.sigmoid
    return Task(pair.student.kind, small, by_epoch, backbones[0] is backbones[1], scores, compete)


def dist(task: Task) -> tuple[dict[str, Any], str]:
    """DIST's settings, and where they are from."""
    # A single score, and labels of which several may be right, have no relation of the classes to keep.
    inter = 0.0 if task.scores == 1 or (task.kind == CLASSIFIER and not task.compete) else 1.0
    weights = {"inter_loss_weight": inter, "intra_loss_weight": 1.0}
    two = task.scores == 2 and task.compete  # near one-hot scores of two classes have little relation left
    more = " (tau: for two classes)" if two else ""
    if task.kind == CLASSIFIER:
        tau, data = (4.0, "CIFAR-100") if task.small else (1.0, "ImageNet")
        return {**weights, "tau": TWO_CLASSES if two else tau, "loss_weight": 2.0}, f"DIST on {data}{more}"
    data = {SEGMENTER: "Cityscapes"}.get(task.kind, "COCO")
    return {**weights, "tau": TWO_CLASSES if two else 1.0, "loss_weight": 1.0}, f"DIST on {data}{more}"


def kd(task: Task) -> tuple[dict[str, Any], str]:
    """KD's settings, and where they are from."""
    if task.kind == CLASSIFIER:
        return {"tau": 4.0, "loss_weight": 1.0}, "KD in DIST's comparison on ImageNet"
    source = "KD in the segmentation papers" if task.kind == SEGMENTER else "ours: no paper names them for detectors"
    return {"tau": 1.0, "loss_weight": 1.0}, source


def decoupled(task: Task, *, warmup: bool = True) -> tuple[dict[str, Any], str]:
    """DKD's settings, which DCKD and SDD take over, and where they are from."""
    length = {"warmup_epochs": 20 if task.small else 1} if warmup and task.by_epoch else {}
    if task.kind == CLASSIFIER and task.small:
        return {"alpha": 1.0, "beta": 8.0, "tau": 4.0, **length}, "DKD on CIFAR-100"
    if task.kind in (DENSE, TWO_STAGE):
        return {"alpha": 1.0, "beta": 0.25, "tau": 1.0}, "DKD on COCO"
    beta = 0.5 if task.alike else 2.0
    if task.kind == CLASSIFIER:
        pair = "ResNet-34 and ResNet-18" if task.alike else "ResNet-50 and MobileNetV1"
        return {"alpha": 1.0, "beta": beta, "tau": 1.0, **length}, f"DKD on ImageNet, {pair}"
    return {"alpha": 1.0, "beta": 0.5, "tau": 1.0}, "ours: those of DKD on ImageNet"


def min_kept(pair: Pair) -> int:
    """RDD's smallest number of hard pixels: the official share of the batch."""
    batch = (pair.cfg.get("train_dataloader") or {}).get("batch_size", 4)
    pixels = SHARE * batch * pair.size[0] * pair.size[1]
    return max(1, int(round(pixels, -max(0, len(str(int(pixels))) - 2))))


def explained(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config with a comment on each argument whose meaning is known.

    Example:
        >>> explained(dict(type='L', tau=1.0))['tau'].comment
        'temperature: the larger, the more the small probabilities count'
    """
    return {
        name: explained(value)
        if isinstance(value, dict)
        else Noted(value, MEANINGS[name])
        if name in MEANINGS
        else value
        for name, value in config.items()
    }

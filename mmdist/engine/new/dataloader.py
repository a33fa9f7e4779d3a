"""The training dataloader of a written config: unlabelled images beside the labelled ones, or in their place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.config import Config
from torch import nn

from mmdist.engine.modules.samples import IGNORED, ignored_label
from mmdist.engine.new.images import Images
from mmdist.engine.new.paths import beside
from mmdist.engine.new.text import Code, Noted, assign

BASE = "_base_.train_dataloader.dataset"
BALANCED = "ClassBalancedDataset"  # it counts labels


def dataloader_text(images: Images, cfg: Config, out: Path, student: nn.Module) -> str:
    """The assignment of ``train_dataloader``; empty where the student's own stays as it is.

    Args:
        images (Images): Resolved.
        cfg (Config): Of the student.
        out (Path): Where the written config will be.
        student (nn.Module): Whose head says which label is ignored.

    Returns:
        str: Python text.
    """
    if images.are_plain:
        return ""
    if not images.labels:
        found: dict[str, Any] = {"dataset": _alone(cfg.train_dataloader.dataset, BASE, images, out, student)}
        if images.per_batch != cfg.train_dataloader.batch_size:
            found["batch_size"] = images.per_batch
        return assign("train_dataloader", found, "Images without labels, through the task's own training pipeline.")
    dataset = {
        "_delete_": True,
        "type": "mmdist.LabeledUnlabeledDataset",
        "labeled": Noted(Code(BASE), "the student's training data, as it is"),
        "unlabeled": Noted(_unlabeled(images, out, student), "a folder with images, or a list file of them"),
    }
    comment = "Labelled and unlabelled images. The batch size stays the number of labelled ones."
    found = {"dataset": dataset, "batch_sampler": _batches(images, cfg.train_dataloader)}
    return assign("train_dataloader", found, comment)


def _batches(images: Images, loader: dict[str, Any]) -> dict[str, Any]:
    before = loader.get("batch_sampler")
    # mmengine takes `_delete_` out only where there is something to delete.
    replaced = {"_delete_": True} if "batch_sampler" in loader else {}
    grouped = {"group_by_aspect_ratio": True} if "AspectRatio" in str((before or {}).get("type")) else {}
    return {
        **replaced,
        "type": "mmdist.LabeledUnlabeledBatchSampler",
        "labeled": Noted(loader["batch_size"], "labelled images in the batch of each process"),
        "unlabeled": Noted(images.per_batch, "and unlabelled ones"),
        **grouped,
    }


def _unlabeled(images: Images, out: Path, student: nn.Module) -> Any:
    path = beside(images.unlabeled or "", out)
    ignored = _ignored(student)
    return {"images": path, **ignored} if ignored else path


def _ignored(student: nn.Module) -> dict[str, int]:
    """The label that a segmenter's head ignores, where it is not the usual one."""
    ignored = ignored_label(student)
    return {} if ignored == IGNORED else {"ignore_index": ignored}


def _alone(dataset: dict[str, Any], place: str, images: Images, out: Path, student: nn.Module) -> dict[str, Any]:
    """Unlabelled images in the place of a dataset, inside the wrappers that repeat or mix them."""
    inner = dataset.get("dataset")
    if isinstance(inner, dict) and not str(dataset.get("type")).endswith(BALANCED):
        return {"dataset": _alone(inner, f"{place}.dataset", images, out, student)}
    leaf, leafs_place = _leaf(dataset, place)
    own = images.unlabeled is None
    named = {} if own or "metainfo" not in leaf else {"metainfo": Code(f"{leafs_place}.metainfo")}
    taken = Noted(Code(place), "the training images, without their labels")
    return {
        "_delete_": True,
        "type": "mmdist.UnlabeledDataset",
        "images": taken if own else Noted(beside(images.unlabeled or "", out), "a folder, or a list file"),
        "pipeline": Code(f"{leafs_place}.pipeline"),
        **named,
        **_ignored(student),
    }


def _leaf(dataset: dict[str, Any], place: str) -> tuple[dict[str, Any], str]:
    """The dataset inside of wrappers, whose pipeline it is; of several the first."""
    if isinstance(dataset.get("dataset"), dict):
        return _leaf(dataset["dataset"], f"{place}.dataset")
    parts = dataset.get("datasets")
    if isinstance(parts, list | tuple) and parts and isinstance(parts[0], dict):
        return _leaf(parts[0], f"{place}.datasets[0]")
    return dataset, place

"""Runs the trained models on some validation images: ``python -m mmdist.apis.comparison.predict SPEC.json OUT.npz``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.registry import DATASETS, MODELS, init_default_scope
from PIL import Image

import mmdist  # noqa: F401  (its fixes come before the task libraries)
from mmdist.apis.comparison.cells import TEACHER
from mmdist.apis.comparison.history import STUDENT
from mmdist.apis.comparison.predictions import Record, save
from mmdist.apis.comparison.stages import read_json
from mmdist.compat.checkpoint import load_checkpoint_file
from mmdist.models.builder import load_model_config

BATCH = 50
DISAGREEMENTS = 12


def load_model(cfg: Config, checkpoint: str) -> torch.nn.Module:
    """The model of a plain config, with the weights of a plain training or of a distiller's student."""
    model_cfg, outer = cfg.model, cfg.model.get("data_preprocessor")
    if model_cfg.get("architecture"):  # a distiller's student
        model_cfg = load_model_config(model_cfg.architecture, "model.architecture")
    preprocessor = outer or cfg.get("data_preprocessor")  # mmpretrain writes it beside the model
    if preprocessor:
        model_cfg.setdefault("data_preprocessor", preprocessor)
    model = MODELS.build(model_cfg)
    state = load_checkpoint_file(checkpoint)["state_dict"]
    student = {name.removeprefix(STUDENT): value for name, value in state.items() if name.startswith(STUDENT)}
    model.load_state_dict(student or state)
    return model.to(get_device()).eval()


def answers(model: torch.nn.Module, dataset: Any, indices: Iterable[int], read: Callable[[Any], Any]) -> list[Any]:
    """What a model predicts for some images of a data set, as ``read`` takes it from the data samples."""
    indices = list(indices)
    found = []
    with torch.no_grad():
        for start in range(0, len(indices), BATCH):
            batch = pseudo_collate([dataset[index] for index in indices[start : start + BATCH]])
            found += [read(sample) for sample in model.test_step(batch)]
    return found


def label_map(sample: Any) -> np.ndarray:
    return sample.pred_sem_seg.data.squeeze(0).cpu().numpy().astype(np.uint8)


def boxes(sample: Any) -> np.ndarray:
    found = sample.pred_instances.cpu()
    return torch.cat([found.bboxes, found.labels[:, None], found.scores[:, None]], dim=1).float().numpy()


def label(sample: Any) -> np.ndarray:
    return np.array(int(sample.pred_label))


READERS = {"seg": label_map, "det": boxes, "cls": label}


def truth(info: dict[str, Any], task: str) -> np.ndarray:
    """The annotation of an image, as predictions are written."""
    if task == "seg":
        return np.array(Image.open(info["seg_map_path"]))
    if task == "cls":
        return np.array(int(info["gt_label"]))
    objects = [entry for entry in info["instances"] if not entry.get("ignore_flag")]
    return np.array([[*entry["bbox"], entry["bbox_label"], 1.0] for entry in objects], np.float32).reshape(-1, 6)


def choose_images(labels: dict[str, list[Any]], total: int, count: int) -> list[int]:
    """Which images to show, evenly spaced; for a classifier among those that the students see differently."""
    images, students = list(range(total)), [found for name, found in labels.items() if name != TEACHER]
    differ = [index for index in images if len({int(found[index]) for found in students}) > 1]
    if differ:
        images, count = differ, DISAGREEMENTS
    return [images[round(place)] for place in np.linspace(0, len(images) - 1, min(count, len(images)))]


def predict(spec: dict[str, Any], out: Path) -> None:
    """Write the predictions.

    Args:
        spec (dict): ``task``; ``count`` of images; ``options`` to override in the configs; ``models``: config and
            checkpoint by name.
        out (Path): The file to write.
    """
    configs = {name: Config.fromfile(entry["config"]) for name, entry in spec["models"].items()}
    for cfg in configs.values():
        cfg.merge_from_dict(spec["options"])
    first = next(iter(configs.values()))
    init_default_scope(first.default_scope)
    dataset = DATASETS.build(first.val_dataloader.dataset)
    models = {name: load_model(configs[name], entry["checkpoint"]) for name, entry in spec["models"].items()}
    read, total = READERS[spec["task"]], len(dataset)
    every = range(total) if spec["task"] == "cls" else ()
    labels = {name: answers(model, dataset, every, read) for name, model in models.items() if every}
    chosen = choose_images(labels, total, spec["count"])
    found = {name: labels.get(name) or answers(model, dataset, chosen, read) for name, model in models.items()}
    records: list[Record] = []
    for position, index in enumerate(chosen):
        info = dataset.get_data_info(index)
        image = np.array(Image.open(info["img_path"]).convert("RGB"))
        place = index if every else position
        records.append({"image": image, "truth": truth(info, spec["task"]), **{m: found[m][place] for m in found}})
    meta = {"task": spec["task"], "images": total, "shown": chosen}
    save(out, {**meta, **{name: dataset.metainfo.get(name) for name in ("classes", "palette")}}, records)


if __name__ == "__main__":
    predict(read_json(Path(sys.argv[1])), Path(sys.argv[2]))

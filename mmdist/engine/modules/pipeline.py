"""The size of the images that a training pipeline makes, by value: it is run on random pictures."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope

from mmdist.datasets.labeled_unlabeled import labeled_part
from mmdist.models.algorithms.randomness import isolated_randomness

RAW = ((375, 500), (640, 427))  # height and width of pictures as photographs have them


def pipeline_size(cfg: Config) -> tuple[int, int] | None:
    """Height and width of a classifier's training images.

    Args:
        cfg (Config): With ``train_dataloader``.

    Returns:
        tuple[int, int] | None: None where the pipeline does not run on random pictures, or makes images of several
        sizes.
    """
    dataset: Any = labeled_part(cfg.get("train_dataloader") or {}).get("dataset")
    while isinstance(dataset, dict) and isinstance(dataset.get("dataset"), dict):
        dataset = dataset["dataset"]
    steps = dataset.get("pipeline") if isinstance(dataset, dict) else None
    if not isinstance(steps, list | tuple):
        return None
    kept = [step for step in steps if not (isinstance(step, dict) and "Load" in str(step.get("type")))]
    found = set()
    try:
        with DefaultScope.overwrite_default_scope(cfg.get("default_scope")), isolated_randomness():
            pipeline = Compose(copy.deepcopy(kept))
            for shape in RAW:
                picture = np.random.randint(0, 256, (*shape, 3), dtype=np.uint8)
                made = pipeline({"img": picture, "img_shape": shape, "ori_shape": shape, "gt_label": 0})
                found.add(tuple(made["inputs"].shape[-2:]))
    except Exception:  # whatever a transform raises that wants more than a picture
        return None
    return found.pop() if len(found) == 1 else None

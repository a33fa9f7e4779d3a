"""What a dry run needs: random pictures, the counters of a run, and no log."""

from __future__ import annotations

import logging
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub, MMLogger
from torch import nn

from mmdist.engine.modules.batch import random_batch
from mmdist.engine.modules.samples import ignored_label, without_labels
from mmdist.engine.new.images import PLAIN, Images
from mmdist.errors import ConfigError
from mmdist.models.algorithms.randomness import isolated_randomness

BATCH = 2  # batch norm in training needs two values
HUB = "mmdist_new"
ITERATIONS = 20
SEED = 0


def pictures(cfg: Config, model: nn.Module, size: tuple[int, int], images: Images = PLAIN) -> dict[str, Any]:
    """Random pictures for the model's data preprocessor.

    Args:
        cfg (Config): Of the student.
        model (nn.Module): The student.
        size (tuple[int, int]): Height and width.
        images (Images): Whether some, or all, have no labels. Defaults to labels for all.

    Returns:
        dict[str, Any]: As a dataloader gives it.
    """
    preprocessor = model.data_preprocessor
    if getattr(preprocessor, "size", None) is not None:
        preprocessor.size = size  # mmseg's would fill the pictures up to the training size
    elif hasattr(preprocessor, "size") and getattr(preprocessor, "size_divisor", None) is None:
        wanted = f"height and width of the crops of the training, such as {tuple(size)}, as mmseg asks for"
        raise ConfigError("model.data_preprocessor.size", None, wanted, "its own training fails without it too")
    labeled = BATCH if images.labels else 0
    batch = random_batch(cfg, model, labeled + (0 if images.are_plain else BATCH), size)
    for index, sample in enumerate(batch.get("data_samples", ())):
        if "gt_sem_seg" in sample:  # PIDNet's loss is also about edges
            sample.gt_edge_map = sample.gt_sem_seg.clone()
        if index >= labeled:
            without_labels(sample, ignored_label(model))
    return batch


@contextmanager
def dry_run() -> Iterator[None]:
    """Inside, a run of a few iterations seems to go on, and models and optimizers are silent about being built.

    Random numbers begin with a fixed seed, so that a check that passes once passes always; none is missed outside.
    """
    hub = MessageHub.get_instance(HUB)
    hub.update_info_dict({"iter": 0, "max_iters": ITERATIONS, "epoch": 0, "max_epochs": 100})
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), isolated_randomness():
            warnings.simplefilter("ignore")
            seed()
            yield
    finally:
        logger.setLevel(level)
        MessageHub._instance_dict.pop(HUB, None)


def seed() -> None:
    """Let random weights, and whatever a model draws, be the same every time."""
    random.seed(SEED)
    np.random.seed(SEED)
    torch.manual_seed(SEED)


def set_iteration(number: int) -> None:
    """Let the run seem to be in this iteration."""
    MessageHub.get_current_instance().update_info("iter", number)

"""The first image of each dataset, sent through a copy of its pipeline; no random number of the run is used up."""

from __future__ import annotations

import copy
from typing import Any

from mmengine.dataset import BaseDataset
from torch import nn
from torch.utils.data import DataLoader

from mmdist.datasets import UnlabeledDataset
from mmdist.engine.checks.datasets import leaves
from mmdist.engine.explain.building import WHOLE, said
from mmdist.engine.explain.frames import frames_of, is_libraries
from mmdist.engine.hooks import random_state
from mmdist.engine.lookup import LIBRARIES
from mmdist.errors import ConfigError, MMDistError


def check_samples(loader: DataLoader, model: nn.Module, key: str) -> None:
    """A dataloader has data, and its pipeline makes the first image what the model takes.

    Args:
        loader (DataLoader): Of one split.
        model (nn.Module): What it is for.
        key (str): The dataloader's path in the config.

    Raises:
        ConfigError: No image, no batch, or a transform that fails on the first image, with the transform's path.
    """
    dataset = getattr(loader, "dataset", None)
    try:
        count, batches = len(dataset), len(loader)  # type: ignore[arg-type]
    except TypeError:  # a stream
        return
    if not count:
        raise ConfigError(f"{key}.dataset", type(dataset).__name__, "images: it has none", _reads(dataset))
    if not batches:
        hint = f"the dataset has {count} images, and drop_last=True drops what does not fill a batch"
        raise ConfigError(f"{key}.batch_size", loader.batch_size, f"{count} at most", hint)
    state = random_state.capture()
    try:
        for leaf, place in leaves(dataset, f"{key}.dataset"):
            sample = first_sample(leaf, place)
            packed = leaf is not dataset or not isinstance(sample, dict) or "inputs" in sample
            preprocessor = type(getattr(model, "data_preprocessor", None))
            if not packed and preprocessor.__module__.startswith(LIBRARIES):  # these ask for `inputs`
                names = [type(transform).__name__ for transform in leaf.pipeline.transforms]
                raise ConfigError(
                    f"{place}.pipeline", names, "a transform at its end that packs `inputs`, Pack...Inputs"
                )
    finally:
        random_state.restore(state)


def first_sample(dataset: BaseDataset, key: str) -> Any:
    """The first image of a dataset after a copy of its pipeline; None where it cannot be told.

    Args:
        dataset (BaseDataset): It.
        key (str): Its path in the config.

    Raises:
        ConfigError: A transform that fails on it.
    """
    transforms = getattr(getattr(dataset, "pipeline", None), "transforms", None)
    known = type(dataset).prepare_data in (BaseDataset.prepare_data, UnlabeledDataset.prepare_data)
    if transforms is None or not known or not len(dataset):
        return None
    sample: Any = dataset.get_data_info(0)
    for index, transform in enumerate(transforms):
        try:
            sample = copy.deepcopy(transform)(sample)  # a copy: some keep earlier images
        except MMDistError:
            raise
        except Exception as error:
            if not is_libraries(frames_of(error)[-1]):
                return None  # the user's own: the run shows where
            text = f"fails on the first image: {said(error)}. {WHOLE}"
            raise ConfigError(f"{key}.pipeline.{index}", type(transform).__name__, hint=text) from error
        if sample is None and isinstance(dataset, UnlabeledDataset):
            text = "it gave None for an image without annotations, which is then not trained on"
            raise ConfigError(f"{key}.pipeline.{index}", type(transform).__name__, hint=text)
        if sample is None:
            return None
    return sample


def _reads(dataset: Any) -> str:
    found = [(name, getattr(dataset, name, None)) for name in ("ann_file", "data_root", "data_prefix")]
    return ", ".join(f"{name} = {value!r}" for name, value in found if value)

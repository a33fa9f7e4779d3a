"""The data that the models are compared on, and the batches that the gradients are taken of."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from mmengine.config import Config
from torch.utils.data import DataLoader

from mmdist.datasets.labeled_unlabeled import labeled_part
from mmdist.errors import MMDistError

# Of a training that goes on: here there is one process, and one pass.
LEFT_OUT = ("persistent_workers", "pin_memory", "prefetch_factor", "timeout", "num_batch_per_epoch")


def evaluation_loader(cfg: Config, split: str) -> DataLoader:
    """Every picture once, in the order of the data set, prepared as for validation.

    Args:
        cfg (Config): With ``val_dataloader``; for ``train`` with ``train_dataloader`` too.
        split (str): ``val`` or ``train``: whose pictures.

    Returns:
        DataLoader: Batches of the validation's size.
    """
    loader = {**deepcopy(cfg.val_dataloader), "sampler": {"type": "DefaultSampler", "shuffle": False}}
    loader.pop("batch_sampler", None)
    if split == "train":
        dataset = labeled_part(cfg.train_dataloader)["dataset"]
        loader["dataset"] = with_pipeline(deepcopy(dataset), pipeline_of(cfg.val_dataloader))
    return _build(loader)


def training_loader(cfg: Config) -> DataLoader:
    """The labelled training data, shuffled and augmented as in the training, in this process.

    Args:
        cfg (Config): With ``train_dataloader``.

    Returns:
        DataLoader: Of a fixed seed.
    """
    loader = labeled_part(cfg.train_dataloader)
    return _build({**{k: v for k, v in loader.items() if k not in LEFT_OUT}, "num_workers": 0})


def with_pipeline(dataset: Any, pipeline: list) -> Any:
    """A data set's config with another pipeline, wrappers around it kept where they only combine or repeat.

    Args:
        dataset (dict): Its config; changed.
        pipeline (list): The new one.

    Returns:
        dict: The config without wrappers that repeat or mix pictures.

    Example:
        >>> with_pipeline(dict(type='RepeatDataset', times=9, dataset=dict(type='A', pipeline=[1])), [2])
        {'type': 'A', 'pipeline': [2]}
    """
    if isinstance(dataset.get("dataset"), dict):
        return with_pipeline(dataset["dataset"], pipeline)
    if isinstance(dataset.get("datasets"), list | tuple):
        dataset["datasets"] = [with_pipeline(inner, pipeline) for inner in dataset["datasets"]]
        return dataset
    dataset["pipeline"] = deepcopy(pipeline)
    return dataset


def pipeline_of(loader: dict) -> list:
    """The pipeline of a dataloader's config, inside wrappers."""
    dataset = loader["dataset"]
    while True:
        if isinstance(dataset.get("dataset"), dict):
            dataset = dataset["dataset"]
        elif isinstance(dataset.get("datasets"), list | tuple):
            dataset = dataset["datasets"][0]
        else:
            return dataset.get("pipeline", [])


def class_names(dataset: Any) -> list[str] | None:
    """The names of a data set's classes; None where it says nothing."""
    names = (getattr(dataset, "metainfo", None) or {}).get("classes")
    return [str(name) for name in names] if names is not None else None


def needed_names(dataset: Any) -> list[str]:
    """The names of a data set's classes.

    Raises:
        MMDistError: It says nothing.
    """
    names = class_names(dataset)
    if names is None:
        raise MMDistError("the data set does not say which classes it has: give it metainfo=dict(classes=(...))")
    return names


def _build(loader: dict) -> DataLoader:
    from mmengine.runner import Runner

    return Runner.build_dataloader(loader, seed=0)

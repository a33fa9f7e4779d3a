"""``mmdist.LabeledUnlabeledDataset``."""

from __future__ import annotations

import copy
from typing import Any

from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS as ROOT_DATASETS
from torch.utils.data import Dataset

from mmdist.datasets.empty_annotations import without_annotations
from mmdist.datasets.unlabeled import KEY, UnlabeledDataset, mark_unlabeled
from mmdist.errors import ConfigError
from mmdist.registry import DATASETS


@DATASETS.register_module()
class LabeledUnlabeledDataset(Dataset):
    """Labelled images, then unlabelled ones; ``mmdist.LabeledUnlabeledBatchSampler`` draws from both.

    The unlabelled images go through the training pipeline of the labelled ones, also that of a wrapper which mixes
    images (Mosaic), unless their config has a pipeline of its own.

    Args:
        labeled (dict | Dataset): The task's own training dataset, or a wrapper such as ``RepeatDataset``,
            ``ClassBalancedDataset`` or ``ConcatDataset``.
        unlabeled (str | dict | Dataset): Images for :class:`~mmdist.datasets.UnlabeledDataset`: a folder, a list file,
            or its config.

    Raises:
        ConfigError: No labelled image, or an unlabelled dataset of another kind; see also ``UnlabeledDataset``.

    Example:
        >>> train_dataloader = dict(
        ...     batch_size=8,
        ...     sampler=dict(type='InfiniteSampler', shuffle=True),
        ...     batch_sampler=dict(type='mmdist.LabeledUnlabeledBatchSampler', labeled=8, unlabeled=24),
        ...     dataset=dict(
        ...         type='mmdist.LabeledUnlabeledDataset',
        ...         labeled=dict(type='CityscapesDataset', data_root='data/cityscapes', pipeline=[]),
        ...         unlabeled='data/more_streets'))
    """

    def __init__(self, labeled: dict | Dataset, unlabeled: str | dict | Dataset) -> None:
        config = labeled if isinstance(labeled, dict) else None
        self.labeled: Any = ROOT_DATASETS.build(copy.deepcopy(labeled)) if isinstance(labeled, dict) else labeled
        if hasattr(self.labeled, "full_init"):
            self.labeled.full_init()
        if not len(self.labeled):
            hint = "mmdist.UnlabeledDataset alone is a dataset too"
            raise ConfigError("train_dataloader.dataset.labeled", type(self.labeled).__name__, "labelled images", hint)
        if isinstance(unlabeled, str):
            unlabeled = dict(images=unlabeled)
        if isinstance(unlabeled, dict):
            unlabeled = self._build_unlabeled(unlabeled, config)
        self.unlabeled: Any = unlabeled
        if not isinstance(_innermost(unlabeled), UnlabeledDataset):
            raise ConfigError(f"{KEY}.type", type(unlabeled).__name__, ["mmdist.UnlabeledDataset"])

    @property
    def metainfo(self) -> dict:
        """dict: Of the labelled images."""
        return copy.deepcopy(getattr(self.labeled, "metainfo", {}))

    @property
    def datasets(self) -> list[Any]:
        """list: The labelled and the unlabelled dataset, as ``ConcatDataset`` has them."""
        return [self.labeled, self.unlabeled]

    @property
    def pipeline(self) -> Any:
        """Compose: Of the labelled images. Hooks that exchange it (mmdet, mmpretrain) exchange it for all images."""
        return self.labeled.pipeline

    @pipeline.setter
    def pipeline(self, pipeline: Any) -> None:
        for part in self.datasets:
            part.pipeline = pipeline

    def update_skip_type_keys(self, skip_type_keys: list[str] | None) -> None:
        """As of mmdet's ``MultiImageMixDataset``: the transforms that are left out from now on."""
        for part in self.datasets:
            part.update_skip_type_keys(skip_type_keys)

    def __getattr__(self, name: str) -> Any:
        """What it does not have is the labelled dataset's: hooks of the task libraries ask for it."""
        if name.startswith("__") or "labeled" not in vars(self):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.labeled, name)

    def full_init(self) -> None:
        """Both are initialised."""

    def __len__(self) -> int:
        return len(self.labeled) + len(self.unlabeled)

    def __getitem__(self, index: int) -> Any:
        part, index = self._place(index)
        sample = part[index]
        return sample if part is self.labeled else mark_unlabeled(sample, _innermost(part).ignore_index)

    def get_data_info(self, index: int) -> dict:
        """What is known of an image before the pipeline."""
        part, index = self._place(index)
        return part.get_data_info(index)

    def _place(self, index: int) -> tuple[Any, int]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} of a dataset of {len(self)} images")
        index %= len(self)
        count = len(self.labeled)
        return (self.labeled, index) if index < count else (self.unlabeled, index - count)

    def _build_unlabeled(self, cfg: dict, labeled: dict | None) -> Any:
        cfg = {"type": UnlabeledDataset, **copy.deepcopy(dict(cfg))}
        leaf = _innermost(self.labeled)
        own = "pipeline" in cfg
        if not own:
            cfg["pipeline"] = list(getattr(getattr(leaf, "pipeline", None), "transforms", ()))
        if isinstance(leaf, BaseDataset) and len(leaf):
            # A dummy in the form of this task's labels: one number, or a list of them.
            cfg.setdefault("label", leaf.get_data_info(0).get("gt_label", 0))
        return ROOT_DATASETS.build(cfg) if own else _in_mixers(cfg, labeled)


def labeled_part(loader: dict[str, Any]) -> dict[str, Any]:
    """The config of a training dataloader without its unlabelled images; another one as it is.

    Args:
        loader (dict): The config.

    Example:
        >>> labeled_part(dict(dataset=dict(labeled=dict(type='A'), unlabeled='b'), batch_size=2, batch_sampler=dict()))
        {'dataset': {'type': 'A'}, 'batch_size': 2}
    """
    dataset = loader.get("dataset")
    if not isinstance(dataset, dict) or not {"labeled", "unlabeled"} <= dataset.keys():
        return loader
    kept = {name: value for name, value in loader.items() if name != "batch_sampler"}
    size = (loader.get("batch_sampler") or {}).get("labeled")
    return {**kept, "dataset": dataset["labeled"], "batch_size": loader.get("batch_size") if size is None else size}


def _in_mixers(unlabeled: dict, labeled: dict | None) -> Any:
    """The unlabelled dataset, inside of the wrappers with a pipeline that are around the labelled one."""
    inner = labeled.get("dataset") if labeled is not None else None
    if not isinstance(inner, dict):
        parts = (labeled or {}).get("datasets")
        first = parts[0] if isinstance(parts, list | tuple) and parts else None
        return _in_mixers(unlabeled, first) if isinstance(first, dict) else ROOT_DATASETS.build(unlabeled)
    if "pipeline" not in labeled:
        return _in_mixers(unlabeled, inner)
    mixer = ROOT_DATASETS.build({**copy.deepcopy(dict(labeled)), "dataset": unlabeled})
    without_annotations(mixer.pipeline, "train_dataloader.dataset.labeled.pipeline", _innermost(mixer).ignore_index)
    return mixer


def _innermost(dataset: Any) -> Any:
    """The dataset inside of wrappers; of several the first."""
    while not isinstance(dataset, BaseDataset):
        parts = getattr(dataset, "datasets", None)
        inner = parts[0] if isinstance(parts, list | tuple) and parts else getattr(dataset, "dataset", None)
        if inner is None:
            break
        dataset = inner
    return dataset

"""Images without labels: the parts of a config that go together."""

from __future__ import annotations

from typing import Any

from mmengine.config import Config

from mmdist.engine.lookup import find_type
from mmdist.errors import ConfigError, MMDistError

BATCHES = "dict(type='mmdist.LabeledUnlabeledBatchSampler', unlabeled=...)"


def check_unlabeled(cfg: Config) -> None:
    """Unlabelled images come with the batch sampler that counts them, and with a model that knows them from labelled.

    Args:
        cfg (Config): The whole config.

    Raises:
        ConfigError: The dataset without its batch sampler, a model that would learn from empty annotations, no label
            and a loss of the student's own, or pseudo-labels without an image to label.
    """
    from mmdist.datasets import LabeledUnlabeledBatchSampler, LabeledUnlabeledDataset, UnlabeledDataset

    loader, scope, model = cfg.get("train_dataloader"), cfg.get("default_scope"), cfg.get("model")
    if not isinstance(loader, dict):
        return
    mixer, inner = _inside(loader.get("dataset"))
    dataset = _kind(inner, scope, "dataset")
    if dataset not in (LabeledUnlabeledDataset, UnlabeledDataset):
        if isinstance(model, dict) and model.get("pseudo_labels") is not None:
            images = "dict(type='mmdist.LabeledUnlabeledDataset', labeled=..., unlabeled=...)"
            hint = "model.pseudo_labels labels images that have no labels"
            raise ConfigError("train_dataloader.dataset", getattr(dataset, "__name__", dataset), images, hint)
        return
    if dataset is LabeledUnlabeledDataset:
        batches = loader.get("batch_sampler")
        if _kind(batches, scope, "data sampler") is not LabeledUnlabeledBatchSampler:
            raise ConfigError("train_dataloader.batch_sampler", batches, BATCHES)
    if isinstance(model, dict) and "distiller" not in model and "teacher" not in model:
        hint = "this model would learn that nothing is in the unlabelled images"
        raise ConfigError("model.type", model.get("type"), ["mmdist.SingleTeacherDistill"], hint)
    if isinstance(model, dict) and model.get("teacher_trainable"):
        raise ConfigError("model.teacher_trainable", True, "False beside unlabelled images")
    if dataset is UnlabeledDataset and isinstance(model, dict):
        _check_alone(model, mixer)


def _check_alone(model: dict, mixer: Any) -> None:
    """No image has labels: there is no task loss, and what a mixer has packed does not say that it has none."""
    if model.get("pseudo_labels") is not None and mixer is not None:
        hint = "pseudo-labels without labels need the images as they are"
        raise ConfigError("train_dataloader.dataset.type", mixer, ["mmdist.UnlabeledDataset"], hint)
    if model.get("calculate_student_loss", True):
        hint = "mmdist.LabeledUnlabeledDataset has labelled images too"
        raise ConfigError("model.calculate_student_loss", True, "False: no image has labels", hint)


def _inside(dataset: Any) -> tuple[Any, Any]:
    """The type of a wrapper that mixes images, if there is one, and the dataset inside of all wrappers."""
    mixer = None
    while isinstance(dataset, dict) and isinstance(dataset.get("dataset"), dict):
        mixer = dataset.get("type") if "pipeline" in dataset else mixer
        dataset = dataset["dataset"]
    return mixer, dataset


def _kind(cfg: Any, scope: str | None, registry: str) -> Any:
    """The class of a part; None where there is none, or it cannot be known."""
    if not isinstance(cfg, dict):
        return None
    try:
        return find_type(cfg.get("type"), cfg.get("_scope_", scope), "type", registry)
    except MMDistError:  # which the check of the dataloader answers
        return None

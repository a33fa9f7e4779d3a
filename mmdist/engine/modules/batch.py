"""One batch to run a model on: a real one where the data is there, random pictures otherwise."""

from __future__ import annotations

import re
import traceback
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.runner import Runner
from torch import nn

from mmdist.datasets.labeled_unlabeled import labeled_part
from mmdist.engine.modules import samples
from mmdist.engine.modules.pipeline import pipeline_size
from mmdist.engine.preflight.data import check_data
from mmdist.errors import MMDistError
from mmdist.models.input_channels import input_channels

LIBRARIES = ("mmdet", "mmseg", "mmpretrain")
SIZES = {"mmdet": (320, 320), "mmseg": (512, 512), "mmpretrain": (224, 224)}
# What models say of images that are too small, or not of their size
TOO_SMALL = re.compile(
    r"(input|image|output) size|img_size|size of tensor|Sizes of|divisible|than 1 value per channel", re.I
)
CROPS = ("RandomCrop", "CenterCrop", "RandomResizedCrop")


def library_of(model: nn.Module) -> str | None:
    """The task library that a model's class, or one that it inherits from, belongs to.

    Example:
        >>> library_of(nn.Linear(1, 1)) is None
        True
    """
    packages = [base.__module__.partition(".")[0] for base in type(model).__mro__]
    return next((package for package in packages if package in LIBRARIES), None)


def size_advice(error: Exception) -> str:
    """What to try where a model does not run on a batch; nothing where another size would not help.

    Example:
        >>> size_advice(RuntimeError('Output size is too small')), size_advice(KeyError('a'))
        ('; try another --input-size', '')
    """
    return "; try another --input-size" if TOO_SMALL.search(str(error)) else ""


def real_batch(cfg: Config, batch_size: int) -> dict[str, Any]:
    """One batch of the training data.

    Args:
        cfg (Config): With ``train_dataloader``.
        batch_size (int): Pictures in it.

    Returns:
        dict[str, Any]: As the dataloader gives it, for the model's data preprocessor.

    Raises:
        MMDistError: The data is not there, or the dataloader fails.
    """
    loader = cfg.get("train_dataloader")
    if not isinstance(loader, dict):
        raise MMDistError("the config has no train_dataloader")
    check_data(cfg, ("train",))
    left_out = ("persistent_workers", "pin_memory", "prefetch_factor", "timeout", "num_batch_per_epoch")
    kept = {name: value for name, value in labeled_part(loader).items() if name not in left_out}
    try:
        return next(iter(Runner.build_dataloader({**kept, "batch_size": batch_size, "num_workers": 0}, seed=0)))
    except StopIteration as error:
        raise MMDistError(f"the training data has not one batch of {batch_size}") from error
    except Exception as error:  # whatever a dataset raises: random pictures serve too
        raise MMDistError(f"the train dataloader gives no batch: {first_line(error)}") from error


def random_batch(cfg: Config, model: nn.Module, batch_size: int, size: tuple[int, int] | None) -> dict[str, Any]:
    """Random pictures with data samples of the model's task library, the same in every call.

    Class 0 everywhere; detectors get boxes of several sizes, masks, and a map of what is no object.

    Args:
        cfg (Config): Where the size is looked for.
        model (nn.Module): Of mmdet, mmseg or mmpretrain; another gets pictures alone.
        batch_size (int): Pictures in the batch.
        size (tuple[int, int], optional): Height and width in pixels; see :func:`image_size`.

    Returns:
        dict[str, Any]: For the model's data preprocessor.
    """
    library = library_of(model)
    height, width = size or image_size(cfg, model)
    generator = torch.Generator().manual_seed(0)
    shape = (input_channels(model), height, width)
    images = [torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator) for _ in range(batch_size)]
    make = {"mmdet": samples.detection, "mmseg": samples.segmentation, "mmpretrain": samples.classification}
    if library not in make:
        return {"inputs": images}
    return {"inputs": images, "data_samples": make[library](model, batch_size, (height, width))}


def image_size(cfg: Config, model: nn.Module) -> tuple[int, int]:
    """Height and width that the config trains on, as far as it tells, else those usual for the task.

    Args:
        cfg (Config): The whole config.
        model (nn.Module): The built student, or plain model.

    Returns:
        tuple[int, int]: In pixels.
    """
    return training_size(cfg, model) or SIZES.get(library_of(model) or "", (224, 224))


def training_size(cfg: Config, model: nn.Module) -> tuple[int, int] | None:
    """Height and width that the config trains on: of the data preprocessor, of what a classifier's pipeline makes, of a
    crop.

    Args:
        cfg (Config): The whole config.
        model (nn.Module): The built student, or plain model.

    Returns:
        tuple[int, int] | None: In pixels; None where the config does not tell.
    """
    library = library_of(model)
    found: Any = getattr(model.data_preprocessor, "size", None) if library == "mmseg" else None
    found = pipeline_size(cfg) if library == "mmpretrain" else found
    loader = cfg.get("train_dataloader")
    dataset = labeled_part(loader).get("dataset") if isinstance(loader, dict) else None
    while isinstance(dataset, dict) and isinstance(dataset.get("dataset"), dict):
        dataset = dataset["dataset"]
    steps = dataset.get("pipeline") if isinstance(dataset, dict) and library != "mmdet" else None
    for step in steps or ():
        if found is None and isinstance(step, dict) and str(step.get("type")).rpartition(".")[2] in CROPS:
            found = step.get("crop_size", step.get("scale"))
    if isinstance(found, int):
        return found, found
    if isinstance(found, list | tuple) and len(found) == 2:
        return int(found[0]), int(found[1])
    return None


def first_line(error: BaseException) -> str:
    """An exception as one line, its type before; of one that says nothing the line of code that raised it.

    Example:
        >>> first_line(ValueError("one\\ntwo"))
        'ValueError: one'
    """
    said = str(error).strip().partition("\n")[0]
    frames = traceback.extract_tb(error.__traceback__)
    if not said and frames:
        said = f"{frames[-1].line} ({Path(frames[-1].filename).name}:{frames[-1].lineno})"
    return f"{type(error).__name__}: {said}"

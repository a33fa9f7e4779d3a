"""Batches of labelled and unlabelled images: cut in two before they are prepared, and how far an image reaches."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from mmdist.errors import ConfigError, MMDistError, one_line
from mmdist.models.algorithms.randomness import isolated_randomness

PART = "unlabeled"  # what the algorithm's `forward` calls the second part
DATA = ("inputs", "data_samples")


def is_unlabeled(sample: Any) -> bool:
    """Whether a data sample says ``labeled=False`` in its metainfo, as those of ``mmdist.UnlabeledDataset`` do."""
    return getattr(sample, "labeled", True) is False


class SplitForward:
    """Takes the place of a data preprocessor's ``forward``: labelled and unlabelled images become two batches.

    So what the labelled images are padded to, and mixed with, is what it would be without the others. The second
    batch is prepared with the same random numbers, so that both are resized alike; none is missed afterwards. It is
    the entry ``unlabeled`` of what is returned. A batch of one kind, and one that is not for training, is prepared as
    ever.

    Args:
        module (nn.Module): The data preprocessor.

    Example:
        >>> from mmengine.model import BaseDataPreprocessor
        >>> preprocessor = BaseDataPreprocessor()
        >>> preprocessor.forward = SplitForward(preprocessor)
        >>> preprocessor(dict(inputs=[torch.zeros(1)]), True)
        {'inputs': [tensor([0.])]}
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def __call__(self, data: Any, training: bool = False, **kwargs: Any) -> Any:
        """As the data preprocessor's own."""
        samples = data.get("data_samples") if isinstance(data, dict) else None
        unlabeled = list(map(is_unlabeled, samples)) if training and isinstance(samples, list | tuple) else []
        if not any(unlabeled) or all(unlabeled):
            return self._own(data, training, **kwargs)
        labeled, rest = _divided(data, unlabeled)
        with isolated_randomness():
            # A copy: some batch augmentations keep the size that they have drawn.
            others = copy.deepcopy(self.module)(rest, training, **kwargs)
        output = self._own(labeled, training, **kwargs)
        if not isinstance(output, dict):
            name = type(self.module).__name__
            raise ConfigError("model.data_preprocessor", name, "one that returns the dict of a batch")
        return {**output, PART: {name: others[name] for name in DATA}}

    def _own(self, *args: Any, **kwargs: Any) -> Any:
        return type(self.module).forward(self.module, *args, **kwargs)


def split(inputs: Tensor, samples: Sequence[Any] | None) -> tuple[Tensor, Sequence[Any] | None, dict[str, Any] | None]:
    """A batch that was prepared as one, such as by a data preprocessor that took the place of the algorithm's.

    Args:
        inputs (Tensor): (N, C, H, W).
        samples (Sequence, optional): Their data samples.

    Returns:
        tuple: The labelled images and their data samples; and the others, as :class:`SplitForward` hands them on, or
        None. A batch of one kind stays as it is.
    """
    unlabeled = [is_unlabeled(sample) for sample in samples or ()]
    if not any(unlabeled) or all(unlabeled):
        return inputs, samples, None
    labeled, rest = _divided(dict(inputs=inputs, data_samples=samples), unlabeled)
    return labeled["inputs"], labeled["data_samples"], rest


def _divided(data: dict[str, Any], unlabeled: list[bool]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The labelled images of a batch, and the others."""
    kinds = ([index for index, kind in enumerate(unlabeled) if kind is which] for which in (False, True))
    labeled, rest = (_chosen(data, indices) for indices in kinds)
    return labeled, rest


def _chosen(data: dict[str, Any], indices: list[int]) -> dict[str, Any]:
    """Some images of a batch as the dataloader gives it."""
    count = len(data["data_samples"])

    def chosen(value: Any) -> Any:
        if isinstance(value, Tensor) and value.ndim and len(value) == count:
            return value[indices]
        if isinstance(value, list | tuple) and len(value) == count:
            return [value[index] for index in indices]
        return value

    return {name: chosen(value) for name, value in data.items()}


@contextmanager
def named_failure(
    model: nn.Module,
    key: str = "model.architecture",
    wanted: str = "a model whose loss takes images without annotations",
) -> Iterator[None]:
    """Inside, a model that fails is named.

    Args:
        model (nn.Module): The student, by default.
        key (str): Where it stands in the config.
        wanted (str): What is expected of it.

    Raises:
        ConfigError: The model, and what it said.
    """
    try:
        yield
    except (MMDistError, torch.cuda.OutOfMemoryError):
        raise
    except Exception as error:
        raise ConfigError(key, type(model).__name__, wanted, one_line(error)) from error


def content(inputs: Tensor, samples: Sequence[Any]) -> Tensor:
    """Which pixels of a batch are of the images, and not of a border that fills them up.

    Args:
        inputs (Tensor): (N, C, H, W).
        samples (Sequence): Their data samples: ``img_shape``, and ``content`` where the pipeline has filled up or
            turned an image. Without both all pixels are.

    Returns:
        Tensor: (N, H, W) bool.
    """
    height, width = inputs.shape[-2:]
    inside = torch.ones(len(inputs), height, width, dtype=torch.bool, device=inputs.device)
    for pixels, sample in zip(inside, samples, strict=True):
        shape = getattr(sample, "img_shape", None)
        if shape is not None:
            pixels[shape[0] :] = False
            pixels[:, shape[1] :] = False
        known = getattr(sample, "content", None)
        if known is not None:
            rows, columns = min(height, known.shape[-2]), min(width, known.shape[-1])
            pixels[:rows, :columns] &= known[..., :rows, :columns].reshape(rows, columns).to(inputs.device)
    return inside

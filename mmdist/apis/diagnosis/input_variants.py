"""The teacher's images in another channel order or normalisation: where it sees better, its config is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any, NamedTuple

import torch
from mmengine.model import BaseModel
from torch import Tensor

from mmdist.engine.predicting import Preprocess, teachers_preprocessor

REVERSED = "channels reversed"
STUDENTS = "the student's normalisation"
# Those of nearly all published weights, in the channel order of the config.
USUAL = {
    "ImageNet's normalisation": ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375]),
    "pixels from 0 to 1": ([0.0] * 3, [255.0] * 3),
    "pixels from -1 to 1": ([127.5] * 3, [127.5] * 3),
    "pixels from 0 to 255": ([0.0] * 3, [1.0] * 3),
}


class Variant(NamedTuple):
    """Another way to prepare images.

    Args:
        name (str): For people.
        preprocess (Preprocess): Like a data preprocessor.
    """

    name: str
    preprocess: Preprocess


def cheap_variants(algorithm: BaseModel) -> list[Variant]:
    """What is tried with every teacher.

    Args:
        algorithm (BaseModel): With a ``teacher``.

    Returns:
        list[Variant]: Reversed channels; and the student's normalisation, where the teacher's own is another.
    """
    from mmdist.models.algorithms.normalisation import translation

    own = teachers_preprocessor(algorithm)
    variants = [Variant(REVERSED, with_channels_reversed(own))]
    differs = translation(algorithm.data_preprocessor, getattr(algorithm.teacher, "data_preprocessor", None))
    if differs is not None and algorithm.teacher_input_size is None and differs.scales:
        variants.append(Variant(STUDENTS, algorithm.data_preprocessor))
    return variants


def other_normalisations(algorithm: BaseModel) -> list[Variant]:
    """What is tried with a teacher that knows nothing as it is.

    Args:
        algorithm (BaseModel): With a ``teacher``.

    Returns:
        list[Variant]: None where the teacher has no mean and standard deviation of its own, or no three channels.
    """
    from mmdist.models.algorithms.normalisation import reverses_channels

    own = getattr(algorithm.teacher, "data_preprocessor", None)
    if not getattr(own, "_enable_normalize", False) or own.mean.numel() != 3 or algorithm.teacher_input_size:
        return []
    found = []
    for name, (mean, std) in USUAL.items():
        values = (mean, std) if reverses_channels(own) else (mean[::-1], std[::-1])
        changed = deepcopy(own)
        for buffer, value in zip((changed.mean, changed.std), values, strict=True):
            buffer.copy_(torch.tensor(value).view_as(buffer))
        if not (torch.allclose(changed.mean, own.mean) and torch.allclose(changed.std, own.std)):
            found.append(Variant(name, changed))
    return found


def with_channels_reversed(preprocess: Preprocess) -> Preprocess:
    """Turn the channels around before a data preprocessor gets the images.

    Args:
        preprocess (Preprocess): A data preprocessor.

    Returns:
        Preprocess: As if its ``bgr_to_rgb`` were the other way round.
    """

    def prepare(batch: Any, training: bool) -> Any:
        return preprocess({**batch, "inputs": _reversed(batch["inputs"])}, training)

    return prepare


def _reversed(inputs: Tensor | Sequence[Tensor]) -> Any:
    if isinstance(inputs, Tensor):
        return inputs.flip(-3) if inputs.shape[-3] == 3 else inputs
    return [_reversed(image) for image in inputs]

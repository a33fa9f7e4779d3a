"""The algorithm's options that cannot be, alone or together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.model import BaseModel
from torch.nn.parameter import is_lazy

from mmdist.errors import ConfigError, one_line
from mmdist.models.algorithms.input_size import is_classifier, own_size, why_not
from mmdist.models.connectors.resize import as_size
from mmdist.models.input_channels import input_channels

PREPROCESSOR = "data_preprocessor"
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def check_dtype(name: str | None) -> None:
    """The teacher's dtype is one that it can be cast to.

    Raises:
        ConfigError: It is not.
    """
    if name is not None and name not in DTYPES:
        raise ConfigError("model.teacher_dtype", name, list(DTYPES))


def check_input_size(size: int | Sequence[int] | None, teacher: BaseModel) -> tuple[int, int] | None:
    """The teacher's own input size is one that it takes, and it says something of the image as a whole.

    Args:
        size (int | Sequence[int], optional): In pixels, one number for both sides; None: that of the student.
        teacher (BaseModel): Run once on an empty picture of this size.

    Returns:
        tuple[int, int] | None: Height and width.

    Raises:
        ConfigError: It does not; names the size that it takes.
    """
    if size is None:
        return None
    key = "model.teacher_input_size"
    pair = as_size(size, key)
    if not is_classifier(teacher):
        hint = f"what {type(teacher).__name__} says of places in an image would be of other places than the student's"
        raise ConfigError(key, size, "None, except for a classifier", hint)
    weight = next(teacher.parameters())
    error = why_not(teacher, weight.new_zeros(1, input_channels(teacher), *pair))
    if error is not None:
        takes = own_size(teacher, pair)
        wanted = f"{list(takes)}, which the teacher takes" if takes else "a size that the teacher takes"
        raise ConfigError(key, size, wanted, one_line(error))
    return pair


def refuse_beside_training(options: Mapping[str, Any]) -> None:
    """Options that have no effect on a teacher that trains as a whole: it runs as in MMRazor.

    Args:
        options (Mapping[str, Any]): As the user gave them, by name.

    Raises:
        ConfigError: One is given.
    """
    for name, value in options.items():
        if value:
            shown = value if isinstance(value, str | bool | list | tuple) else type(value).__name__
            hint = "teacher_trainable=True runs the teacher as MMRazor does, where this has no effect"
            raise ConfigError(f"model.{name}", shown, "nothing beside teacher_trainable=True", hint)


def refuse_shared(student: BaseModel, teacher: BaseModel, *, trained: bool) -> None:
    """The teacher is a model of its own: what both have would be frozen, or would change under the teacher.

    Their data preprocessor alone may be one.

    Args:
        student (BaseModel): The student.
        teacher (BaseModel): The teacher.
        trained (bool): Whether the teacher trains as a whole, so that parts of the two may be shared.

    Raises:
        ConfigError: The two are one object, or share a module or the memory of a weight; names the first.
    """
    if student is teacher:
        hint = "the student would not train: build it twice, or give a copy.deepcopy of it"
        raise ConfigError("model.teacher", type(teacher).__name__, "another object than model.architecture", hint)
    if trained:
        return
    shared = _parts(student).keys() & _parts(teacher).keys()
    name = next((name for part, name in _parts(teacher).items() if part in shared), None)
    if name is not None:
        hint = "the student's would be frozen with it, or change it: give the teacher a copy.deepcopy"
        raise ConfigError(f"model.teacher.{name}", type(teacher).__name__, "nothing that model.architecture has", hint)


def _parts(model: BaseModel) -> dict[tuple[str, int], str]:
    """Names of a model's modules and weights by what they are: an object, or a place in memory."""
    found: dict[tuple[str, int], str] = {}
    for name, module in model.named_modules():
        if name and not name.startswith(PREPROCESSOR):
            found.setdefault(("module", id(module)), name)
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if name.startswith(PREPROCESSOR) or is_lazy(tensor) or tensor.layout != torch.strided or tensor.is_meta:
            continue  # no memory yet, or none of one kind
        place = tensor.untyped_storage().data_ptr()
        if place and tensor.numel():
            found.setdefault(("memory", place), name)
    return found

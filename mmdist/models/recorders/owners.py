"""Which model a recorded tensor comes from: a connector is handed the tensor alone."""

from __future__ import annotations

import weakref
from typing import Any

from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

# Neither the tensors nor the models are kept alive by it.
_OWNERS = WeakTensorKeyDictionary()


def set_owner(record: Any, model: nn.Module | None) -> None:
    """Remember the model of all tensors of a record."""
    if model is not None:
        owner = weakref.ref(model)
        for tensor in tensors(record):
            _OWNERS[tensor] = owner


def owner_of(record: Any) -> nn.Module | None:
    """The model that a record was recorded in by ``mmdist.Module`` or ``mmdist.Method``, or None.

    Example:
        >>> import torch
        >>> from mmdist.models.recorders import ModuleRecorder
        >>> recorder, model = ModuleRecorder('0'), nn.Sequential(nn.Linear(2, 3))
        >>> recorder.initialize(model)
        >>> with recorder:
        ...     y = model(torch.zeros(1, 2))
        >>> owner_of(recorder.get_record_data()) is model
        True
    """
    owners = (_OWNERS.get(tensor) for tensor in tensors(record))
    return next((owner() for owner in owners if owner is not None), None)


def tensors(record: Any) -> list[Tensor]:
    """All tensors of a record.

    Example:
        >>> import torch
        >>> len(tensors((torch.zeros(1), [torch.zeros(2), None])))
        2
    """
    if isinstance(record, Tensor):
        return [record]
    parts = record.values() if isinstance(record, dict) else record if isinstance(record, list | tuple) else ()
    return [tensor for part in parts for tensor in tensors(part)]

"""What a pass writes into a model beside its output: put back, where the pass is not to be seen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase


@contextmanager
def kept_buffers(model: nn.Module, *, update_norms: bool) -> Iterator[None]:
    """Inside, norm layers in training mode compute as ever; afterwards the model's buffers are as they were.

    Args:
        model (nn.Module): The student.
        update_norms (bool): Let the pass move the running statistics of norm layers that train.

    Example:
        >>> norm = nn.BatchNorm1d(2)
        >>> with kept_buffers(norm, update_norms=False):
        ...     y = norm(torch.rand(4, 2))
        >>> norm.running_mean.tolist(), int(norm.num_batches_tracked)
        ([0.0, 0.0], 0)
    """
    norms = [m for m in model.modules() if isinstance(m, _NormBase) and m.training and m.track_running_stats]
    kept = []
    for module in set(model.modules()).difference(norms):
        for name, buffer in module.named_buffers(recurse=False):
            kept.append((module, name, buffer, buffer._version, buffer.detach().clone()))
    if not update_norms:  # a norm that tracks nothing uses the statistics of the batch all the same
        for norm in norms:
            norm.track_running_stats = False
    try:
        yield
    finally:
        if not update_norms:
            for norm in norms:
                norm.track_running_stats = True
        with torch.no_grad():
            for module, name, buffer, version, value in kept:
                if module._buffers.get(name) is not buffer:
                    module._buffers[name] = buffer
                if buffer._version != version:
                    buffer.copy_(value)

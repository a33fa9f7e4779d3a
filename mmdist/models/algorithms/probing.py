"""One pass on an empty picture, when the model is built: what is recorded, and does it stay as it was recorded?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.model import BaseModel
from mmrazor.models.task_modules import RecorderManager
from torch import Tensor, nn

from mmdist.compat.inplace import disable_inplace
from mmdist.models.algorithms.passes import forward_features
from mmdist.models.algorithms.records import silent
from mmdist.models.algorithms.watch import noted_versions, watchable

SIDE = 64  # pixels of the picture, where the model does not say


def keep_records(model: BaseModel, recorders: RecorderManager) -> None:
    """Switch in-place modules off, unless a pass shows that they leave every record as it was.

    An activation in place overwrites what was recorded just before it. Where none does, it may stay: it saves a pass
    over the map.

    Args:
        model (BaseModel): The student or the teacher.
        recorders (RecorderManager): Prepared for it.
    """
    if not watchable(recorders):
        disable_inplace(model)
        return
    try:
        noted = probe(model, recorders)
        intact = not silent(recorders) and all(tensor._version == version for tensor, version in noted)
    except Exception:  # a model that an empty picture is not enough for: then nothing is known
        intact = False
    if not intact:
        disable_inplace(model)
    for recorder in recorders.recorders.values():
        recorder.reset_data_buffer()


@torch.no_grad()
def probe(model: BaseModel, recorders: RecorderManager) -> list[tuple[Tensor, int]]:
    """Record one pass on an empty picture, in evaluation mode; nothing of the model changes.

    Args:
        model (BaseModel): The student or the teacher.
        recorders (RecorderManager): Prepared for it, all watchable.

    Returns:
        list[tuple[Tensor, int]]: The recorded tensors and the versions that they were recorded in.
    """
    sources = [recorder.source for recorder in recorders.recorders.values()]
    parameter = next(model.parameters())
    size = getattr(getattr(model, "backbone", None), "img_size", None) or SIDE
    height, width = (size, size) if isinstance(size, int) else size
    with _evaluation(model), recorders, noted_versions(recorders) as noted:
        forward_features(model, parameter.new_zeros(1, 3, height, width), None, sources)
    return noted


@contextmanager
def _evaluation(model: nn.Module) -> Iterator[None]:
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training

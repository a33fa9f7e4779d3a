"""Passes on one small picture when the model is built: what is recorded, does it stay, and what can be fused?"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import torch
from mmengine.model import BaseModel
from mmrazor.models.task_modules import RecorderManager
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from mmdist.compat.inplace import disable_inplace
from mmdist.errors import ConfigError
from mmdist.models.algorithms.fusing import FusedNorms
from mmdist.models.algorithms.input_size import declared_size
from mmdist.models.algorithms.modes import as_in_training, evaluating
from mmdist.models.algorithms.passes import ROI_HEAD, forward_features
from mmdist.models.algorithms.randomness import isolated_randomness
from mmdist.models.algorithms.records import silent
from mmdist.models.algorithms.watch import noted_versions, watchable
from mmdist.models.input_channels import input_channels
from mmdist.models.recorders.owners import tensors

SIDE = 64  # pixels of the picture, where the model does not say


def keep_records(
    model: BaseModel,
    recorders: RecorderManager,
    look: Callable[[bool], None] | None = None,
    size: tuple[int, int] | None = None,
) -> None:
    """Switch in-place modules off, unless a pass shows that they leave every record as it was.

    An activation in place overwrites what was recorded just before it. Where none does, it may stay: it saves a pass
    over the map.

    Args:
        model (BaseModel): The student or the teacher.
        recorders (RecorderManager): Prepared for it.
        look (Callable, optional): Called when the records of the pass are there, before they are let go, with whether
            the pass came to its end.
        size (tuple[int, int], optional): Height and width of the picture; None: those that the model says, or small.

    Raises:
        ConfigError: Of ``look``.
    """
    if not watchable(recorders):
        disable_inplace(model)
        return
    complete = False
    try:
        noted = probe(model, recorders, size)
        complete = True
        intact = not silent(recorders) and all(tensor._version == version for tensor, version in noted)
    except Exception:  # a model that an empty picture is not enough for: then nothing is known
        intact = False
    if not intact:
        disable_inplace(model)
    if look is not None:
        try:
            look(complete)
        except ConfigError:  # KNet's head, for one, returns more in training
            with suppress(Exception):
                complete = False
                probe(model, recorders, size, heads_train=True)
                complete = True
            look(complete)
    for recorder in recorders.recorders.values():
        recorder.reset_data_buffer()


@torch.no_grad()
def find_fusible(norms: FusedNorms, recorders: RecorderManager, size: tuple[int, int] | None = None) -> None:
    """Find the batch norms that the convolutions before them can compute; none where it cannot be tried out.

    Args:
        norms (FusedNorms): Of the teacher.
        recorders (RecorderManager): The teacher's, prepared for it.
        size (tuple[int, int], optional): Height and width of the picture; None: those that the model says, or small.
    """
    model = norms.model
    sources = [recorder.source for recorder in recorders.recorders.values()]
    if not watchable(recorders) or not any(isinstance(module, _BatchNorm) for module in model.modules()):
        return
    picture = torch.rand_like(_picture(model, size).expand(2, -1, -1, -1))  # two, as in a batch, whose order matters

    def features() -> Any:
        if not hasattr(model, ROI_HEAD):  # whose box head gets maps in the usual order; others were not tried out
            norms.unpack()
        return model.extract_feat(picture)

    def run(forward: Callable[[], Any]) -> list[Tensor]:
        with recorders, isolated_randomness(0):  # a model that draws draws the same in every pass
            answer = forward()
        return tensors([answer, *(recorder.data_buffer for recorder in recorders.recorders.values())])

    # The second is what remains where heads need more than a picture.
    for forward in (lambda: forward_features(model, picture, None, sources), features):
        try:
            norms.search(partial(run, forward), sources)
            break
        except Exception:
            continue
    for recorder in recorders.recorders.values():
        recorder.reset_data_buffer()


def _picture(model: BaseModel, size: tuple[int, int] | None = None) -> Tensor:
    height, width = size or declared_size(model) or (SIDE, SIDE)
    return next(model.parameters()).new_zeros(1, input_channels(model), height, width)


@torch.no_grad()
def probe(
    model: BaseModel, recorders: RecorderManager, size: tuple[int, int] | None = None, heads_train: bool = False
) -> list[tuple[Tensor, int]]:
    """Record one pass on an empty picture, in evaluation mode; nothing of the model changes.

    Args:
        model (BaseModel): The student or the teacher.
        recorders (RecorderManager): Prepared for it, all watchable.
        size (tuple[int, int], optional): Height and width of the picture; None: those that the model says, or small.
        heads_train (bool): Whether backbone and heads take their way of training; norms and dropout never do.

    Returns:
        list[tuple[Tensor, int]]: The recorded tensors and the versions that they were recorded in.
    """
    sources = [recorder.source for recorder in recorders.recorders.values()]
    with as_in_training(model) if heads_train else evaluating(model), recorders, noted_versions(recorders) as noted:
        forward_features(model, _picture(model, size), None, sources)
    return noted

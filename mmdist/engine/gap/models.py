"""Teacher and student with their weights, and what they predict."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from torch import Tensor

from mmdist import compat
from mmdist.engine.export.student import check_fit
from mmdist.engine.export.weights import STUDENT, WRAPPER, pick_student
from mmdist.engine.predicting import predict, teachers_preprocessor


@dataclass
class Models:
    """A distillation algorithm after its training.

    Args:
        algorithm (BaseModel): ``mmdist.SingleTeacherDistill``, with weights, on the device that computes.
        notices (list[str]): What of it could not be restored.
        meta (Mapping[str, Any]): What the checkpoint says about itself.
    """

    algorithm: Any
    notices: list[str] = field(default_factory=list)
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sides(self) -> tuple[BaseModel, BaseModel]:
        """Teacher and student."""
        return self.algorithm.teacher, self.algorithm.student


def build(cfg: Config, content: dict[str, Any], path: str) -> Models:
    """Build the algorithm and give it the weights of a checkpoint.

    Args:
        cfg (Config): See :func:`mmdist.engine.gap.checks.prepare`.
        content (dict[str, Any]): The checkpoint: of the run, or of its student alone.
        path (str): The checkpoint, for messages.

    Returns:
        Models: In evaluation mode.

    Raises:
        MMDistError: A model that cannot be built, or weights that are not its own.
    """
    compat.apply()
    from mmengine.runner import load_state_dict

    from mmdist.engine.runner import explained
    from mmdist.models.teacher_weights import check_whole_teacher

    if cfg.get("data_preprocessor") is not None:  # as the runner does
        cfg.model.setdefault("data_preprocessor", cfg.data_preprocessor)
    with explained(cfg):
        algorithm = MODELS.build(cfg.model)
    check_whole_teacher(algorithm)
    state = _unwrapped(content.get("state_dict", content))
    whole = any(str(name).startswith(STUDENT) for name in state)
    named = content if whole else {"state_dict": {f"{STUDENT}{name}": value for name, value in state.items()}}
    student = pick_student(named, path).plain()
    check_fit(algorithm.student, student, path, "model.architecture")
    load_state_dict(algorithm.student, student, strict=True, logger="silent")
    for module in algorithm.student.modules():  # these weights are not initialised again
        if hasattr(module, "_is_init"):
            module._is_init = True
    with quietly():
        algorithm.init_weights()  # connectors, and a teacher whose config names pretrained weights
    others = {name: value for name, value in state.items() if whole and not str(name).startswith(STUDENT)}
    notices = _load_others(algorithm, others)
    if algorithm._teacher.without_weights:
        notices.append("the teacher's weights are random, as the config asks for")
    meta = content.get("meta")
    return Models(algorithm.to(get_device()).eval(), notices, meta if isinstance(meta, Mapping) else {})


def predictions(models: Models, loader: Any, limit: int | None = None) -> Iterator[tuple[Sequence, Sequence]]:
    """What teacher and student predict, batch by batch, each with its own data preprocessor.

    Args:
        models (Models): See :func:`build`.
        loader (DataLoader): The data.
        limit (int, optional): Batches; None: all.

    Yields:
        tuple[Sequence, Sequence]: The data samples of the teacher, and the student's.
    """
    models.algorithm.eval()
    teacher, student = models.sides
    theirs, own = teachers_preprocessor(models.algorithm), models.algorithm.data_preprocessor
    for batch in islice(loader, limit):
        # Predictions are written into the data samples: each model gets its own.
        yield predict(teacher, theirs, deepcopy(batch)), predict(student, own, batch)


@contextmanager
def quietly() -> Iterator[None]:
    """Inside, mmengine lists no weights; warnings it gives all the same."""
    logger = MMLogger.get_current_instance()
    levels = [(part, part.level) for part in (logger, *logger.handlers)]
    for part, level in levels:
        part.setLevel(max(level, logging.WARNING))
    try:
        yield
    finally:
        for part, level in levels:
            part.setLevel(level)


def _unwrapped(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    names = {}
    for name, value in state.items():
        plain = str(name)
        while plain.startswith(WRAPPER):
            plain = plain.removeprefix(WRAPPER)
        names[plain] = value
    return names


def _load_others(algorithm: BaseModel, state: Mapping[str, Tensor]) -> list[str]:
    """Connectors, acclimated modules, a teacher that trained; what is missing of them is told."""
    from mmengine.runner import load_state_dict

    own = {name: value for name, value in algorithm.state_dict().items() if not name.startswith(STUDENT)}
    fitting = {name: value for name, value in state.items() if name in own and value.shape == own[name].shape}
    if fitting:
        load_state_dict(algorithm, fitting, strict=False, logger="silent")
    missing = {name.partition(".")[0] for name in own if name not in fitting} - {"data_preprocessor"}
    notices = []
    if "distiller" in missing:
        notices.append(
            "the checkpoint has not the connectors' weights: gradients of losses that use them are those of "
            "connectors at their random start"
        )
    if missing & {"acclimated", "teacher"}:
        notices.append("the checkpoint has not what the teacher learnt: it is as it was before the distillation")
    return notices

"""The student, as its plain training would build it."""

from __future__ import annotations

from mmengine.model import BaseModel
from torch import nn

from mmdist.models.builder import ModelSource, build_model, load_model_config


def build_student(architecture: ModelSource, data_preprocessor: dict | nn.Module | None) -> BaseModel:
    """Build the student with the data preprocessor that its plain training would use.

    The runner hands the config's top-level ``data_preprocessor`` to whatever it builds. A plain model takes it only if
    its own config has none, and may complete it: mmpretrain's has no ``type``.

    Args:
        architecture (str | dict | BaseModel): See :class:`SingleTeacherDistill`.
        data_preprocessor (dict | nn.Module, optional): What the runner handed down.

    Returns:
        BaseModel: The student.
    """
    key = "model.architecture"
    if isinstance(architecture, str):
        architecture = load_model_config(architecture, key)
    if isinstance(architecture, dict) and "type" in architecture and data_preprocessor is not None:
        architecture = {"data_preprocessor": data_preprocessor, **architecture}
    return build_model(architecture, key)

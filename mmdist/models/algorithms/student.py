"""The student, as its plain training would build it."""

from __future__ import annotations

from typing import Any

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


class StudentAttributes:
    """Of an algorithm: what it does not have is the student's, to read and to write, for the task libraries' hooks."""

    def __getattr__(self, name: str) -> Any:
        """What the algorithm does not have is the student's: hooks of the task libraries ask for it."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            student = self.__dict__.get("_modules", {}).get("architecture")
            if student is None or name.startswith("__"):
                raise
            return getattr(student, name)

    def __setattr__(self, name: str, value: Any) -> None:
        """What the algorithm does not have, and the student has, is set where it is read: hooks write it too."""
        built = "_checked" in self.__dict__
        if built and not self._owns(name) and hasattr(self.architecture, name):
            setattr(self.architecture, name, value)
        else:
            super().__setattr__(name, value)

    def _owns(self, name: str) -> bool:
        parts = (self.__dict__, self._modules, self._parameters, self._buffers)
        return hasattr(type(self), name) or any(name in part for part in parts)

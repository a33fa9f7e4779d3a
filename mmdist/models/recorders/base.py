"""What the recorders of one instance share."""

from __future__ import annotations

import copy
import inspect
from abc import abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import Any

from mmrazor.models.task_modules.recorder.base_recorder import BaseRecorder
from torch import nn

from mmdist.errors import ConfigError, MMDistError
from mmdist.models.recorders.owners import set_owner

WHAT = ("outputs", "inputs")


class InstanceRecorder(BaseRecorder):
    """Records in one model while it is entered, and leaves no trace in the model otherwise.

    It has the methods of MMRazor's recorders and can take their place wherever those are driven.

    Args:
        source (str): What is recorded, as seen from the model.
        what (str): ``outputs`` or ``inputs`` of each call. Inputs are one tuple a call: positional arguments first,
            then those given by name, in the order of the signature.

    Raises:
        ConfigError: ``source`` is no text, or ``what`` something else.
    """

    type_name = ""  # as it stands in a config

    def __init__(self, source: str, what: str = "outputs") -> None:
        if not isinstance(source, str) or not source:
            raise ConfigError("source", source, "a name, such as 'backbone.layer1'")
        if what not in WHAT:
            raise ConfigError("what", what, WHAT)
        super().__init__(source)
        self.what = what
        self._model: nn.Module | None = None
        self._memo: dict | None = None  # of the deepcopy that this recorder is from, until the model is looked up
        self._recording = False

    @property
    def model(self) -> nn.Module | None:
        """nn.Module: What is recorded; of a copied recorder the model's copy, or the model if it was not copied."""
        if self._memo is not None:
            self._model, self._memo = self._memo.get(id(self._model), self._model), None
        return self._model

    @property
    def recording(self) -> bool:
        """bool: Whether the model is being recorded now."""
        return self._recording

    def prepare_from_model(self, model: nn.Module | None = None) -> None:
        """Remember the model and check that the source is in it.

        Args:
            model (nn.Module): The student or the teacher.

        Raises:
            ConfigError: It is not; the message has the nearest names.
        """
        if not isinstance(model, nn.Module):
            raise ConfigError("model", type(model).__name__, f"an nn.Module for {self} to record")
        self._disconnect()
        self._recording = False
        self._check(model)
        self._model, self._memo = model, None

    def get_record_data(self, record_idx: int = 0, data_idx: int | str | None = None) -> Any:
        """What was recorded.

        Args:
            record_idx (int): Which call, from 0; negative ones count from the last.
            data_idx (int | str, optional): Which part of that call's tuple, list or dict. Defaults to all of it.

        Returns:
            Any: As the model has it, not copied.

        Raises:
            ConfigError: There was no such call, or it has no such part.
            MMDistError: There was no call at all.
        """
        count = len(self._data_buffer)
        if not count:
            raise MMDistError(f"recorder {self} did not fire in this iteration: {self.why_silent()}")
        if not -count <= record_idx < count:
            allowed = "0" if count == 1 else f"0 to {count - 1}"
            times = "once" if count == 1 else f"{count} times"
            raise ConfigError("record_idx", record_idx, allowed, f"recorder {self} fired {times} in this iteration")
        record = self._data_buffer[record_idx]
        return record if data_idx is None else self._part(record, data_idx)

    def _part(self, record: Any, index: int | str) -> Any:
        if isinstance(record, dict):
            if index not in record:
                raise ConfigError("data_idx", index, [str(name) for name in record], f"recorder {self}")
            return record[index]
        if not isinstance(record, list | tuple):
            got = f"one {type(record).__name__} a call, not several parts"
            raise ConfigError("data_idx", index, "None", f"recorder {self} has {got}")
        if not isinstance(index, int) or not -len(record) <= index < len(record):
            allowed = f"0 to {len(record) - 1}" if record else "None"
            raise ConfigError("data_idx", index, allowed, f"recorder {self} has {len(record)} part(s) a call")
        return record[index]

    def __enter__(self) -> InstanceRecorder:
        if not self._initialized or self.model is None:
            raise MMDistError(f"recorder {self} has no model yet: call initialize(model) before")
        self._disconnect()  # left over where another recorder could not be entered
        self.reset_data_buffer()
        self._connect(self.model)
        self._recording = True
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._recording = False
        self._disconnect()

    def _record(self, function: Callable[..., Any], args: tuple, kwargs: dict[str, Any], outputs: Any) -> None:
        record = outputs if self.what == "outputs" else in_order(function, args, kwargs)
        set_owner(record, self.model)
        self._data_buffer.append(record)

    @abstractmethod
    def _check(self, model: nn.Module) -> None:
        """Raise ConfigError where the source is not in the model."""

    @abstractmethod
    def _connect(self, model: nn.Module) -> None:
        """Begin to hear the calls."""

    @abstractmethod
    def _disconnect(self) -> None:
        """Stop, if it has begun."""

    @abstractmethod
    def why_silent(self) -> str:
        """What to do about a recorder that heard nothing."""

    def __repr__(self) -> str:
        return f"{self.type_name} (source {self.source!r})"

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles come without records: tensors inside a graph can be neither copied nor pickled."""
        return {**vars(self), "_model": self.model, "_memo": None, "_data_buffer": [], "_recording": False}

    def __deepcopy__(self, memo: dict) -> InstanceRecorder:
        """A copy that follows the model: an algorithm's copy may share the teacher, and copy the student later."""
        copied = memo[id(self)] = type(self).__new__(type(self))
        state = self.__getstate__()
        model = state.pop("_model")
        vars(copied).update(copy.deepcopy(state, memo))
        copied._model, copied._memo = model, memo
        return copied


def in_order(function: Callable[..., Any], args: tuple, kwargs: dict[str, Any]) -> tuple:
    """The arguments of a call: positional ones, then those given by name in the order of the signature.

    Example:
        >>> in_order(lambda a, b=0, c=0: None, (1,), dict(c=3, b=2))
        (1, 2, 3)
    """
    if not kwargs:
        return args
    try:
        known = [name for name in inspect.signature(function).parameters if name in kwargs]
    except (TypeError, ValueError):  # built-ins have no signature
        known = []
    return (*args, *(kwargs[name] for name in dict.fromkeys([*known, *kwargs])))


def silent_hints(source: str) -> str:
    """What to do about a source in a part of the model that did not run."""
    if "auxiliary_head" in source:
        return "the auxiliary head does not run in mode='tensor'; "
    return ""

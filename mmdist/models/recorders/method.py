"""``mmdist.Method``."""

from __future__ import annotations

from typing import Any

from torch import nn

from mmdist.models.recorders.base import InstanceRecorder, silent_hints
from mmdist.models.recorders.sources import find_method
from mmdist.models.recorders.tap import Tap
from mmdist.registry import TASK_UTILS


@TASK_UTILS.register_module()
class MethodRecorder(InstanceRecorder):
    """Records what a method of one instance returns, or is given: one record a call.

    In a config it is ``dict(type='mmdist.Method', source='decode_head.forward')``. It hears calls that fire no hook,
    such as mmseg's of its heads, and no other instance of the class: MMRazor's ``MethodOutputs`` patches the class,
    which teacher, student and every other head may share.

    Args:
        source (str): Name of a submodule, a dot, and the method; a method alone is the model's own.
        what (str): ``outputs`` or ``inputs`` (without ``self``). Defaults to outputs.

    Raises:
        ConfigError: ``what`` is something else; and, when the model is known, a source that is not in it.

    Example:
        >>> import torch
        >>> recorder = MethodRecorder('0.forward')
        >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
        >>> recorder.initialize(model)
        >>> with recorder:
        ...     y = model[0].forward(torch.zeros(1, 2))
        >>> recorder.get_record_data().shape
        torch.Size([1, 3])
    """

    type_name = "mmdist.Method"

    def __init__(self, source: str, what: str = "outputs") -> None:
        super().__init__(source, what)
        self._tap: Tap | None = None

    def _check(self, model: nn.Module) -> None:
        find_method(model, self.source)

    def _connect(self, model: nn.Module) -> None:
        self._tap = Tap.open(*find_method(model, self.source), self._listen)

    def _disconnect(self) -> None:
        if self._tap is not None:
            self._tap.close(self._listen)
            self._tap = None

    def _listen(self, args: tuple, kwargs: dict[str, Any], outputs: Any) -> None:
        self._record(self._tap, args, kwargs, outputs)

    def why_silent(self) -> str:
        return (
            f"{silent_hints(self.source)}nobody called this method of this instance; "
            "tools/analysis_tools/list_modules.py shows which modules run, and their mode decides which methods"
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_tap": None}

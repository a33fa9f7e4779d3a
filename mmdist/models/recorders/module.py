"""``mmdist.Module``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from mmdist.models.recorders.base import InstanceRecorder, silent_hints
from mmdist.models.recorders.sources import children, find_module
from mmdist.registry import TASK_UTILS


class _Hook:
    """Hands a module's calls to a recorder. In a copy of the model, made meanwhile, it does nothing."""

    def __init__(self, record: Callable[..., None] | None) -> None:
        self.record = record

    @torch.compiler.disable
    def __call__(self, module: nn.Module, args: tuple, kwargs: dict[str, Any], outputs: Any) -> None:
        if self.record is not None:
            self.record(module.forward, args, kwargs, outputs)

    def __getstate__(self) -> dict[str, Any]:
        return {"record": None}


@TASK_UTILS.register_module()
class ModuleRecorder(InstanceRecorder):
    """Records what a submodule of one model returns, or is given: one record a call.

    In a config it is ``dict(type='mmdist.Module', source=...)``. Its forward hook is there only while it records. The
    submodule is looked up each time, so one that was exchanged after the model was built (SyncBN for BN) is recorded.

    Args:
        source (str): Name of the submodule, as in ``model.named_modules()``.
        what (str): ``outputs`` or ``inputs``. Defaults to outputs.

    Raises:
        ConfigError: ``what`` is something else; and, when the model is known, a source that is not in it.

    Example:
        >>> import torch
        >>> recorder = ModuleRecorder('0')
        >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
        >>> recorder.initialize(model)
        >>> with recorder:
        ...     y = model(torch.zeros(1, 2))
        >>> recorder.get_record_data().shape
        torch.Size([1, 3])
    """

    type_name = "mmdist.Module"

    def __init__(self, source: str, what: str = "outputs") -> None:
        super().__init__(source, what)
        self._handle: RemovableHandle | None = None

    def _check(self, model: nn.Module) -> None:
        find_module(model, self.source)

    def _connect(self, model: nn.Module) -> None:
        self._handle = find_module(model, self.source).register_forward_hook(_Hook(self._record), with_kwargs=True)

    def _disconnect(self) -> None:
        if self._handle is not None:
            self._handle.remove()
            self._handle = None

    def why_silent(self) -> str:
        module = find_module(self.model, self.source) if self.model is not None else None
        inside = ""
        if isinstance(module, nn.Sequential) and len(module):
            names = ", ".join(map(repr, children(module, self.source)[:12]))
            inside = f"its children may be called one by one: record one of {names}; "
        return (
            f"{silent_hints(self.source)}{inside}if its forward is called directly, as mmseg calls its heads, use "
            f"type='mmdist.Method', source={self.source + '.forward'!r}; tools/analysis_tools/list_modules.py shows "
            "which modules run"
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_handle": None}

"""MMRazor's quantisation, which kills ``import mmrazor.models``.

Reason: ``mmrazor.structures.quantization.backend_config`` builds tables, at
import, out of names that torch 2.0 took out of ``torch.ao.quantization``.
Distillation needs none of it. A stub takes the place of that one module before
MMRazor is imported; whoever uses it is told that quantisation is off.

Window: torch >= 2.0 with mmrazor <= 1.0.0 (its last release).
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, NoReturn

from mmdist.compat import versions
from mmdist.errors import MMDistError

NUMBER = 1
NAME = "MMRazor's quantisation"
REASON = "import mmrazor.models fails: 'torch>=1.13 is not installed properly'"
WINDOW = "mmrazor, torch >= 2.0"
WHEN = "import mmdist"

_MODULE = "mmrazor.structures.quantization.backend_config"
_FUNCTIONS = tuple(
    f"get_{backend}_backend_config{suffix}"
    for backend in ("academic", "native", "openvino", "tensorrt")
    for suffix in ("", "_dict")
)


def _refuse(*_args: Any, **_kwargs: Any) -> NoReturn:
    raise MMDistError(
        "MMRazor's quantisation is off, because torch >= 2.0 lacks the names it is built on; "
        "everything else of MMRazor works. Quantisation needs torch 1.13 and a process without mmdist"
    )


class _Refusing:
    """Stands for an object of the replaced module: importing it is fine, using it is not."""

    __getitem__ = __getattr__ = __iter__ = __len__ = __contains__ = __call__ = _refuse


def needed() -> bool:
    """Whether the installed MMRazor fails beside the installed torch."""
    return versions.at_least(versions.installed("torch"), "2.0") and versions.installed("mmrazor") is not None


def active() -> bool:
    """Whether the stub is in place."""
    return isinstance(getattr(sys.modules.get(_MODULE), "BackendConfigs", None), _Refusing)


def apply() -> None:
    """Put the stub in place, unless the module was imported already."""
    if _MODULE in sys.modules:
        return
    stub = ModuleType(_MODULE, "Replaced by mmdist: quantisation is off.")
    stub.__spec__ = ModuleSpec(_MODULE, loader=None)
    # MMRazor star-imports the module, so every name has to be there.
    stub.__dict__.update({name: _Refusing() for name in ("BackendConfigs", *_FUNCTIONS)})
    stub.__dict__["__all__"] = ["BackendConfigs", *_FUNCTIONS]
    sys.modules[_MODULE] = stub

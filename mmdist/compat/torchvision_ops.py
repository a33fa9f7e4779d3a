"""A torchvision whose C++ library cannot be loaded beside this torch.

Reason: torchvision from the package index is built for a CUDA torch. Beside a
CPU build its ``_C`` library does not load, which torchvision forgives, but then
it registers shape functions for operators that only that library declares, and
dies: "operator torchvision::nms does not exist". Declaring the two schemas lets
the import pass. The operators themselves stay absent, and torchvision says so
when one is called; models, transforms and weights work.

Window: torchvision >= 0.19, built for another torch.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from pathlib import Path
from typing import Any

NUMBER = 3
NAME = "torchvision's operators"
REASON = "import torchvision fails: 'operator torchvision::nms does not exist'"
WINDOW = "torchvision >= 0.19 built for another torch"
WHEN = "import mmdist"

_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_OPERATORS = ("nms", "qnms")

# The operators vanish with the object that declared them.
_library: Any = None


def needed() -> bool:
    """Whether torchvision is installed and its C++ library does not load beside this torch."""
    return _c_library_fails()


@lru_cache(maxsize=1)
def _c_library_fails() -> bool:
    if find_spec("torch") is None:
        return False
    loaded = sys.modules.get("torchvision")
    spec = loaded.__spec__ if loaded is not None else find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        return False
    folder = Path(next(iter(spec.submodule_search_locations)))
    path = next((folder / f"_C{suffix}" for suffix in EXTENSION_SUFFIXES if (folder / f"_C{suffix}").is_file()), None)
    if path is None:
        return True
    import torch

    try:
        # What torchvision does first of all; where it succeeds, torchvision finds the library loaded.
        torch.ops.load_library(str(path))
    except OSError:
        return True
    return False


def active() -> bool:
    """Whether the schemas were declared here."""
    return _library is not None


def apply() -> None:
    """Declare the schemas that are missing, unless torchvision is imported already."""
    global _library
    if _library is not None or "torchvision" in sys.modules:
        return
    import torch

    missing = [name for name in _OPERATORS if not hasattr(torch.ops.torchvision, name)]
    if not missing:
        return
    _library = torch.library.Library("torchvision", "FRAGMENT")
    for name in missing:
        _library.define(name + _SIGNATURE)

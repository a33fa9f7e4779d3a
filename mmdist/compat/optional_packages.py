"""An optional package that is installed but broken takes the task libraries along.

Reason: mmdet, mmseg and MMRazor try some packages at import and go on without
them after an ImportError. A package that was built for another numpy or torch
raises a ValueError, an AttributeError or a RuntimeError instead, and training
anything at all ends there. For these packages every error of the import becomes
an ImportError that names it; what needs the package then says that it is missing.

Window: every version.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from mmdist.compat._import_hook import around_import
from mmdist.errors import UnusablePackageError, one_line

NUMBER = 13
NAME = "a broken optional package"
REASON = "the imports of mmdet and mmseg survive an ImportError of an optional package, and no other error"
WINDOW = "an optional package of mmdet's, mmseg's or mmrazor's"
WHEN = "when one does not import"

# What the libraries import within "try ... except ImportError".
PACKAGES = (
    *("albumentations", "cityscapesscripts", "d_cube", "detectron2", "dsdl", "imagecorruptions", "jsonlines", "lap"),
    *("ldm", "lvis", "motmetrics", "nltk", "onnx", "osgeo", "panopticapi", "pycocoevalcap", "skimage", "sklearn"),
    *("timm", "trackeval", "transformers"),
)

# What was wrong with those that turned out to be broken in this process.
_broken: dict[str, str] = {}


def needed() -> bool:
    """Whether one of the packages is installed: whether it is broken shows when it is imported."""
    return any(_is_there(name) for name in PACKAGES)


def _is_there(name: str) -> bool:
    # A module that was made by hand and has no spec makes find_spec raise.
    try:
        return find_spec(name) is not None
    except ValueError:
        return True


def active() -> bool:
    """Whether one of the packages turned out to be broken in this process."""
    return bool(_broken)


def note() -> str:
    """What a user should know: the broken packages; empty: there are none."""
    return "; ".join(_broken.values())


def apply() -> None:
    """Watch the import of the packages."""
    for name in PACKAGES:
        around_import(name, _import)


def _import(name: str, run: Callable[[], None]) -> None:
    try:
        run()
    except ImportError:
        raise
    except Exception as error:
        raise _unusable(name, error) from error
    module = sys.modules.get(name)
    if isinstance(module, ModuleType) and hasattr(type(module), "__getattr__"):
        # transformers imports its parts when they are asked for; transformers 4 then raises a RuntimeError.
        module.__class__ = _lazy(type(module))


def _lazy(kind: Any) -> type[ModuleType]:
    class Lazy(kind):
        def __getattr__(self, name: str) -> Any:
            try:
                return super().__getattr__(name)
            except (ImportError, AttributeError):
                raise
            except Exception as error:
                raise _unusable(self.__name__, error) from error

        def __reduce__(self) -> Any:
            return kind, super().__reduce__()[1]

    Lazy.__name__, Lazy.__qualname__, Lazy.__module__ = kind.__name__, kind.__qualname__, kind.__module__
    return Lazy


def _unusable(name: str, error: Exception) -> UnusablePackageError:
    _broken[name] = f"{name} is installed, but broken: {one_line(error)}"
    return UnusablePackageError(_broken[name])

"""Code around the import of somebody else's module, for fixes that must wait for it and must not cause it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

Around = Callable[[str, Callable[[], None]], None]


class _Loader(Loader):
    """Runs ``around`` in place of the module's code, then is gone: the module keeps its own loader."""

    def __init__(self, loader: Any, around: Around) -> None:
        self._loader, self._around = loader, around

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._around(module.__name__, lambda: self._loader.exec_module(module))


class _Finder(MetaPathFinder):
    def __init__(self) -> None:
        self.around: dict[str, Around] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        around = self.around.get(fullname)
        if around is None:
            return None
        others = (finder for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec"))
        spec = next((spec for finder in others if (spec := finder.find_spec(fullname, path, target))), None)
        if spec is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = _Loader(spec.loader, around)
        return spec


_finder = _Finder()


def around_import(name: str, around: Around) -> None:
    """Have ``around`` called when a module is imported, in place of the module's code.

    Args:
        name (str): The module's full name.
        around (Callable): Takes the module's name and a function that runs the module's code.
    """
    _finder.around[name] = around
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)

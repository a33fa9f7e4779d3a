"""MMPretrain's multimodal models beside a ``transformers`` that lacks what they import.

Reason: MMPretrain switches its multimodal part on by the versions in the
metadata (pycocotools, transformers >= 4.28), and then imports names that a newer
transformers no longer has. ``mmpretrain.models`` dies: "NoneType takes no
arguments", and mmdet's and mmseg's models with it, since they expect an
ImportError at most. Whether the names are there is tried, in MMPretrain's own
words, just before ``mmpretrain.models`` is imported. Where they are not, the part
is off, as it is without transformers, and whoever builds one of its models or datasets
is told why.

Window: mmpretrain 1.x. All names are in transformers 4.36.2; 4.57.6 and 5.24.0 lack some.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

from mmdist.compat import versions
from mmdist.compat._import_hook import around_import
from mmdist.errors import UnusablePackageError, one_line

NUMBER = 12
NAME = "MMPretrain's multimodal models"
REASON = "import mmpretrain.models fails: 'NoneType takes no arguments', and mmdet's and mmseg's models with it"
WINDOW = "mmpretrain, pycocotools, a transformers that lacks names"
WHEN = "import mmpretrain.models"

_TRIED = "transformers==4.36.2"
_DEPENDENCY = "mmpretrain.utils.dependency"
_USERS = ("mmpretrain.models", "mmpretrain.datasets")

# Why the part is off; empty: it works; None: not tried in this process.
_reason: str | None = None


def needed() -> bool:
    """Whether MMPretrain would switch the part on, and it was not found to work."""
    if versions.installed("mmpretrain", "onedl-mmpretrain") is None or versions.installed("pycocotools") is None:
        return False
    return _reason != "" and versions.at_least(versions.installed("transformers"), "4.28")


def active() -> bool:
    """Whether the part was switched off here."""
    return bool(_reason)


def note() -> str:
    """What a user should know: why the part is off, and how to get it; empty: it is not off."""
    if not _reason:
        return ""
    remedy = "--force-reinstall --no-cache-dir pycocotools" if _reason.startswith("pycocotools") else _TRIED
    version = versions.installed("transformers")
    return (
        f"mmpretrain's multimodal models are off beside transformers {version}: {_reason}. "
        f"Everything else of mmpretrain works; to use them: pip install {remedy}"
    )


def apply() -> None:
    """Decide when ``mmpretrain.models`` is imported; afterwards it is too late."""
    for name in _USERS:
        around_import(name, _decide)
    around_import("mmpretrain.models.multimodal", _try)


def _decide(name: str, run: Callable[[], None]) -> None:
    if getattr(importlib.import_module(_DEPENDENCY), "WITH_MULTIMODAL", False):
        _switch(missing(_imports()))
    run()
    if _reason and name == "mmpretrain.datasets":
        _hold_datasets()


def _try(_name: str, run: Callable[[], None]) -> None:
    try:
        run()
    # The names are all there, and still it fails: now its placeholders are what is imported.
    except Exception as error:
        if not getattr(importlib.import_module(_DEPENDENCY), "WITH_MULTIMODAL", False):
            raise
        _switch(one_line(error))
        run()


def _switch(reason: str) -> None:
    """Take note of why the part does not work, and switch it off; empty: it works."""
    global _reason
    _reason = reason
    if reason:
        dependency: Any = importlib.import_module(_DEPENDENCY)
        dependency.WITH_MULTIMODAL = False
        dependency.register_multimodal_placeholder = _register_placeholders


def missing(names: Iterator[tuple[str, str]]) -> str:
    """What is wrong with the first name that cannot be imported; empty: all can.

    Args:
        names (Iterator[tuple[str, str]]): Modules, and names in them.

    Example:
        >>> missing(iter([("os", "path"), ("os", "way")]))
        'os has no way'
    """
    for module, name in names:
        try:
            found = __import__(module, fromlist=[name])
        # Whatever it is would take mmpretrain.models along.
        except Exception as error:
            return f"{module} cannot be imported: {one_line(error)}"
        try:
            getattr(found, name)
        except AttributeError:
            return f"{module} has no {name}"
        except Exception as error:
            return f"{module}.{name} cannot be imported: {one_line(error)}"
    return ""


def _imports() -> Iterator[tuple[str, str]]:
    """The names that the multimodal part imports from other packages, as the installed MMPretrain has them."""
    yield "pycocotools.coco", "COCO"
    spec = find_spec("mmpretrain")
    for folder in spec.submodule_search_locations or () if spec else ():
        models = Path(folder) / "models"
        shared = (models / "utils" / f"{name}.py" for name in ("huggingface", "tokenizer"))
        for path in (*filter(Path.is_file, shared), *sorted((models / "multimodal").rglob("*.py"))):
            yield from imported_names(path.read_text(encoding="utf-8"), "transformers")


def imported_names(source: str, package: str) -> Iterator[tuple[str, str]]:
    """The names that a module takes from a package when it is imported itself.

    Args:
        source (str): The module's text.
        package (str): The package.

    Example:
        >>> text = "try:\\n  from a.b import c\\nexcept ImportError:\\n  c = None\\ndef f():\\n  from a import d"
        >>> list(imported_names(text, "a"))
        [('a.b', 'c')]
    """
    # What a function imports, it imports when it is called.
    statements: list[ast.AST] = list(ast.parse(source).body)
    while statements:
        node = statements.pop(0)
        if isinstance(node, ast.ImportFrom) and not node.level and str(node.module).split(".")[0] == package:
            yield from ((str(node.module), alias.name) for alias in node.names)
        elif isinstance(node, ast.If | ast.Try | ast.With):
            statements.extend(ast.iter_child_nodes(node))


def _hold_datasets() -> None:
    """Hold the places of the part's datasets too: MMPretrain does so for its models alone."""
    registry = importlib.import_module("mmpretrain.registry").DATASETS
    path = importlib.import_module("mmpretrain.datasets").__file__
    names = guarded_names(Path(path).read_text(encoding="utf-8"), "WITH_MULTIMODAL") if path else ()
    _register_placeholders([name for name in names if name not in registry.module_dict], registry)


def guarded_names(source: str, switch: str) -> Iterator[str]:
    """The names that a module imports only where a switch is on.

    Args:
        source (str): The module's text.
        switch (str): The variable that is asked.

    Example:
        >>> list(guarded_names("from .a import A\\nif ON:\\n  from .b import B, C", "ON"))
        ['B', 'C']
    """
    for node in ast.parse(source).body:
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == switch:
            for statement in node.body:
                if isinstance(statement, ast.ImportFrom):
                    yield from (alias.name for alias in statement.names)


def _register_placeholders(names: list[str], registry: Any) -> None:
    for name in names:
        # Some may be registered already, when the part failed half way.
        registry.register_module(name=name, module=_placeholder(name), force=True)


def _placeholder(name: str) -> Callable[..., NoReturn]:
    def refuse(*_args: Any, **_kwargs: Any) -> NoReturn:
        raise UnusablePackageError(f"{name} cannot be built: {note()}")

    return refuse

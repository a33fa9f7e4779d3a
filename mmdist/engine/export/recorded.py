"""The config that a checkpoint carries, read as data.

mmengine writes the text of its config into every checkpoint. It is Python, and a checkpoint can come from a stranger:
here nothing of it is run, and nothing is built from it but registered classes of OpenMMLab's packages.
"""

from __future__ import annotations

import ast
import math
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NoReturn

from mmengine.config import ConfigDict
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import Registry
from mmengine.utils import get_object_from_string
from torch import nn

from mmdist.engine.lookup import REGISTRIES, missing_package, require_package
from mmdist.errors import CheckpointError

PACKAGES = {*MODULE2PACKAGE, "mmcv", "mmdist", "mmengine"}
WANTED = ("model", "default_scope", "data_preprocessor", "custom_imports")
# An address, a path that leaves the place where it is looked for, or a file that a class may open
FILE = re.compile(r"://|^[/~\\]|^[A-Za-z]:[/\\]|\.\.[/\\]|\.(py|pyc|so|pkl|pickle|ya?ml|json|pth?|ckpt|np[yz])$", re.I)
DEEPEST = 1500  # calls; Python itself begins with 1000
NUMBERS = {"inf": math.inf, "nan": math.nan}


class _NotPlain(Exception):
    """An expression that is no plain value."""


def read_recorded_config(text: Any, path: str) -> ConfigDict:
    """What the config in a checkpoint says about the model.

    Args:
        text (Any): The checkpoint's ``meta['cfg']``.
        path (str): The checkpoint, for messages.

    Returns:
        ConfigDict: Those of ``model``, ``default_scope``, ``data_preprocessor`` that it has.

    Raises:
        CheckpointError: There is none, or it holds more than plain values; the remedy is ``--config``.

    Example:
        >>> read_recorded_config("model = dict(type='EncoderDecoder', in_index=[0, -1])", 'a.pth')
        {'model': {'type': 'EncoderDecoder', 'in_index': [0, -1]}}
    """
    if not isinstance(text, str) or not text.strip():
        _refuse(path, "there is no config in it")
    found = {}
    try:
        for statement in _parsed(text).body:
            if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                name = statement.targets[0].id
                if name in WANTED:
                    found[name] = _value(statement.value)
    except (_NotPlain, SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        _refuse(path, f"its config cannot be read as plain values ({error or type(error).__name__})")
    if not isinstance(found.get("model"), dict):
        _refuse(path, "its config has no `model`")
    _import_known(found.pop("custom_imports", None), path)
    return ConfigDict(found)


def check_recorded_model(model: Any, scope: Any, path: str) -> None:
    """Everything that would be built is a registered class, and nothing names a file that would be run.

    Args:
        model (Any): The student's config, without pretrained weights.
        scope (Any): The ``default_scope``.
        path (str): The checkpoint, for messages.

    Raises:
        CheckpointError: Something else is in it.
        MissingPackageError: A package that it needs is not installed.
    """
    scopes, types = [scope], []
    for key, value in _walk(model, ""):
        if key == "type" and isinstance(value, str):
            types.append(value)
        elif key == "_scope_":
            scopes.append(value)
        elif isinstance(value, str) and FILE.search(value):
            _refuse(path, f"its config names a file for the student, {value!r}")
    for name in scopes:
        if name is not None and name not in PACKAGES:
            _refuse(path, f"its config names the scope {name!r}, which is no package of OpenMMLab's")
    for kind in types:
        if not _is_registered(kind, path):
            _refuse(path, f"its config names the type {kind!r}, which is no registered class of OpenMMLab's packages")


def _refuse(path: str, why: str) -> NoReturn:
    raise CheckpointError(f"{path}: {why}. Name the config of the run, or of its student, with --config")


def _parsed(text: str) -> ast.Module:
    """Python's own parser, which a deeply nested text would crash where a process has raised the limit."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(min(limit, DEEPEST))
    try:
        return ast.parse(text)
    finally:
        sys.setrecursionlimit(limit)


def _value(node: ast.expr) -> Any:
    """A literal, as mmengine writes them: ``dict(a=1)``, ``dict({'a.b': 1})``, lists, tuples, numbers, strings."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
        content: dict = {}
        for argument in node.args:
            content.update(_value(argument))
        for keyword in node.keywords:
            content.update({keyword.arg: _value(keyword.value)} if keyword.arg else _value(keyword.value))
        return content
    if isinstance(node, ast.Dict) and None not in node.keys:
        return {_value(key): _value(value) for key, value in zip(node.keys, node.values, strict=True) if key}
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        kind = {ast.List: list, ast.Tuple: tuple, ast.Set: set}[type(node)]
        return kind(_value(item) for item in node.elts)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        value = _value(node.operand)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.Name) and node.id in NUMBERS:
        return NUMBERS[node.id]
    if isinstance(node, ast.Constant):
        return node.value
    raise _NotPlain(f"line {node.lineno}: {ast.unparse(node)[:60]}")


def _import_known(imports: Any, path: str) -> None:
    names = imports.get("imports", []) if isinstance(imports, dict) else []
    for name in names if isinstance(names, list | tuple) else [names]:
        if str(name).partition(".")[0] not in PACKAGES:
            _refuse(path, f"its config imports {name!r}, which is no package of OpenMMLab's")
        with missing_package(f"{path}: custom_imports"):
            import_module(name)


def _walk(node: Any, key: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        for name, value in node.items():
            yield from _walk(value, name)
    elif isinstance(node, list | tuple | set):
        for value in node:
            yield from _walk(value, "")
    else:
        yield key, node


def _is_registered(kind: str, path: str) -> bool:
    # Where a registry does not know a name, mmengine imports it: `subprocess.Popen` would be built too.
    package, _, name = kind.partition(".")
    if not name:
        return not _is_module(kind)
    if package not in PACKAGES and package != "torch":
        return False
    require_package(package, f"{path}: the type {kind!r}")
    nodes = [node for registry in ("model", "task util") for node in _nodes(REGISTRIES[registry])]
    if "." not in name:
        if package not in ("mmengine", "torch"):
            for node in nodes:
                if node.scope == package:
                    node.import_from_location()
        return any(node.scope == package and isinstance(node.module_dict.get(name), type) for node in nodes)
    found = get_object_from_string(kind)
    if not isinstance(found, type):
        return False
    return issubclass(found, nn.Module) or any(found in node.module_dict.values() for node in nodes)


def _is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ValueError:  # `__main__` and the like
        return True


def _nodes(registry: Registry) -> Iterator[Registry]:
    yield registry
    for children in registry.children.values():
        for child in children if isinstance(children, list) else [children]:
            yield from _nodes(child)

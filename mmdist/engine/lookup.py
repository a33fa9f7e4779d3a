"""Which class a ``type`` of a config stands for, and what its constructor takes."""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import DefaultScope, Registry, root

from mmdist.engine.config import did_you_mean, not_installed
from mmdist.engine.signatures import named, parameters
from mmdist.errors import ConfigError, nearest

REGISTRIES = {node.name: node for node in vars(root).values() if isinstance(node, Registry)}
LIBRARIES = ("mmengine.", "mmcv.", "mmdet.", "mmseg.", "mmpretrain.", "mmrazor.", "mmdist.")
PLUGINS = ("mmdist", "mmrazor")  # their types need their prefix


def require_package(scope: str, feature: str) -> None:
    """The OpenMMLab package behind a scope is installed and can be imported.

    Args:
        scope (str): Such as ``mmseg``. A scope that is no package of OpenMMLab's is nobody's business.
        feature (str): What needs it, for the message.

    Raises:
        MissingPackageError: It, or one that it imports, is not installed.
    """
    if scope not in MODULE2PACKAGE:
        return
    if find_spec(scope) is None:
        raise not_installed(scope, feature)
    with missing_package(feature):
        import_module(f"{scope}.registry")


@contextmanager
def missing_package(feature: str) -> Iterator[None]:
    """A module that cannot be found becomes the package to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise not_installed(error.name or str(error), feature) from error


def find_type(kind: Any, scope: str | None, key: str, registry: str = "model", suffix: str = "") -> Any:
    """The class that mmengine will build for a ``type``.

    Args:
        kind (Any): The ``type``: a name, with or without scope, or a class.
        scope (str, optional): The scope that is the default where the type stands.
        key (str): Path of the ``type`` in the config.
        registry (str): Name of mmengine's registry, such as ``model`` or ``task util``.
        suffix (str): What MMRazor appends to the name, such as ``Recorder``.

    Returns:
        Any: A class or function.

    Raises:
        ConfigError: Nothing of that name is registered; names the nearest that are.
        MissingPackageError: The name's scope is a package that is not installed.
    """
    if not isinstance(kind, str):
        if not callable(kind):
            raise ConfigError(key, kind, "the name of a registered type")
        return kind
    prefix = kind.partition(".")[0] if "." in kind else None
    for name in filter(None, (scope, prefix)):
        require_package(name, f"{key} = {kind!r}" if name == prefix else f"default_scope = {name!r}")
    try:
        with missing_package(f"{key} = {kind!r}"), _node(registry, scope) as node:
            found = node.get(kind + suffix)
    except RuntimeError:  # mmengine's answer to a dotted name that is no module either
        found = None
    if found is None:
        raise _unknown(kind, scope, prefix, key, registry, suffix)
    return found


@contextmanager
def _node(registry: str, scope: str | None) -> Iterator[Registry]:
    """The part of a registry that mmengine looks into first.

    It would warn where a library has no such part, although there the root's is meant.
    """
    top, name = REGISTRIES[registry], scope or _current_scope()
    if name and find_spec(name) is not None:
        with suppress(ImportError):
            import_module(f"{name}.registry")
    if name and top._search_child(name) is None:
        yield top
        return
    with top.switch_scope_and_registry(scope) as node:
        yield node


def takes(part: dict, argument: str, scope: str | None) -> bool:
    """Whether the class of a part of a config, of whatever registry, has an argument.

    Args:
        part (dict): With ``type``; without one it takes nothing that is known.
        argument (str): Its name.
        scope (str, optional): The scope that is the default where the part stands.

    Example:
        >>> takes(dict(type='LoggerHook'), 'interval', None), takes(dict(type='LoggerHook'), 'intervall', None)
        (True, False)
    """
    kind = part.get("type")
    for registry in REGISTRIES if isinstance(kind, str) else ():
        try:
            with _node(registry, scope) as node:
                found = node.get(kind)
        except (RuntimeError, ImportError):
            continue
        if found is not None and argument in {*(parameters(found) or ()), *named(found)}:
            return True
    return False


def _unknown(kind: str, scope: str | None, prefix: str | None, key: str, registry: str, suffix: str) -> ConfigError:
    default = scope or _current_scope()
    searched = prefix or default or "mmengine"
    options = _registered(registry, default, suffix, prefixed=False)
    for plugin in PLUGINS if find_spec("mmrazor") else PLUGINS[:1]:
        options += _registered(registry, plugin, suffix, prefixed=True)
    if prefix:
        options += _registered(registry, prefix, suffix, prefixed=True)
    # The right name in the wrong scope is by far the most frequent mistake.
    twins = [option for option in options if option.rpartition(".")[2] == kind.rpartition(".")[2]]
    close = twins or nearest(kind, options) or nearest(kind.rpartition(".")[2], options)
    hint = f"did you mean {' or '.join(repr(option) for option in close[:3])}?" if close else ""
    if default is None and prefix is None and not close:
        hint = "the config has no default_scope"
    known = [*MODULE2PACKAGE, "mmdist", "mmengine"]
    if searched not in known and not find_spec(searched):
        hint = f"there is no package {searched!r}: {did_you_mean(searched, known)}".rstrip(": ")
    return ConfigError(key, kind, f"a type that is registered in {searched}", hint)


def _current_scope() -> str | None:
    current = DefaultScope.get_current_instance()
    return current.scope_name if current is not None else None


def _registered(registry: str, scope: str | None, suffix: str, *, prefixed: bool) -> list[str]:
    top = REGISTRIES[registry]
    if scope and find_spec(scope) is not None:
        with missing_package(scope):
            import_module(f"{scope}.registry")
    node: Registry | None = top._search_child(scope) if scope else top
    if node is None:
        if prefixed:
            return []
        node = top
    with missing_package(node.scope):
        node.import_from_location()
    names = list(node.module_dict)
    if not prefixed and node is not top:
        names += top.module_dict
    names = [name.removesuffix(suffix) for name in names if name.endswith(suffix)]
    return [f"{scope}.{name}" for name in names] if prefixed else names


def check_arguments(
    cfg: dict, function: Any, key: str, *, complete: bool = True, given: Collection[str] = (), own: Collection[str] = ()
) -> None:
    """A config dict has the arguments that its class takes.

    Args:
        cfg (dict): With ``type``.
        function (Any): What ``type`` stands for.
        key (str): Path of ``cfg``.
        complete (bool): False where whoever builds it adds arguments of its own.
        given (Collection[str]): Arguments that whoever builds it adds for certain.
        own (Collection[str]): Keys that whoever builds it takes out.

    Raises:
        ConfigError: An argument that does not exist, with the nearest; or a required one that is missing.
    """
    known = parameters(function)
    if known is None:
        _check_open(cfg, function, key, own)
        return
    name = getattr(function, "__name__", str(function))
    for argument, value in cfg.items():
        if argument not in known and argument not in ("type", "_scope_") and argument not in own:
            takes = {**known, **dict.fromkeys(own)}
            raise ConfigError(f"{key}.{argument}", value, f"one of the arguments of {name}", _spelling(argument, takes))
        if argument in known and is_quoted_number(value) and _wants_number(known[argument]):
            raise ConfigError(f"{key}.{argument}", value, "a number", f"write {value} without quotes")
    required = [p.name for p in known.values() if p.default is p.empty]
    missing = [argument for argument in required if argument not in cfg and argument not in given]
    if complete and missing:
        close = [near for argument in missing for near in nearest(argument, [k for k in cfg if k not in known])]
        hint = f"is {close[0]!r} meant to be that?" if close else ""
        wanted = f"the argument{'s' * (len(missing) > 1)} {', '.join(missing)} too"
        raise ConfigError(key, cfg.get("type", name), wanted, hint)


def is_quoted_number(value: Any) -> bool:
    """A number that is text, as YAML reads 1e-3.

    Example:
        >>> is_quoted_number('1e-3'), is_quoted_number('auto'), is_quoted_number(1e-3)
        (True, False, False)
    """
    try:
        return isinstance(value, str) and math.isfinite(float(value))  # 'inf' means something to some transforms
    except ValueError:
        return False


def _wants_number(parameter: inspect.Parameter) -> bool:
    default = parameter.default
    numeric = isinstance(default, int | float) and not isinstance(default, bool)
    return numeric or parameter.annotation in (int, float, "int", "float")


def _check_open(cfg: dict, kind: Any, key: str, own: Collection[str]) -> None:
    """A class of a library that takes ``**kwargs`` and swallows, or keeps for later, what it does not know.

    Only a misspelling of one of its arguments is certain to be a mistake.
    """
    names = named(kind) if getattr(kind, "__module__", "").startswith(LIBRARIES) else []
    for argument, value in cfg.items():
        if argument in names or argument in own or argument in ("type", "_scope_"):
            continue
        near = difflib.get_close_matches(argument, names, cutoff=0.85)
        if near:
            wanted = f"one of the arguments of {kind.__name__}"
            raise ConfigError(f"{key}.{argument}", value, wanted, f"did you mean {near[0]!r}?")


def _spelling(argument: str, known: Iterable[str]) -> str:
    return did_you_mean(argument, list(known)) or (f"it takes {', '.join(known)}" if known else "it takes none")

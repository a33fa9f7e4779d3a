"""What a constructor takes, as far as it can be known for certain."""

from __future__ import annotations

import ast
import inspect
import textwrap
from functools import cache
from typing import Any, NamedTuple

from torch import nn

PASSING_ON = ("mmdist", "mmrazor")  # whose classes do nothing else with `**kwargs`


class Handed(NamedTuple):
    """What ``super().__init__(...)`` gives the next class by itself: so many positional arguments, and these names."""

    positional: int
    names: frozenset[str]


def parameters(function: Any) -> dict[str, inspect.Parameter] | None:
    """Named arguments of a class or function.

    ``**kwargs`` is followed to the next base class where the constructor does nothing with it but hand it on. Where it
    does more, nobody can tell which names it takes.

    Args:
        function (Any): What a ``type`` of a config stands for.

    Returns:
        dict[str, inspect.Parameter] | None: By name, without ``self``; None where any name might be taken.

    Example:
        >>> from mmengine.optim import StepLR
        >>> known = parameters(StepLR)  # whose mixin gives `param_name` by itself
        >>> 'step_size' in known, 'begin' in known, 'param_name' in known
        (True, True, False)
    """
    if not inspect.isclass(function):
        return _of_function(function)
    found: dict[str, inspect.Parameter] = {}
    given = Handed(0, frozenset())
    for base in function.__mro__:
        own = vars(base)
        if "__new__" in own and base.__module__ not in ("typing", "builtins"):
            return None
        if "__init__" not in own:
            continue
        if base is nn.Module or base is object:  # both refuse what is left over
            return found
        listed = _listed(own["__init__"])
        if listed is None:
            return None
        taken = {p.name for p in listed[: given.positional]} | given.names
        for parameter in listed[given.positional :]:
            if parameter.name not in taken and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                found.setdefault(parameter.name, parameter)
        if not any(p.kind is p.VAR_KEYWORD for p in listed):
            return found
        handed = _handed_on(own["__init__"], base.__name__)
        if handed is None and base.__module__.partition(".")[0] not in PASSING_ON:
            return None
        given = handed or Handed(0, frozenset())
    return found


def named(kind: Any) -> list[str]:
    """Every argument that the constructors of a class and its bases name, where ``**kwargs`` hides the whole.

    Example:
        >>> from mmengine.hooks import EMAHook
        >>> parameters(EMAHook) is None, 'ema_type' in named(EMAHook)
        (True, True)
    """
    names: dict[str, None] = {}
    for base in kind.__mro__ if inspect.isclass(kind) else ():
        function = inspect.unwrap(vars(base)["__init__"]) if "__init__" in vars(base) else None
        if base is not nn.Module and inspect.isfunction(function):
            listed = list(inspect.signature(function).parameters.values())[1:]
            plain = [p.name for p in listed if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
            names.update(dict.fromkeys(plain))
    return list(names)


def _listed(function: Any) -> list[inspect.Parameter] | None:
    """Without ``self``; None for what is wrapped: a decorator may rename arguments."""
    if hasattr(function, "__wrapped__") or not inspect.isfunction(function):
        return None
    return list(inspect.signature(function).parameters.values())[1:]


def _of_function(function: Any) -> dict[str, inspect.Parameter] | None:
    try:
        listed = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # built-ins have no signature
        return None
    if any(p.kind is p.VAR_KEYWORD for p in listed) or hasattr(function, "__wrapped__"):
        return None
    return {p.name: p for p in listed if p.kind is not p.VAR_POSITIONAL}


@cache
def _handed_on(function: Any, owner: str) -> Handed | None:
    """What goes to the next class beside ``**kwargs``; None where that is used for anything else as well."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    except (OSError, TypeError, SyntaxError, IndexError):
        return None
    if not isinstance(tree, ast.FunctionDef) or tree.args.kwarg is None:
        return None
    rest, name = tree.args.vararg.arg if tree.args.vararg else "", tree.args.kwarg.arg
    uses = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id in (name, rest)]
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and _is_super_init(call, owner):
            starred = [a.value for a in call.args if isinstance(a, ast.Starred)]
            spread = [k.value for k in call.keywords if k.arg is None]
            if len(spread) != 1 or {*starred, *spread} != set(uses):
                return None
            positional = len(call.args) - len(starred)
            return Handed(positional, frozenset(k.arg for k in call.keywords if k.arg is not None))
    return None


def _is_super_init(call: ast.Call, owner: str) -> bool:
    """``super().__init__(...)``, or with its two arguments, unless these skip classes."""
    function = call.func
    if not (isinstance(function, ast.Attribute) and function.attr == "__init__"):
        return False
    parent = function.value
    if not (isinstance(parent, ast.Call) and isinstance(parent.func, ast.Name) and parent.func.id == "super"):
        return False
    return not parent.args or (isinstance(parent.args[0], ast.Name) and parent.args[0].id == owner)

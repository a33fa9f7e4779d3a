"""What a recorder's ``source`` stands for in a model, and the answer where it stands for nothing."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from mmdist.errors import ConfigError, nearest

PACKAGES = ("mmdet", "mmseg", "mmpretrain", "mmcv", "mmrazor", "mmdist", "torch")
SHOWN = 12


def find_module(model: nn.Module, source: str) -> nn.Module:
    """The submodule that a source names; it must be one that can be called.

    Args:
        model (nn.Module): The student or the teacher.
        source (str): As in ``model.named_modules()``; any of its names, where a module has several.

    Returns:
        nn.Module: The submodule.

    Raises:
        ConfigError: There is none of that name, or it has no ``forward``; names the nearest, or its children.

    Example:
        >>> find_module(nn.Sequential(nn.Linear(2, 3)), '0').out_features
        3
    """
    found = find_part(model, source)
    allowed = f"the name of a module of {type(model).__name__}"
    if not isinstance(found, nn.Module):
        parent, _, name = source.rpartition(".")
        owner = find_part(model, parent) if parent else model
        if callable(found) or (isinstance(owner, nn.Module) and name in methods_of(owner)):
            raise ConfigError("source", source, allowed, "this is a method: record it with type='mmdist.Method'")
        raise ConfigError("source", source, allowed, _near(model, source, [name for name, _ in model.named_modules()]))
    if isinstance(found, torch.jit.ScriptModule):  # which takes no hook
        raise ConfigError("source", source, f"{allowed} that runs in Python", outside_python(model, source))
    if not has_forward(found):
        hint = (
            f"{type(found).__name__} has no forward, so it is never called: record {_listed(children(found, source))}"
        )
        raise ConfigError("source", source, f"a module of {type(model).__name__} that is called", hint)
    return found


def find_method(model: nn.Module, source: str) -> tuple[Any, str]:
    """The object and the name of the method that a source names.

    Args:
        model (nn.Module): The student or the teacher.
        source (str): Path of a submodule, or of an object that one holds, and the name of a method of it;
            ``extract_feat`` alone is a method of the model.

    Returns:
        tuple[Any, str]: The one instance, and the method's name.

    Raises:
        ConfigError: No such object, or no such method of it; names the nearest.

    Example:
        >>> find_method(nn.Sequential(nn.Linear(2, 3)), '0.forward')
        (Linear(in_features=2, out_features=3, bias=True), 'forward')
    """
    path, _, name = source.rpartition(".")
    owner = find_part(model, path) if path else model
    allowed = f"path and method of a module of {type(model).__name__}"
    if owner is None:
        hint = _near(model, path, [known for known, _ in model.named_modules()], name)
        raise ConfigError("source", source, allowed, hint)
    found = getattr(owner, name, None)
    if isinstance(found, nn.Module):
        hint = f"this is a module: record it with type='mmdist.Module', or its method {source + '.forward'!r}"
        raise ConfigError("source", source, allowed, hint)
    if not callable(found) or (name == "forward" and isinstance(owner, nn.Module) and not has_forward(owner)):
        known = methods_of(owner)
        close = [f"{path}.{method}" if path else method for method in nearest(name, known)]
        meant = f"did you mean {' or '.join(map(repr, close))}? " if close else ""
        hint = f"{meant}Methods of {type(owner).__name__}: {_listed(known)}"
        raise ConfigError("source", source, allowed, hint)
    if not hasattr(owner, "__dict__"):
        hint = f"the methods of a {type(owner).__name__} cannot be wrapped"
        raise ConfigError("source", source, allowed, hint)
    return owner, name


def outside_python(model: nn.Module, source: str) -> str:
    """Why a hook in a module may not run: it is part of a compiled graph or of a script. Empty where it is not.

    Args:
        model (nn.Module): The student or the teacher.
        source (str): A module, or a method of one.

    Example:
        >>> outside_python(nn.Sequential(nn.Linear(2, 3)), '0')
        ''
    """
    path = source.split(".")
    for length in range(len(path) + 1):
        name = ".".join(path[:length])
        module = find_part(model, name) if name else model
        owner = f"the module {name!r}" if name else "the model"
        if isinstance(module, torch.jit.ScriptModule):
            return f"{owner} is a TorchScript (torch.jit), which no recorder can look into: record it from outside"
        if getattr(module, "_compiled_call_impl", None) is not None or hasattr(module, "_torchdynamo_orig_callable"):
            return (
                f"{owner} was compiled and run before the recorder was there, so its graph passes over it: compile it "
                "after the algorithm is built, and run it through the algorithm alone"
            )
    return ""


def has_forward(module: nn.Module) -> bool:
    """Whether calling the module can do anything: ``ModuleList`` and ``ModuleDict`` have no forward.

    Example:
        >>> has_forward(nn.ModuleList()), has_forward(nn.Sequential())
        (False, True)
    """
    return "forward" in vars(module) or type(module).forward is not nn.Module.forward


def methods_of(owner: Any) -> list[str]:
    """Names of an object's own methods: not those that every module, or every object, has.

    Example:
        >>> methods_of(nn.Linear(2, 3))
        ['forward', 'reset_parameters']
    """
    inherited = set(dir(nn.Module)) - {"forward"}
    names = [name for name in dir(type(owner)) if name not in inherited and not name.startswith("__")]
    kinds = (staticmethod, classmethod)
    static = [(name, inspect.getattr_static(type(owner), name)) for name in names]
    found = [name for name, value in static if inspect.isfunction(value) or isinstance(value, kinds)]
    return [name for name in found if name != "forward" or not isinstance(owner, nn.Module) or has_forward(owner)]


def children(module: nn.Module, source: str) -> list[str]:
    """Full names of a module's children, in the spelling of a source."""
    return [f"{source}.{name}" for name, _ in module.named_children()]


def find_part(model: nn.Module, path: str) -> Any:
    """The submodule, method or other object of a path of names; None where there is none.

    Example:
        >>> find_part(nn.Sequential(nn.Linear(2, 3)), '0.weight').shape
        torch.Size([3, 2])
    """
    found: Any = model
    for name in path.split("."):
        found = getattr(found, name, None) if name else None
        if found is None:
            return None
    return found


def _near(model: nn.Module, source: str, known: Sequence[str], method: str = "") -> str:
    end = f".{method}" if method else ""
    first = source.partition(".")[0]
    if first in PACKAGES and find_part(model, first) is None:
        return f"not a Python path: the name of a module of this model{', and a method' if method else ''}"
    close = [name + end for name in nearest(source, [name for name in known if name])]
    if close:
        return f"did you mean {' or '.join(map(repr, close))}?"
    parent = source
    while parent:  # nothing is spelt like it: what is there, as deep as the source is right
        parent = parent.rpartition(".")[0]
        found = find_part(model, parent) if parent else model
        if isinstance(found, nn.Module) and any(True for _ in found.children()):
            names = children(found, parent) if parent else [name for name, _ in found.named_children()]
            return f"{repr(parent) if parent else 'the model'} has {_listed(names)}"
    return ""


def _listed(names: Sequence[str]) -> str:
    if not names:
        return "something else: it is empty"
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(repr, names[:SHOWN])) + more

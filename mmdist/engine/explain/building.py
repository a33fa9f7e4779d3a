"""What a registry or a constructor says of the dict that it was given."""

from __future__ import annotations

import re
from types import FrameType
from typing import Any

from mmengine.config import Config

from mmdist.engine.config import did_you_mean, not_installed
from mmdist.engine.explain.frames import Place, place_of
from mmdist.engine.lookup import REGISTRIES, find_type
from mmdist.engine.signatures import parameters
from mmdist.errors import ConfigError, MMDistError, nearest

UNKNOWN = re.compile(r"(\S+) is not in the (?:\S+?::)?(.+) registry|Failed to get (\S+)")
UNEXPECTED = re.compile(r"(?:(\w+)\.)?(\w+)\(\) got an unexpected keyword argument '(\w+)'")
MISSING = re.compile(r"(?:(\w+)\.)?(\w+)\(\) missing \d+ required .*?: (.+)")
WHOLE = "MMDIST_DEBUG=1 shows the traceback"


def explain_building(error: Exception, frames: list[FrameType], cfg: Config) -> MMDistError | None:
    """The mistake in the dict that was being built when an exception was raised.

    Args:
        error (Exception): Any.
        frames (list[FrameType]): That it came through.
        cfg (Config): The whole config.

    Returns:
        MMDistError | None: None where no dict of the config was being built.
    """
    place = place_of(frames, cfg)
    if place is None:
        return None
    if isinstance(error, MMDistError):
        return _at(error, place) if isinstance(error, ConfigError) else error
    if isinstance(error, ModuleNotFoundError) and error.name:
        return not_installed(error.name, place.key)
    message = first_line(error)
    unknown = UNKNOWN.match(message)
    if unknown and isinstance(error, KeyError | RuntimeError):
        return _unknown_type(unknown.group(1) or unknown.group(3), unknown.group(2) or place.registry, place, cfg)
    if isinstance(error, TypeError):
        mistake = _arguments(message, place)
        if mistake is not None:
            return mistake
    name = re.match(r"([a-zA-Z_]\w*)(?= = |: | must | should | is )", message)
    if name and name.group(1) in place.node and name.group(1) != "type":
        hint = re.sub(rf"^{name.group(1)} = .*?: (?=expected|did you)", "", message)
        return ConfigError(f"{place.key}.{name.group(1)}", place.node[name.group(1)], hint=hint)
    return ConfigError(place.key, place.node, hint=f"cannot be built: {_said(error)}. {WHOLE}")


def first_line(error: BaseException) -> str:
    """What an exception says, on one line: a ``KeyError`` without the quotes around it."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    line = " ".join(text.split())
    return line if len(line) <= 300 else f"{line[:296]} ..."


def _said(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"KeyError: {first_line(error)!r}"
    text = first_line(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _at(error: ConfigError, place: Place) -> MMDistError:
    """A class names its arguments by itself: ``DISTLoss.tau``, or ``tau``. The user's key is where they stand."""
    head, _, rest = error.key.partition(".")
    if head == getattr(place.built, "__name__", None):
        return error.at(f"{place.key}.{rest}" if rest else place.key)
    return error.at(f"{place.key}.{error.key}") if head in place.node and head != "model" else error


def _unknown_type(name: str, registry: str, place: Place, cfg: Config) -> MMDistError:
    key = f"{place.key}.type"
    if place.node.get("type") != name:
        key = next((f"{place.key}.{argument}" for argument, value in place.node.items() if value == name), place.key)
    if registry in REGISTRIES:
        try:
            find_type(name, place.node.get("_scope_", cfg.get("default_scope")), key, registry)
        except MMDistError as mistake:
            return mistake
    return ConfigError(key, name, f"a registered {registry}")


def _arguments(message: str, place: Place) -> ConfigError | None:
    """A constructor's complaint about its arguments, told with the nearest right spelling."""
    unexpected, missing = UNEXPECTED.match(message), MISSING.match(message)
    if unexpected:
        owner, function, argument = unexpected.groups()
        name = owner if function == "__init__" else function
        # The class that complained may be a base of the one that the config names.
        classes = getattr(place.built, "__mro__", (place.built,))
        known = [n for kind in classes for n in parameters(kind) or () if kind.__name__ == name]
        if argument not in place.node and name != getattr(place.built, "__name__", name):
            return None
        known = known or _named_anywhere(place.built)
        value = place.node.get(argument)
        spelling = did_you_mean(argument, known) or (f"it takes {', '.join(known)}" if known else "")
        return ConfigError(f"{place.key}.{argument}", value, f"one of the arguments of {name}", spelling)
    if missing:
        rest = missing.group(3)
        close = nearest(rest.strip("'"), [given for given in place.node if given != "type"])
        hint = f"is {close[0]!r} meant to be that?" if close else ""
        return ConfigError(place.key, place.node.get("type"), f"the argument {rest} too", hint)
    return None


def _named_anywhere(kind: Any) -> list[str]:
    """What the constructors of a class and its bases name, where ``**kwargs`` hides the whole."""
    names: dict[str, None] = {}
    for base in getattr(kind, "__mro__", ())[:-1]:
        function = vars(base).get("__init__")
        code = getattr(function, "__code__", None)
        if code is not None and base.__module__ != "torch.nn.modules.module":
            names.update(dict.fromkeys(code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]))
    return list(names)

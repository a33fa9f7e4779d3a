"""What a registry or a constructor says of the dict that it was given."""

from __future__ import annotations

import re
import traceback
from types import FrameType

from mmengine.config import Config

from mmdist.engine.config import did_you_mean, not_installed
from mmdist.engine.explain.frames import Place, all_dicts, place_of
from mmdist.engine.lookup import REGISTRIES, find_type
from mmdist.engine.signatures import named, parameters
from mmdist.errors import ConfigError, MMDistError, nearest

UNKNOWN = re.compile(r"(\S+) is not in the (?:\S+?::)?(.+) registry|Failed to get (\S+)")
UNEXPECTED = re.compile(r"(?:(\w+)\.)?(\w+)\(\) got an unexpected keyword argument '(\w+)'")
MISSING = re.compile(r"(?:(\w+)\.)?(\w+)\(\) missing \d+ required .*?: (.+)")
NAMED = re.compile(r"(?:(\w+)\.)?([a-zA-Z_]\w*)(?: (=) [^:]*: |: | must | should | is )")
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
    place = place_of(frames, cfg) or _holder(error, frames, cfg)
    if place is None:
        return None
    if isinstance(error, MMDistError):
        return _at(error, place) if isinstance(error, ConfigError) else error
    if isinstance(error, ModuleNotFoundError) and error.name:
        return not_installed(error.name, place.key)
    message = first_line(error)
    unknown = UNKNOWN.match(message)
    if unknown and isinstance(error, KeyError | RuntimeError):
        return _unknown_type(unknown.group(1) or unknown.group(3), unknown.group(2) or "", place, cfg)
    if isinstance(error, TypeError) and place.exact:
        mistake = _arguments(message, place)
        if mistake is not None:
            return mistake
    owner, name, value = NAMED.match(message).groups() if NAMED.match(message) else ("", "", "")
    if name in place.node and name != "type" and place.exact and owner in (None, getattr(place.built, "__name__", "")):
        hint = message.partition(": ")[2] if value else message
        return ConfigError(f"{place.key}.{name}", place.node[name], hint=hint)
    return ConfigError(place.key, place.node, hint=f"cannot be built: {said(error)}. {WHOLE}")


def _holder(error: Exception, frames: list[FrameType], cfg: Config) -> Place | None:
    """The one dict with the argument that a class did not expect, where somebody handed it on, as ``EMAHook`` does."""
    unexpected = UNEXPECTED.match(first_line(error)) if isinstance(error, TypeError) else None
    if unexpected is None:
        return None
    held = [(key, node) for key, node in all_dicts(cfg) if "type" in node and unexpected.group(3) in node]
    built = [f.f_locals.get("obj_cls") for f in frames if f.f_code.co_name == "build_from_cfg"]
    return Place(*held[0], built[-1] if built else None) if len(held) == 1 else None


def first_line(error: BaseException) -> str:
    """What an exception says, on one line: a ``KeyError`` without the quotes around it."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    line = "".join(char if char.isprintable() else repr(char)[1:-1] for char in " ".join(text.split()))
    return line if len(line) <= 300 else f"{line[:296]} ..."


def said(error: Exception) -> str:
    """What an exception says, with its kind; of one that says nothing, as an assertion, the line that raised it."""
    text = repr(first_line(error)) if isinstance(error, KeyError) else first_line(error)
    raised = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__}: {text or (raised[-1].line if raised else '')}".removesuffix(": ")


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
    registry = registry or getattr(place.registry, "name", "model")
    if registry in REGISTRIES:
        try:
            find_type(name, place.node.get("_scope_", cfg.get("default_scope")), key, registry)
        except MMDistError as mistake:
            return mistake
    nodes = [node for node in (place.registry, getattr(place.registry, "parent", None)) if node is not None]
    known = [option for node in nodes for option in node.module_dict]
    return ConfigError(key, name, f"a registered {registry}", did_you_mean(name, known))


def _arguments(message: str, place: Place) -> ConfigError | None:
    """A constructor's complaint about its arguments, told with the nearest right spelling."""
    unexpected, missing = UNEXPECTED.match(message), MISSING.match(message)
    if unexpected:
        owner, function, argument = unexpected.groups()
        name = owner if function == "__init__" else function
        # The class that complained may be a base of the one that the config names.
        classes = getattr(place.built, "__mro__", (place.built,))
        known = [n for kind in classes for n in parameters(kind) or () if kind.__name__ == name]
        known = known or named(place.built)
        value = place.node.get(argument)
        near = did_you_mean(argument, known) or did_you_mean(argument, named(place.built))
        spelling = near or (f"it takes {', '.join(known)}" if known else "")
        return ConfigError(f"{place.key}.{argument}", value, f"one of the arguments of {name}", spelling)
    if missing:
        rest = missing.group(3)
        close = nearest(rest.strip("'"), [given for given in place.node if given != "type"])
        hint = f"is {close[0]!r} meant to be that?" if close else ""
        return ConfigError(place.key, place.node.get("type"), f"the argument {rest} too", hint)
    return None

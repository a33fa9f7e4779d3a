"""The frames that an exception came through, and the dicts of the config that were being built in them."""

from __future__ import annotations

import sys
import traceback
from types import FrameType
from typing import Any, NamedTuple

from mmengine.config import Config

from mmdist.errors import MMDistError

TOP = (
    *("model", "data_preprocessor", "train_dataloader", "val_dataloader", "test_dataloader", "val_evaluator"),
    *("test_evaluator", "optim_wrapper", "param_scheduler", "train_cfg", "val_cfg", "test_cfg", "default_hooks"),
    *("custom_hooks", "visualizer", "log_processor", "model_wrapper_cfg", "randomness", "env_cfg", "tta_model"),
)


BUILDERS = ("build_from_cfg", "build_scheduler_from_cfg", "build_dataloader")


class Place(NamedTuple):
    """A dict that was being built.

    Attributes:
        key (str): Where it stands.
        node (dict): Itself.
        built (Any): The class that was called, if that was found.
        registry (Any): Where that was looked for.
        exact (bool): False where something inside it was being built that is in no config.
    """

    key: str
    node: dict
    built: Any = None
    registry: Any = None
    exact: bool = True


def frames_of(error: BaseException) -> list[FrameType]:
    """Outermost first, with those of the exception behind it where that was told anew."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    behind = error.__cause__ if isinstance(error, MMDistError) else None
    if frames and frames[-1].f_code.co_name == "call_hook":  # mmengine raises what a hook raises once more
        behind = error.__context__
    return frames + (frames_of(behind) if behind is not None else [])


def is_libraries(frame: FrameType) -> bool:
    """The frame is of an installed package, of Python or of mmdist; not of the user's own code."""
    name = frame.f_globals.get("__name__", "").partition(".")[0]
    installed = "site-packages" in frame.f_code.co_filename or frame.f_code.co_filename.startswith("<frozen")
    return name == "mmdist" or installed or name in sys.stdlib_module_names - {"__main__"}


def place_of(frames: list[FrameType], cfg: Config) -> Place | None:
    """The innermost dict of the config that was being built.

    mmengine copies a config and adds to it on the way, so dicts are known by what they hold.

    Args:
        frames (list[FrameType]): See :func:`frames_of`.
        cfg (Config): The whole config.

    Returns:
        Place | None: None where nothing of the config was being built.
    """
    found: Place | None = None
    key, node = "", _top(cfg)
    whole = (key, node)
    for frame in frames:
        local = frame.f_locals
        name = frame.f_code.co_name
        if name == "build_model" and isinstance(local.get("key"), str) and isinstance(local.get("source"), dict):
            key, node = whole = local["key"], local["source"]  # a student or teacher, perhaps from a file of its own
            continue
        built = local.get("dataloader") if name == "build_dataloader" else local.get("cfg")
        if name not in BUILDERS or not isinstance(built, dict):
            continue
        match = _best(node, built, key) or _best(whole[1], built, whole[0])
        if match is not None:
            key, node = match
            found = Place(key, node, local.get("obj_cls", local.get("scheduler_cls")), local.get("registry"))
        elif found is not None:
            found = found._replace(exact=False)
    return found


def in_forward(frames: list[FrameType]) -> bool:
    """A module was being called, and nothing built inside it."""
    names = [frame.f_code.co_name for frame in frames]
    called = [index for index, name in enumerate(names) if name == "_call_impl"]
    built = [index for index, name in enumerate(names) if name in BUILDERS]
    return bool(called) and (not built or built[-1] < called[-1])


def all_dicts(cfg: Config) -> list[tuple[str, dict]]:
    """Every dict of the config that something is built from, with its key path."""
    return _dicts(_top(cfg), "")[1:]


def _top(cfg: Config) -> dict:
    """Variables beside these (`norm_cfg`, ...) are only their ingredients."""
    return {name: cfg[name] for name in TOP if cfg.get(name) is not None}


def _best(node: Any, built: dict, key: str) -> tuple[str, dict] | None:
    """The dict in a node that is most like the one that was built: the same object, or the same content."""
    best, most = None, 0.0
    for place, inner in _dicts(node, key):
        likeness = float("inf") if inner is built else _likeness(inner, built)
        if likeness > most:
            best, most = (place, inner), likeness
    return best


def _likeness(node: dict, built: dict) -> float:
    """How many values are the same; 0 for another type, or where a value that both have is another."""
    kind, other = node.get("type"), built.get("type")
    if kind != other and not (isinstance(kind, str) and other == f"{kind}Recorder"):  # MMRazor completes the name
        return 0
    both = [name for name in node if name in built]
    same = [name for name in both if _same(node[name], built[name])]
    if len(both) - len(same) > len(same):
        return 0
    return len(same) - 0.4 * (len(node) - len(same)) + 0.5


def _same(a: Any, b: Any) -> bool:
    if a is b:
        return True
    if isinstance(a, dict) and isinstance(b, dict):
        return a.get("type") == b.get("type") and a.keys() <= b.keys()
    try:
        return bool(a == b)
    except Exception:  # arrays
        return False


def _dicts(node: Any, key: str) -> list[tuple[str, dict]]:
    """A node's dicts, outer ones first."""
    found: list[tuple[str, dict]] = []
    if isinstance(node, dict):
        found.append((key, node))
        for name, value in node.items():
            found += _dicts(value, f"{key}.{name}" if key else str(name))
    elif isinstance(node, list | tuple):
        for index, value in enumerate(node):
            found += _dicts(value, f"{key}.{index}")
    return found

"""From a config to a Runner, with nothing left behind when it cannot be built."""

from __future__ import annotations

import logging
import re
import shutil
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from mmdist import compat
from mmdist.engine.config import did_you_mean
from mmdist.engine.hooks import add_default_hooks
from mmdist.engine.latest import latest_address
from mmdist.engine.lookup import REGISTRIES, find_type, parameters
from mmdist.engine.preflight.work_dir import check_work_dir
from mmdist.errors import ConfigError, MMDistError, nearest

TIMESTAMP = re.compile(r"\d{8}_\d{6}")


def build_runner(cfg: Config) -> Runner:
    """Build the Runner that a config describes, as the task libraries' tools do.

    Args:
        cfg (Config): A complete config, with ``work_dir`` and ``launcher``.

    Returns:
        Runner: mmengine's, or of the config's ``runner_type``.

    Raises:
        MMDistError: The work dir cannot be used, or the model not be built from the config. The work dir is as it was
            before.
    """
    compat.apply()  # again: mmengine's runner, which needs a fix, is imported only now
    check_work_dir(cfg)
    with explained(cfg), nothing_left_behind(Path(cfg.work_dir)):
        runner = Runner.from_cfg(cfg) if "runner_type" not in cfg else RUNNERS.build(cfg)
        add_default_hooks(runner)
        if cfg.get("resume") is True and runner._load_from is None:
            runner._load_from = latest_address(cfg)  # mmengine would follow the note in the work dir to any file
        return runner


@contextmanager
def explained(cfg: Config) -> Iterator[None]:
    """Inside, what registries and constructors say of a mistake in the config becomes a ``ConfigError``."""
    try:
        yield
    except MMDistError:
        raise
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        mistake = explain(error, cfg)
        if mistake is None:
            raise
        raise mistake from error


@contextmanager
def nothing_left_behind(work_dir: Path) -> Iterator[None]:
    """Remove the log folder that a Runner made, and folders made on the way to it, when building it fails.

    Another run may have made a log folder in the same work dir meanwhile: that one stays.
    """
    before = set(work_dir.iterdir()) if work_dir.is_dir() else set()
    made = [folder for folder in (work_dir, *work_dir.parents) if not folder.exists()]
    try:
        yield
    except BaseException as error:
        for folder in _folders_logged_into(work_dir) - before:
            _close_logs(folder)
            shutil.rmtree(folder, ignore_errors=True)
        _remove_if_empty(_log_folder_of_runner(error))
        for folder in made:
            if not folder.is_dir() or any(folder.iterdir()):
                break
            folder.rmdir()
        raise


def _folders_logged_into(work_dir: Path) -> set[Path]:
    """The log folders in a work dir that loggers of this process write into."""
    folders = [Path(handler.baseFilename).parent for _, handler in _log_files()]
    inside = [folder.name for folder in folders if folder.parent.resolve() == work_dir.resolve()]
    return {work_dir / name for name in inside if TIMESTAMP.fullmatch(name)}


def _log_folder_of_runner(error: BaseException) -> Path | None:
    """The log folder of the Runner whose constructor failed; it is made some time before the logger."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        runner = frame.f_locals.get("self")
        if isinstance(runner, Runner) and getattr(runner, "_log_dir", None):
            return Path(runner._log_dir)
    return None


def _remove_if_empty(folder: Path | None) -> None:
    if folder is not None:
        with suppress(OSError):
            folder.rmdir()


def _log_files() -> list[tuple[MMLogger, logging.FileHandler]]:
    loggers = MMLogger._instance_dict.values()
    return [(log, handler) for log in loggers for handler in log.handlers if isinstance(handler, logging.FileHandler)]


def _close_logs(folder: Path) -> None:
    for logger, handler in _log_files():
        if folder.resolve() in Path(handler.baseFilename).resolve().parents:
            handler.close()
            logger.removeHandler(handler)


def explain(error: Exception, cfg: Config) -> MMDistError | None:
    """The user's mistake behind an exception from building a config, if it is certain to be one.

    Args:
        error (Exception): What the building raised.
        cfg (Config): What was built.

    Returns:
        MMDistError | None: With the key path, or None for an exception that is better seen whole.
    """
    message = str(error.args[0]) if error.args else ""
    unknown = re.match(r"(\S+) is not in the \S+?::(.+) registry|Failed to get (\S+)", message)
    if unknown:
        return _unknown_type(unknown.group(1) or unknown.group(3), unknown.group(2) or "model", cfg)
    if isinstance(error, TypeError):
        return _wrong_arguments(message, cfg)
    if isinstance(error, ValueError) and _raised_in_mmdist(error):
        return MMDistError(message)
    return None


def _unknown_type(name: str, registry: str, cfg: Config) -> MMDistError | None:
    for key, _, scope in _dicts_of(cfg, lambda node: node.get("type") == name):
        if registry not in REGISTRIES:  # one that a task library made for itself
            return ConfigError(f"{key}.type", name, f"a registered {registry}")
        try:
            find_type(name, scope, f"{key}.type", registry)
        except MMDistError as mistake:
            return mistake
    return None


def _wrong_arguments(message: str, cfg: Config) -> MMDistError | None:
    """A constructor's complaint about its arguments, told as one about the one dict that they can have come from."""
    found = re.match(
        r"(?:(\w+)\.)?(\w+)\(\) (got an unexpected keyword argument|missing \d+ required .*?:) (.+)", message
    )
    if not found:
        return None
    owner, function, complaint, rest = found.groups()
    name = owner if function == "__init__" else function
    if complaint.startswith("missing"):
        holders = list(_dicts_of(cfg, lambda node: _last_name(node.get("type")) == name))
        if len(holders) != 1:
            return None
        key, node, _ = holders[0]
        close = nearest(rest.strip("'"), [given for given in node if given != "type"])
        hint = f"is {close[0]!r} meant to be that?" if close else ""
        return ConfigError(key, node["type"], f"the argument {rest} too", hint)
    argument = rest.strip("'")
    holders = [holder for holder in _dicts_of(cfg, lambda node: argument in node) if "type" in holder[1]]
    exact = [holder for holder in holders if _last_name(holder[1]["type"]) == name]
    if len(exact or holders) != 1:  # not exact: some class of the config handed it on to a base class
        return None
    key, node, scope = (exact or holders)[0]
    try:
        ancestry = getattr(find_type(node["type"], scope, f"{key}.type"), "__mro__", ())
    except MMDistError:
        return None
    known = [n for kind in ancestry for n in parameters(kind) or () if kind.__name__ == name]
    return ConfigError(
        f"{key}.{argument}", node[argument], f"one of the arguments of {name}", did_you_mean(argument, known)
    )


def _last_name(kind: Any) -> str:
    return kind.rpartition(".")[2] if isinstance(kind, str) else getattr(kind, "__name__", "")


def _dicts_of(cfg: Config, wanted: Any) -> Iterator[tuple[str, dict, str | None]]:
    """The dicts of a config that are wanted, with their key paths and the scope they stand in."""

    def walk(node: Any, key: str, scope: str | None) -> Iterator[tuple[str, dict, str | None]]:
        if isinstance(node, dict):
            scope = node.get("_scope_", scope)
            if wanted(node):
                yield key, node, scope
            for name, value in node.items():
                yield from walk(value, f"{key}.{name}" if key else name, scope)
        elif isinstance(node, list | tuple):
            for index, value in enumerate(node):
                yield from walk(value, f"{key}.{index}", scope)

    for name in BUILT_AT_ONCE:
        if name in cfg:
            yield from walk(cfg[name], name, cfg.get("default_scope"))


# What a Runner's constructor builds. Variables beside these (`norm_cfg`, ...) are only their ingredients.
BUILT_AT_ONCE = ("model", "default_hooks", "custom_hooks", "visualizer", "data_preprocessor", "log_processor")


def _raised_in_mmdist(error: Exception) -> bool:
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return frames[-1].f_globals.get("__name__", "").partition(".")[0] == "mmdist"

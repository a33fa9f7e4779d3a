"""From a config to a Runner, with nothing left behind when it cannot be built."""

from __future__ import annotations

import logging
import re
import shutil
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from mmdist import compat
from mmdist.engine.explain import explained as explained
from mmdist.engine.hooks import add_default_hooks
from mmdist.engine.hooks.run_checks import RunCheckHook
from mmdist.engine.latest import latest_address
from mmdist.engine.preflight.work_dir import check_work_dir
from mmdist.errors import MMDistError

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


def train(cfg: Config) -> Runner:
    """Build a Runner and train.

    Args:
        cfg (Config): As :func:`build_runner` takes it.

    Returns:
        Runner: After training.

    Raises:
        MMDistError: A mistake that shows while data, optimizer and schedules are built, in the first images, or in the
            first pass. Before the first iteration is done, a mistake leaves nothing behind.
    """
    checks = RunCheckHook()

    def begun() -> bool:
        return checks.trained

    def worth_keeping(error: BaseException) -> bool:
        return begun() or not isinstance(error, MMDistError)  # the log of a crash tells what led to it

    with nothing_left_behind(Path(cfg.work_dir), unless=worth_keeping), explained(cfg, begun):
        runner = build_runner(cfg)
        runner.register_hook(checks)
        runner.train()
        return runner


@contextmanager
def nothing_left_behind(work_dir: Path, unless: Callable[[BaseException], bool] = lambda _: False) -> Iterator[None]:
    """Remove the log folder that a Runner made, and folders made on the way to it, when building it fails.

    Another run may have made a log folder in the same work dir meanwhile: that one stays.

    Args:
        work_dir (Path): Of the Runner.
        unless (Callable): Takes what went wrong and says whether everything stays.
    """
    before = set(work_dir.iterdir()) if work_dir.is_dir() else set()
    made = [folder for folder in (work_dir, *work_dir.parents) if not folder.exists()]
    try:
        yield
    except BaseException as error:
        if unless(error) or isinstance(error, SystemExit):
            raise
        for entry in _config_copies(work_dir) - before:
            entry.unlink()
        for folder in _folders_logged_into(work_dir) - before:
            _close_logs(folder)
            shutil.rmtree(folder, ignore_errors=True)
        _remove_if_empty(_log_folder_of_runner(error))
        for folder in made:
            if not folder.is_dir() or any(folder.iterdir()):
                break
            folder.rmdir()
        raise


def _config_copies(work_dir: Path) -> set[Path]:
    """What a Runner writes beside its log folder: the config as it runs."""
    return {entry for entry in work_dir.glob("*.py") if entry.is_file()} if work_dir.is_dir() else set()


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

"""Files that a checkpoint names: a hook deletes them when their time is over."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from mmdist.engine.resumed.entries import BEST


def folder_of(hook: CheckpointHook, work_dir: str) -> str:
    """Where a hook writes checkpoints, before and after it has found that out itself.

    Args:
        hook (CheckpointHook): A folder of its own gets one in it that is named as the work dir is.
        work_dir (str): The run's folder.

    Returns:
        str: A folder, or an address such as ``s3://bucket/run``.
    """
    if hook.out_dir is None or hook.out_dir == work_dir or hasattr(hook, "file_backend"):
        return work_dir if hook.out_dir is None else str(hook.out_dir)
    return os.path.join(str(hook.out_dir), os.path.basename(work_dir.rstrip(os.sep)))


def is_best_of(path: Any, hook: CheckpointHook, folder: str) -> bool:
    """Whether a path is that of a best checkpoint which a hook may have written there.

    Args:
        path (Any): What a checkpoint names.
        hook (CheckpointHook): The hook.
        folder (str): Where it writes.

    Example:
        >>> hook = CheckpointHook(by_epoch=True, save_best='auto')
        >>> [is_best_of(path, hook, 'run') for path in ('run/best_acc_epoch_3.pth', 'run/epoch_3.pth', '../thesis')]
        [True, False, False]
    """
    if not isinstance(path, str) or "\0" in path:
        return False
    parent, name = os.path.split(path)
    step = re.escape(hook.filename_tmpl.replace("/", "_")).replace(re.escape("{}"), r"\d+")
    if not re.fullmatch(rf"best_[^/\\]+_{step}", name):
        return False
    if "://" in folder:
        return parent == folder.rstrip("/")
    return Path(parent).resolve() == Path(folder).resolve()


def forget_elsewhere(notes: dict[str, Any], hooks: Sequence[CheckpointHook], runner: Runner) -> None:
    """Take best checkpoints out of a run's notes that none of its hooks has written.

    Args:
        notes (dict): ``runtime_info`` of a message hub; changed in place.
        hooks (Sequence[CheckpointHook]): Of the run.
        runner (Runner): The run; says so.
    """
    for key in [key for key in notes if isinstance(key, str) and BEST.fullmatch(key) and notes[key] is not None]:
        if any(is_best_of(notes[key], hook, folder_of(hook, runner.work_dir)) for hook in hooks):
            continue
        path = notes.pop(key)
        runner.logger.warning(
            f"The best checkpoint so far, {path!r}, is none in the folder of this run: it is left alone, and "
            "stays when a better one is there"
        )

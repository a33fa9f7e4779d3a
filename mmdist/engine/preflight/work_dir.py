"""The work dir: a folder, or one that can be made, and that can be written to."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from mmengine.config import Config

from mmdist.errors import ConfigError


def check_work_dir(cfg: Config) -> None:
    """The work dir can be made and written to. The file system is left as it is.

    Only trying tells: root may write anywhere, except where the system does not let it. What is made for that has a
    name of its own and is removed at once, so that no other run started beside this one loses a folder.

    Args:
        cfg (Config): With ``work_dir``. With a launcher the main process alone looks, as it alone writes.

    Raises:
        ConfigError: The work dir cannot be used, with the system's reason.
    """
    rank = os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0"))
    if cfg.get("launcher", "none") != "none" and int(rank) != 0:
        return
    if not isinstance(cfg.work_dir, str | os.PathLike):
        raise ConfigError("work_dir", cfg.work_dir, "the path of a folder")
    work_dir = Path(os.path.abspath(cfg.work_dir))
    base = nearest_existing(work_dir)
    try:
        probe = tempfile.mkdtemp(prefix=".mmdist-", dir=base)
        try:
            Path(probe, work_dir.relative_to(base)).mkdir(parents=True, exist_ok=True)
        finally:
            shutil.rmtree(probe, ignore_errors=True)
    except (OSError, ValueError) as error:  # ValueError: a name that is none, such as one with a zero byte
        reason = getattr(error, "strerror", None) or str(error)
        hint = f"{base}: {reason}. Name another with --work-dir"
        raise ConfigError("work_dir", str(cfg.work_dir), "a folder that can be made and written to", hint) from error


def nearest_existing(path: Path) -> Path:
    """The path, or the first of those above it, that there is: a folder, a file, or a link to nowhere."""
    return next((place for place in (path, *path.parents) if os.path.lexists(place)), path)

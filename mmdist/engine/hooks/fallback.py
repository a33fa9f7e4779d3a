"""Which checkpoint a bare ``--resume`` goes on from when the newest one is damaged."""

from __future__ import annotations

import logging
import os
import zipfile
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import print_log

from mmdist.compat.checkpoint import load_checkpoint_file
from mmdist.engine.latest import latest_checkpoint
from mmdist.engine.resumed import check_content
from mmdist.errors import CheckpointError


def fall_back(cfg: Config) -> Path | None:
    """Where the newest checkpoint cannot be loaded, resume from the newest one before it that can.

    Args:
        cfg (Config): After the command line has had its say; ``load_from`` is set where an older checkpoint is taken.
            A checkpoint that the user named is left alone.

    Returns:
        Path | None: The older checkpoint. None where the newest one can be loaded, where there is none, and where no
        older one can be loaded: the damage is then for the caller to report.
    """
    newest = latest_checkpoint(cfg) if cfg.get("resume") and cfg.get("load_from") is None else None
    if newest is None or not newest.is_file():
        return None
    damage = why_not(newest)
    if not damage:
        return None
    skipped = [damage]
    for path in older_checkpoints(newest, Path(cfg.work_dir)):
        reason = why_not(path, cfg)
        if reason:
            skipped.append(reason)
            continue
        # No process group is open yet; every process finds the same file, and one of them says so.
        if int(os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0"))) == 0:
            print_log(
                f"--resume: the newest checkpoint cannot be loaded ({'; '.join(skipped)}). Resuming from {path}",
                "current",
                logging.WARNING,
            )
        cfg.load_from = str(path)
        return path
    return None


def older_checkpoints(newest: Path, work_dir: Path) -> list[Path]:
    """The other checkpoints beside the newest one and in the work dir, newest first; best ones are none to resume.

    Args:
        newest (Path): What ``last_checkpoint`` names.
        work_dir (Path): The run's folder.

    Returns:
        list[Path]: By the time of writing, and by name where that is equal.
    """
    found = {path.resolve(): path for folder in (newest.parent, work_dir) for path in folder.glob("*.pth")}
    found.pop(newest.resolve(), None)
    paths = [path for path in found.values() if path.is_file() and not path.name.startswith(("best_", "."))]
    return sorted(paths, key=lambda path: (path.stat().st_mtime_ns, len(path.name), path.name), reverse=True)


def why_not(path: Path, cfg: Config | None = None) -> str:
    """What keeps a checkpoint from being resumed, or nothing.

    Args:
        path (Path): The file.
        cfg (Config, optional): The run's: the file must have what it needs to go on; else it need only be whole.

    Returns:
        str: A phrase that names the file; empty if all is well.
    """
    try:
        content = load_checkpoint_file(path, map_location="cpu")
        if cfg is not None:
            check_content(content, str(path), scheduled=bool(cfg.get("param_scheduler")))
    except CheckpointError as error:
        return str(error)
    # torch reads past wrong content; the archive that it writes has checksums.
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if (entry := archive.testzip()) is not None:
                return f"{path} is damaged: the checksum of {entry} is wrong"
    return ""

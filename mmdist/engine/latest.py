"""The checkpoint that a bare ``--resume`` goes on from: the one that ``last_checkpoint`` names, in the run's folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config

from mmdist.errors import CheckpointError, ConfigError

NOTE = "last_checkpoint"
LONGEST = 4096  # characters of a path


def latest_checkpoint(cfg: Config) -> Path | None:
    """The checkpoint to go on from; it need not exist.

    Args:
        cfg (Config): With ``work_dir``.

    Returns:
        Path | None: In the folder that the run's checkpoints are written to. None where no checkpoint is named yet, and
        where they are written to other storage than a disk.

    Raises:
        ConfigError: The work dir cannot be looked into.
        CheckpointError: What is named is no file.
    """
    own = _own_folder(cfg)
    folders = [Path(folder) for folder in (own, cfg.work_dir) if folder and "://" not in str(folder)]
    return None if own and "://" in own else named_in(Path(cfg.work_dir), folders)


def latest_address(cfg: Config) -> str | None:
    """The same, also on other storage.

    Args:
        cfg (Config): As above.

    Returns:
        str | None: A path, or an address such as ``s3://bucket/run/epoch_1.pth``.
    """
    own = _own_folder(cfg)
    if own and "://" in own:
        name = noted_name(Path(cfg.work_dir))
        return f"{own}/{name}" if name else None
    latest = latest_checkpoint(cfg)
    return str(latest) if latest else None


def named_in(work_dir: Path, folders: Sequence[Path]) -> Path | None:
    """The file that a work dir names as its latest checkpoint.

    Of what is noted there only the name counts: a run that was moved keeps its checkpoints beside the note, and a note
    that somebody else wrote leads nowhere else.

    Args:
        work_dir (Path): Where the note is.
        folders (Sequence[Path]): Where to look for the file; the first that has it.

    Returns:
        Path | None: None without a note; in the first folder where none has the file.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, 'last_checkpoint').write_text('/moved/from/here/epoch_1.pth')
        ...     named_in(Path(folder), [Path(folder)]).relative_to(folder).as_posix()
        'epoch_1.pth'
    """
    name = noted_name(work_dir)
    if name is None:
        return None
    return next((folder / name for folder in folders if (folder / name).is_file()), folders[0] / name)


def noted_name(work_dir: Path) -> str | None:
    """The name of the file that a work dir notes as its latest checkpoint, without the folder."""
    note = work_dir / NOTE
    try:
        if not note.is_file():
            return None
        with note.open(encoding="utf-8") as file:
            text = file.read(LONGEST + 1).strip()
    except OSError as error:
        raise ConfigError("work_dir", str(work_dir), "a folder that can be read", str(error.strerror)) from error
    except UnicodeDecodeError as error:
        raise CheckpointError(f"--resume: {str(note)!r} is no text: name the checkpoint yourself") from error
    name = os.path.basename(text)
    if len(text) > LONGEST or not name.isprintable() or name in ("", ".", ".."):
        raise CheckpointError(f"--resume: {str(note)!r} names no file, but {text[:60]!r}: name the checkpoint yourself")
    return name


def _own_folder(cfg: Config) -> str | None:
    """The folder for checkpoints alone that a config names; mmengine makes one for each work dir in it."""
    hook = (cfg.get("default_hooks") or {}).get("checkpoint")
    out_dir = hook.get("out_dir") if isinstance(hook, dict) else None
    if not out_dir or out_dir == cfg.work_dir:
        return None
    return f"{str(out_dir).rstrip('/')}/{os.path.basename(str(cfg.work_dir).rstrip(os.sep))}"

"""A run that is resumed goes on as it began: options that would change its config are an error."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from mmengine.config import Config

from mmdist.engine.config import load_config
from mmdist.engine.new.images import LABELS, NONE, PER_BATCH, UNLABELED
from mmdist.engine.new.paths import beside, in_config, local, relative
from mmdist.errors import ConfigError

if TYPE_CHECKING:
    from mmdist.engine.new.work_dir import Asked


def check_unchanged(asked: Asked) -> None:
    """The run began with the same student, teacher, weights and images.

    Args:
        asked (Asked): What this command asks for; the config is in its work dir.

    Raises:
        ConfigError: The first option that would change the run.
    """
    path, images = asked.path, asked.images
    began = load_config(str(path), "--resume")
    unlabeled, per_batch = _unlabeled_of(began)
    labels = None if began.model.get("calculate_student_loss", True) else NONE
    for option, given, meant, before in (
        ("--teacher", asked.teacher, _path(asked.teacher, path), began.model.get("teacher")),
        ("--teacher-ckpt", asked.teacher_ckpt, _path(asked.teacher_ckpt, path), began.model.get("teacher_ckpt")),
        ("--student-ckpt", asked.student_ckpt, _path(asked.student_ckpt, path), began.model.get("student_ckpt")),
        (UNLABELED, images.unlabeled, images.unlabeled and _folder(images.unlabeled, path), unlabeled),
        (PER_BATCH, images.per_batch, images.per_batch, per_batch),
        (LABELS, None if images.labels else NONE, NONE, labels),
    ):
        if given is not None and meant != before:
            with_what = "without it" if before is None else f"with {before!r}"
            hint = f"this run began {with_what} ({path}); another --work-dir begins another run"
            raise ConfigError(option, given, "what the resumed run began with, or nothing", hint)
    if Config._get_base_files(str(path)) != [relative(asked.student, path)]:
        hint = f"{path} is of another student; another --work-dir begins another run"
        raise ConfigError("config", asked.student, "the student that the resumed run began with", hint)


def _path(given: str | None, path: Path) -> str | None:
    return given and in_config(local(given, path), path)


def _folder(given: str, path: Path) -> str:
    return os.path.abspath(in_config(beside(given, path), path))


def _unlabeled_of(cfg: Config) -> tuple[str | None, int | None]:
    """The unlabelled images that a written config names, and how many are in a batch."""
    loader = cfg.get("train_dataloader") or {}
    dataset, batches = loader.get("dataset") or {}, loader.get("batch_sampler") or {}
    while isinstance(dataset.get("dataset"), dict):
        dataset = dataset["dataset"]
    both = "unlabeled" in dataset
    found = dataset.get("unlabeled" if both else "images")
    found = found.get("images") if both and isinstance(found, dict) else found
    if not isinstance(found, str):
        return None, None
    return os.path.abspath(found), batches.get("unlabeled") if both else loader.get("batch_size")

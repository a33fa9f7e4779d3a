"""A user's mistakes, found before the first iteration and before anything is written."""

from __future__ import annotations

import logging

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import DefaultScope

from mmdist.engine.class_names import class_notes
from mmdist.engine.preflight.checkpoints import check_checkpoints
from mmdist.engine.preflight.data import check_data
from mmdist.engine.preflight.model import check_model
from mmdist.engine.preflight.run import check_run
from mmdist.engine.preflight.teacher import check_teacher_weights
from mmdist.engine.preflight.training_options import check_training_options
from mmdist.engine.preflight.unlabeled import check_unlabeled

__all__ = ["preflight"]


def preflight(cfg: Config, splits: tuple[str, ...], *, by_runner: bool = True) -> None:
    """Check what can be known without building anything. A config that works is never refused.

    Args:
        cfg (Config): The config as it will run, after the command line has had its say.
        splits (tuple[str, ...]): The dataloaders that will be used, of ``train``, ``val``, ``test``.
        by_runner (bool): Whether a Runner will be built, which wants a loop and an evaluator or optimizer for each.

    Raises:
        ConfigError: A type, an argument, a mapping or a path that cannot work.
        CheckpointError: Weights that cannot be read.
        MissingPackageError: A package that is not installed.
        MMDistError: Data that is not there.
    """
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope")):
        check_model(cfg)
        check_teacher_weights(cfg)
        check_run(cfg, splits, by_runner=by_runner)
        if "train" in splits:
            check_training_options(cfg)
            check_unlabeled(cfg)
        teacher_meta = check_checkpoints(cfg)
        check_data(cfg, splits)
        for note in class_notes(cfg, teacher_meta) if "train" in splits else ():
            print_log(note, "current", logging.WARNING)

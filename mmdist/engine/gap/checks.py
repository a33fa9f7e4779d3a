"""What is asked for, and whether it can be answered: before anything is built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmdist.engine import overrides
from mmdist.engine.config import load_config
from mmdist.engine.cpu import adapt_to_cpu
from mmdist.engine.preflight import preflight
from mmdist.engine.preflight.checkpoints import check_checkpoint, has_teacher
from mmdist.engine.preflight.teacher import check_teacher_weights
from mmdist.engine.weights import algorithm_class, set_teacher_checkpoint
from mmdist.errors import CheckpointError, ConfigError, MissingPackageError

SPLITS = ("val", "train")
PACKAGES = ("torchmetrics", "scipy", "matplotlib")


@dataclass(frozen=True)
class GapOptions:
    """What a gap report is asked for.

    Args:
        config (str): A distillation config, or ``pkg::path``.
        checkpoint (str): What its training wrote, or the student's weights alone.
        teacher (str, optional): The teacher's weights; by default those that the config names.
        out (str, optional): The folder to write to; by default ``gap`` in the work dir of the config.
        batches (int, optional): Batches of the data to look at; None: all.
        gradient_batches (int): Training batches that the gradients are taken of; 0: none.
        split (str): ``val``, or ``train``: the training pictures, as they are prepared for validation.
        score_threshold (float): Score from which a detection counts.
        boundary (int): Width of the zone beside the edges of labels, in pixels.
        options (dict, optional): What ``--cfg-options`` changes in the config.
    """

    config: str
    checkpoint: str
    teacher: str | None = None
    out: str | None = None
    batches: int | None = None
    gradient_batches: int = 4
    split: str = "val"
    score_threshold: float = 0.3
    boundary: int = 3
    options: dict[str, Any] | None = None


def prepare(asked: GapOptions) -> tuple[Config, dict[str, Any]]:
    """Read config and checkpoint.

    Args:
        asked (GapOptions): What is asked for.

    Returns:
        tuple[Config, dict[str, Any]]: The config as it will be built, and what is in the checkpoint.

    Raises:
        MMDistError: It cannot work, and why.
    """
    check_packages()
    check_numbers(asked)
    cfg = load_config(asked.config)
    overrides.merge_options(cfg, asked.options)
    overrides.set_work_dir(cfg, None, asked.config)
    overrides.set_loader_options(cfg, pin_memory=False, persistent_workers=False)
    check_algorithm(cfg, asked.config)
    if asked.teacher:
        set_teacher_checkpoint(cfg, asked.teacher)
    cfg.model.student_ckpt = cfg.load_from = None
    cfg.resume = False
    cfg.pop("optim_wrapper", None)  # nothing is trained, so AMP that the CPU lacks does not matter
    content = read_checkpoint(asked.checkpoint)
    check_teacher(cfg, content)
    splits = tuple(dict.fromkeys([asked.split, "val", *(["train"] if asked.gradient_batches else [])]))
    check_loaders(cfg, splits)
    check_out(asked, cfg)
    preflight(cfg, splits, by_runner=False)
    adapt_to_cpu(cfg)
    return cfg, content


def check_packages() -> None:
    """Everything that a report needs is installed.

    Raises:
        MissingPackageError: Names the extra to install.
    """
    missing = [package for package in PACKAGES if find_spec(package) is None]
    if missing:
        raise MissingPackageError("mmdist[analysis]", f"the gap report ({', '.join(missing)} missing)")


def check_numbers(asked: GapOptions) -> None:
    """Arguments that can work.

    Raises:
        ConfigError: One cannot.
    """
    if asked.split not in SPLITS:
        raise ConfigError("--split", asked.split, SPLITS)
    if asked.batches is not None and asked.batches < 1:
        raise ConfigError("--batches", asked.batches, "a number above 0; leave it out for all")
    if asked.gradient_batches < 0:
        raise ConfigError("--gradient-batches", asked.gradient_batches, "a number of batches; 0: no gradients")
    if not 0 <= asked.score_threshold < 1:
        raise ConfigError("--score-thr", asked.score_threshold, "a score from 0 to 1")
    if asked.boundary < 1:
        raise ConfigError("--boundary", asked.boundary, "a width in pixels, at least 1")


def check_algorithm(cfg: Config, path: str) -> None:
    """The config distils, with mmdist's algorithm.

    Raises:
        ConfigError: It does not.
    """
    kind = algorithm_class(cfg)
    given = cfg.model.get("type") if isinstance(cfg.get("model"), dict) else cfg.get("model")
    if kind is None:
        hint = f"{path} is no distillation config: the report compares its student with its teacher"
        raise ConfigError("model.type", given, "'mmdist.SingleTeacherDistill'", hint)
    from mmdist.models.algorithms import SingleTeacherDistill

    if not issubclass(kind, SingleTeacherDistill):
        hint = "it takes the same keys: write the prefix `mmdist.` before the type"
        raise ConfigError("model.type", given, "'mmdist.SingleTeacherDistill'", hint)


def read_checkpoint(path: str) -> dict[str, Any]:
    """What is in a checkpoint of a run, or in an exported student.

    Raises:
        CheckpointError: It cannot be read.
        MissingPackageError: A ``.safetensors`` file without the package for it.
    """
    content = check_checkpoint(path, "CKPT")
    if content is None:
        raise CheckpointError(f"CKPT = {path!r}: expected a file of this machine; download it first")
    return content


def check_teacher(cfg: Config, content: Mapping[str, Any]) -> None:
    """The teacher has weights: nothing can be said about what a random one teaches.

    Raises:
        ConfigError: It has none.
    """
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope")):
        check_teacher_weights(cfg)
    model = cfg.model
    trained = model.get("teacher_trainable") and not has_teacher(dict(content))
    if trained and not (model.get("teacher_ckpt") or model.get("random_teacher")):
        from mmdist.models.teacher_weights import no_weights

        raise no_weights("a teacher that trains is in the run's checkpoint, and in this one there is none")


def check_loaders(cfg: Config, splits: tuple[str, ...]) -> None:
    """The data that will be looked at is in the config.

    Raises:
        ConfigError: It is not.
    """
    for split in splits:
        key = f"{split}_dataloader"
        loader = cfg.get(key)
        if not isinstance(loader, dict) or not isinstance(loader.get("dataset"), dict):
            hints = {
                "train": "--gradient-batches 0 leaves the gradients out",
                "val": "it has the data and its pipeline",
            }
            raise ConfigError(key, loader, "a dataloader with a `dataset`", hints[split])


def check_out(asked: GapOptions, cfg: Config) -> None:
    """There can be a folder where the report goes.

    Raises:
        ConfigError: A file is in the way.
    """
    folder = out_folder(asked, cfg)
    blocking = next((place for place in (folder, *folder.parents) if place.exists()), None)
    if blocking is not None and not blocking.is_dir():
        raise ConfigError("--out", str(folder), "a folder", f"{str(blocking)!r} is a file")


def out_folder(asked: GapOptions, cfg: Config) -> Path:
    """Where the report goes."""
    return Path(asked.out).expanduser() if asked.out else Path(cfg.work_dir) / "gap"

"""What a diagnosis is asked for, and whether it can be answered: before anything is built."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from mmengine.config import Config
from mmengine.device import get_device

from mmdist.engine import overrides
from mmdist.engine.config import load_config
from mmdist.engine.cpu import adapt_to_cpu
from mmdist.engine.gap.checks import check_algorithm
from mmdist.engine.preflight import preflight
from mmdist.engine.weights import algorithm_class, set_student_checkpoint, set_teacher_checkpoint
from mmdist.errors import ConfigError, MissingPackageError


@dataclass(frozen=True)
class DoctorOptions:
    """What a diagnosis is asked for.

    Args:
        config (str): A distillation config, a plain one, or ``pkg::path``.
        teacher_ckpt (str, optional): The teacher's weights; by default those that the config names.
        student_ckpt (str, optional): Weights that the student starts from; likewise.
        images (int): Validation images that teacher and student predict; 0: none.
        iterations (int): Training batches for losses, gradients and times.
        cfg_options (dict, optional): What ``--cfg-options`` changes in the config.
    """

    config: str
    teacher_ckpt: str | None = None
    student_ckpt: str | None = None
    images: int = 32
    iterations: int = 4
    cfg_options: dict[str, Any] | None = None


def prepare(asked: DoctorOptions) -> tuple[Config, bool, list[str]]:
    """Read the config, and check it as a training does.

    Args:
        asked (DoctorOptions): What is asked for.

    Returns:
        tuple[Config, bool, list[str]]: The config as it will be built, whether it distils, and what is other here than
        in the training.

    Raises:
        MMDistError: It cannot work, and why.
    """
    check_numbers(asked)
    cfg = load_config(asked.config)
    overrides.merge_options(cfg, asked.cfg_options)
    overrides.set_loader_options(cfg, pin_memory=False, persistent_workers=False)
    cfg.resume = False
    distils = algorithm_class(cfg) is not None
    if distils:
        check_algorithm(cfg, asked.config)
    if asked.teacher_ckpt:
        set_teacher_checkpoint(cfg, asked.teacher_ckpt)
    if asked.student_ckpt:
        set_student_checkpoint(cfg, asked.student_ckpt)
    if asked.images and find_spec("scipy") is None:
        raise MissingPackageError("mmdist[analysis]", "the doctor's look at predictions (scipy missing; --images 0)")
    preflight(cfg, ("train", "val") if cfg.get("val_cfg") is not None else ("train",))
    notes = _without_amp(cfg)
    adapt_to_cpu(cfg)
    return cfg, distils, notes


def check_numbers(asked: DoctorOptions) -> None:
    """Numbers that can work.

    Raises:
        ConfigError: One cannot.
    """
    for name, least in (("images", 0), ("iterations", 1)):
        value = getattr(asked, name)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            allowed = "a number of images; 0: no predictions" if not least else "a number above 0"
            raise ConfigError(f"--{name}", value, allowed)


def _without_amp(cfg: Config) -> list[str]:
    """A config for a GPU can be looked at on a laptop: what is measured here does not depend on the precision."""
    wrapper = cfg.get("optim_wrapper")
    if get_device() != "cpu" or not isinstance(wrapper, dict) or wrapper.get("type") != "AmpOptimWrapper":
        return []
    cfg.optim_wrapper = {
        **{key: deepcopy(value) for key, value in wrapper.items() if key not in ("loss_scale", "dtype", "use_fp64")},
        "type": "OptimWrapper",
    }
    return ["mixed precision needs a GPU: times and memory are those of full precision"]

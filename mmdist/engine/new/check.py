"""One training iteration of a config that was just written, on random pictures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, DefaultScope

from mmdist.engine.config import load_config
from mmdist.engine.cpu import adapt_to_cpu
from mmdist.engine.modules.batch import first_line
from mmdist.engine.new.dry import ITERATIONS, pictures, seed, set_iteration
from mmdist.engine.new.images import PLAIN, Images
from mmdist.engine.new.load import without_weights
from mmdist.engine.preflight.checkpoints import REMOTE, check_checkpoints
from mmdist.engine.preflight.model import check_model
from mmdist.engine.runner import explained
from mmdist.errors import MMDistError
from mmdist.models.builder import load_model_config


def try_out(path: Path, size: tuple[int, int], images: Images = PLAIN) -> dict[str, float]:
    """Inside a dry run, build what the config describes and train it: one iteration, with RDD one in each stage.

    Nothing is downloaded: backbones start at random, and so does a teacher whose checkpoint is a URL.

    Args:
        path (Path): The config.
        size (tuple[int, int]): Height and width of the pictures.
        images (Images): Of which kinds they are. Defaults to labelled ones.

    Returns:
        dict[str, float]: The losses of the last iteration, by name.

    Raises:
        MMDistError: It does not train, or a loss is not finite; says which part.
    """
    cfg = load_config(str(path), "-o")
    for name in ("teacher_ckpt", "student_ckpt"):
        if cfg.model.get(name) and REMOTE.match(cfg.model[name]):
            cfg.model[name] = None
    cfg.model.architecture = without_weights(cfg.model.architecture)
    cfg.model.teacher = without_weights(load_model_config(cfg.model.teacher, "model.teacher"))
    cfg.model.random_teacher = cfg.model.get("teacher_ckpt") is None
    wrapper = dict(cfg.pop("optim_wrapper", None) or {"optimizer": {"type": "SGD", "lr": 0.01}})
    wrapper["type"] = "OptimWrapper"  # in full precision: mixed precision needs an accelerator
    for name in ("dtype", "loss_scale", "use_fsdp"):
        wrapper.pop(name, None)
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope")):
        check_model(cfg)
        check_checkpoints(cfg)
        adapt_to_cpu(cfg)
        with explained(cfg):
            seed()
            model = MODELS.build({"data_preprocessor": cfg.get("data_preprocessor"), **cfg.model})
            model.init_weights()  # as the runner does; some models mean nothing before
            model = model.to(get_device())
            wrapper = build_optim_wrapper(model, wrapper)
        return _train(model, cfg, wrapper, size, images)


def _train(model: Any, cfg: Config, wrapper: Any, size: tuple[int, int], images: Images) -> dict[str, float]:
    model.train()
    steps = (0,) if model.weighting is None else (0, ITERATIONS // 2)
    logged: dict[str, Any] = {}
    for step in steps:
        set_iteration(step)
        try:
            logged = model.train_step(pictures(cfg, model.architecture, size, images), wrapper)
        except MMDistError:
            raise
        except Exception as error:  # whatever a model raises on a batch that does not suit it
            kind = "random pictures" if images.labels else "random pictures without labels"
            raise MMDistError(f"the config does not train on {kind}: {first_line(error)}") from error
    losses = {name: float(value) for name, value in logged.items() if "loss" in name}
    wrong = [name for name, value in losses.items() if not math.isfinite(value)]
    if wrong:
        raise MMDistError(f"after one iteration on random pictures {', '.join(wrong)} is not finite")
    return losses

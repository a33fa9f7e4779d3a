"""The config of a cell: an arm's, at its length, rate, weight and seed, judged on the images that it may see."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from mmdist.apis.comparison.cells import SEARCH, TIMING, Cell
from mmdist.apis.comparison.lengths import BEGINNINGS, set_length, type_name
from mmdist.apis.comparison.split import Part, plain
from mmdist.engine import overrides
from mmdist.errors import ConfigError

SEED = "{seed}"
# Of a scheduler, learning rates as numbers, not as factors.
RATES = ("eta_min", "eta_max", "min_value")
# Hooks that would end a training early, or take time that is not the training's.
EARLY = ("EarlyStoppingHook",)
SHOW = ("DistillVisualizationHook", "DetVisualizationHook", "SegVisualizationHook", "VisualizationHook")
NEVER = 10**9


def cell_config(
    cell: Cell,
    arm: Config,
    part: Part,
    options: Mapping[str, Any],
    *,
    validation: Mapping[str, Any] | None = None,
    timing_batches: int | None = None,
) -> Config:
    """What is trained.

    Args:
        cell (Cell): The training.
        arm (Config): The arm's config; not changed.
        part (Part): The validation data.
        options (Mapping[str, Any]): Settings by dotted key; ``{seed}`` in a text stands for the cell's seed. What they
            say of validation data is in the part already, and changes nothing here.
        validation (Mapping[str, Any], optional): Settings of the part itself.
        timing_batches (int, optional): Of a timing cell: how many iterations it has, in a config of epochs too.

    Returns:
        Config: To be written, and trained by ``mmdist train``.

    Raises:
        ConfigError: A config whose learning rate is not a number.
    """
    cfg = copy.deepcopy(arm)
    if options:
        overrides.merge_options(cfg, _seeded(dict(options), cell.seed))
    judge_on(cfg, part, validation, cell.seed)
    if cfg.get("resume"):
        cfg.resume = False  # what is resumed is the comparison's own
    cfg.randomness = {**(cfg.get("randomness") or {}), "seed": cell.seed}
    cfg.custom_hooks = [_quiet(hook) for hook in cfg.get("custom_hooks") or () if type_name(hook) not in EARLY]
    if cell.purpose == TIMING:
        _time_alone(cfg, timing_batches or cell.length)
    else:
        set_length(cfg, cell.length)
        if cell.purpose == SEARCH:
            cfg.train_cfg.val_interval = cell.length  # at the end alone
            cfg.train_cfg.pop("dynamic_intervals", None)
    set_rate(cfg, cell.rate)
    set_weight(cfg, cell.weight)
    return cfg


def judge_on(cfg: Config, part: Part, validation: Mapping[str, Any] | None = None, seed: int = 0) -> None:
    """Validate and test a config's model on the same images.

    Args:
        cfg (Config): Changed.
        part (Part): The validation data.
        validation (Mapping[str, Any], optional): Settings of the part by dotted key.
        seed (int): What ``{seed}`` stands for. Defaults to 0.

    Raises:
        ConfigError: A setting that cannot be made.
    """
    Part(_seeded(part.loader, seed), _seeded(part.evaluator, seed), part.text).into(cfg)
    if validation:
        overrides.merge_options(cfg, _seeded(dict(validation), seed))
        Part(plain(cfg.val_dataloader), plain(cfg.val_evaluator), part.text).into(cfg)


def learning_rate(cfg: Config, key: str) -> float:
    """The learning rate of a config with one optimizer.

    Raises:
        ConfigError: There is none, or it is not a number.
    """
    optimizer = (cfg.get("optim_wrapper") or {}).get("optimizer") or {}
    rate = optimizer.get("lr")
    if not isinstance(rate, int | float) or isinstance(rate, bool) or not rate > 0:
        hint = (
            "with several optimizers, or none, no learning rate can be searched: --search-lr none"
            if rate is None
            else None
        )
        raise ConfigError(f"{key}: optim_wrapper.optimizer.lr", rate, "a number above 0", hint)
    return float(rate)


def set_rate(cfg: Config, factor: float) -> None:
    """Multiply the learning rate and its whole course; what an acclimated teacher trains at stays as it is.

    Example:
        >>> cfg = Config(dict(optim_wrapper=dict(optimizer=dict(lr=0.5)), param_scheduler=[dict(eta_min=0.25)]))
        >>> set_rate(cfg, 2)
        >>> cfg.optim_wrapper.optimizer.lr, cfg.param_scheduler[0].eta_min
        (1.0, 0.5)
    """
    if factor == 1:
        return
    cfg.optim_wrapper.optimizer.lr = learning_rate(cfg, "config") * factor
    schedulers = cfg.get("param_scheduler") or []
    for scheduler in schedulers if isinstance(schedulers, list | tuple) else [schedulers]:
        for name in RATES if _of_rates(scheduler) else ():
            if scheduler.get(name):
                scheduler[name] *= factor
    keys = (cfg.optim_wrapper.get("paramwise_cfg") or {}).get("custom_keys") or {}
    if "acclimated" in keys:
        keys["acclimated"]["lr_mult"] = keys["acclimated"].get("lr_mult", 1.0) / factor


def set_weight(cfg: Config, factor: float) -> None:
    """Multiply the weights of what the teacher says: distillation losses, or pseudo-labels where these are alone."""
    if factor == 1:
        return
    model = cfg.model
    losses = ((model.get("distiller") or {}).get("distill_losses") or {}).values()
    for loss in losses:
        loss["loss_weight"] = loss.get("loss_weight", 1.0) * factor
    if not losses and model.get("pseudo_labels"):
        model.pseudo_labels["loss_weight"] = model.pseudo_labels.get("loss_weight", 1.0) * factor


def _time_alone(cfg: Config, batches: int) -> None:
    """So many iterations, neither validated nor shown."""
    cfg.train_cfg = {"type": "IterBasedTrainLoop", "max_iters": batches, "val_interval": NEVER}
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.param_scheduler = None
    for hook in cfg.custom_hooks:  # what begins on the way is a part of an iteration's time
        for name in BEGINNINGS:
            if isinstance(hook, dict) and hook.get(name):
                hook[name] = 0
    set_length(cfg, batches)
    cfg.train_cfg["val_interval"] = NEVER
    cfg.default_hooks["checkpoint"]["interval"] = batches


def _of_rates(scheduler: Mapping[str, Any]) -> bool:
    """Whether a scheduler changes the learning rate: there are others, of the momentum or the weight decay."""
    return not type_name(scheduler).endswith("Momentum") and scheduler.get("param_name", "lr") == "lr"


def _quiet(hook: dict[str, Any]) -> dict[str, Any]:
    return {**hook, "interval": NEVER} if type_name(hook) in SHOW else hook


def _seeded(value: Any, seed: int) -> Any:
    if isinstance(value, str):
        return value.replace(SEED, str(seed))
    if isinstance(value, dict):
        return {key: _seeded(part, seed) for key, part in value.items()}
    return [_seeded(part, seed) for part in value] if isinstance(value, list | tuple) else value

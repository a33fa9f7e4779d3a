"""What goes wrong in the first pass: records, connectors and losses that do not fit, layers that do not."""

from __future__ import annotations

import re
from types import FrameType

from mmengine.config import Config
from mmengine.model import is_model_wrapper
from torch import nn

from mmdist.engine.explain.building import WHOLE, first_line, said
from mmdist.engine.explain.frames import in_forward
from mmdist.errors import ConfigError, MMDistError

LOSSES = "model.distiller.distill_losses"
CONNECTORS = "model.distiller.connectors"
MAPPINGS = "model.distiller.loss_forward_mappings"
# What PyTorch says of tensors that do not fit each other
SHAPES = re.compile(
    r"shapes? cannot be multiplied|to have \d+ channels|size of tensor|must match|out of bounds"
    r"|out of range|running_mean should contain|invalid for input of size|Sizes of tensors|normalized_shape"
    r"|Expected input batch_size"
)


def explain_pass(error: Exception, frames: list[FrameType], cfg: Config, *, first: bool) -> MMDistError | None:
    """The mistake behind an exception of a forward pass.

    Args:
        error (Exception): Any.
        frames (list[FrameType]): That it came through.
        cfg (Config): The whole config.
        first (bool): No pass has succeeded yet, so that shapes are to blame on the config.

    Returns:
        MMDistError | None: None where it was raised elsewhere, or is no matter of the config.
    """
    shapes = isinstance(error, RuntimeError | IndexError | ValueError) and SHAPES.search(str(error))
    for frame in frames:
        if frame.f_code.co_name == "compute_distill_losses" and "loss_name" in frame.f_locals:
            if isinstance(error, MMDistError) or (first and (shapes or not isinstance(error, RuntimeError))):
                return _distilling(error, frames, frame.f_locals, cfg)
            return None
    if first and (shapes or isinstance(error, AssertionError)) and in_forward(frames):
        return _layer(error, frames)
    return None


def _distilling(error: Exception, frames: list[FrameType], local: dict, cfg: Config) -> MMDistError | None:
    """MMRazor's distiller computes one loss after another, from one record after another."""
    loss = local["loss_name"]
    record = next((f.f_locals for f in frames if f.f_code.co_name == "get_record"), None)
    if record is None:
        key = f"{LOSSES}.{loss}"
    else:
        key = f"{MAPPINGS}.{loss}.{local.get('forward_key')}"
        if "record_data" in record and record.get("connector"):  # recorded, so it is what comes after
            key = f"{CONNECTORS}.{record['connector']}"
    if isinstance(error, ConfigError):
        head, _, rest = error.key.partition(".")
        if head == "model":
            return error
        if head in ("record_idx", "data_idx"):
            return error.at(f"{key}.{error.key}")
        return error.at(".".join(filter(None, (key, rest if head[:1].isupper() else error.key))))
    if isinstance(error, MMDistError):
        return MMDistError(f"{key}: {str(error).removeprefix('model.distiller: ')}")
    if record is not None and isinstance(error, AssertionError | TypeError | IndexError | KeyError):
        for name in ("data_idx", "record_idx"):
            if name in first_line(error) and record.get(name) is not None:
                return ConfigError(f"{key}.{name}", record[name], hint=first_line(error))
    node = _value(cfg, key)
    kind = node.get("type", key) if isinstance(node, dict) else key
    text = first_line(error) or type(error).__name__
    from mmdist.models.algorithms.alignment import advice_on_shapes  # late: it imports mmrazor

    return ConfigError(key, kind, hint=f"does not fit what it is given: {text}{advice_on_shapes(text)}. {WHOLE}")


def _value(cfg: Config, key: str) -> object:
    node: object = cfg
    for name in key.split("."):
        node = node.get(name) if isinstance(node, dict | Config) else None
    return node


def _layer(error: Exception, frames: list[FrameType]) -> MMDistError | None:
    """The layer that was called, by its name in the model."""
    modules = [f.f_locals["self"] for f in frames if isinstance(f.f_locals.get("self"), nn.Module)]
    if not modules:
        return None
    outer = modules[1] if len(modules) > 1 and is_model_wrapper(modules[0]) else modules[0]
    names = {id(module): f"model.{name}" for name, module in outer.named_modules() if name}
    teacher = outer.__dict__.get("_teacher")  # no submodule
    for name, module in teacher.model.named_modules() if teacher is not None else ():
        names.setdefault(id(module), f"model.teacher.{name}".rstrip("."))
    key = next((names[id(module)] for module in reversed(modules) if id(module) in names), "model")
    kind = type(modules[-1]).__name__
    return ConfigError(key, kind, hint=f"its config does not fit what it is given: {said(error)}. {WHOLE}")

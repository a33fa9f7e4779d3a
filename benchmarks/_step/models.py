"""The contenders: the same two networks with random weights, in each algorithm that a case compares."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

from mmengine.config import ConfigDict
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import MODELS, DefaultScope

from _step.cases import CONFIGS, Case
from mmdist.models.builder import build_model, load_model_config

CHANNELS = {"base_channels", "stem_channels", "in_channels", "channels", "out_channels", "feat_channels"}
# A rate at which two runs from random weights stay together although they round differently.
OPTIMIZER = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=1e-4, momentum=0.9, weight_decay=1e-4))


class Contender(NamedTuple):
    """An algorithm, its optimizer, and the iteration of the training that its steps are."""

    model: BaseModel
    optim: OptimWrapper
    iteration: int


def plain(config: Any, shrink: int) -> Any:
    """A model config for one process, without files from the network and without chance.

    Dropout is off because MMRazor leaves it on in the teacher: no two steps would have the same losses.
    """
    if isinstance(config, dict):
        config = {key: plain(value, shrink) for key, value in config.items() if key not in ("init_cfg", "pretrained")}
        if "dropout_ratio" in config:
            config["dropout_ratio"] = 0
        if config.get("type") == "SyncBN":
            config["type"] = "BN"
        if shrink > 1:
            if config.get("type") in ("ResNet", "ResNetV1c"):
                config |= dict(base_channels=64, stem_channels=64)
            for key in config.keys() & CHANNELS:
                value = config[key]
                config[key] = [channels // shrink for channels in value] if isinstance(value, list) else value // shrink
        return ConfigDict(config)
    return [plain(value, shrink) for value in config] if isinstance(config, list) else config


def build(case: Case, name: str) -> BaseModel:
    """The case's ``teacher`` or ``student`` with random weights."""
    path = getattr(case, name)
    config = load_model_config(path if "::" in path else str(CONFIGS / path), name)
    config = plain(config, case.shrink if case.quick else 1)
    if "size" in config.data_preprocessor:  # what pictures are padded to
        config.data_preprocessor.size = case.sizes[0]
    model = build_model(config, name)
    model.init_weights()
    return model


def contenders(case: Case, student: BaseModel, teacher: BaseModel, device: str) -> dict[str, Contender]:
    """All contenders, each around copies of the two models."""
    found = {}
    for name, rival in case.rivals.items():
        with DefaultScope.overwrite_default_scope(case.scope):
            models = dict(architecture=copy.deepcopy(student), teacher=copy.deepcopy(teacher))
            model = MODELS.build({**copy.deepcopy(rival.algorithm()), **models}).to(device)
            model.train()  # MMRazor's returns nothing
            found[name] = Contender(model, build_optim_wrapper(model, copy.deepcopy(OPTIMIZER)), rival.iteration)
    return found

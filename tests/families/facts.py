"""What a refusal is judged by: facts of the configs and of the built models, as plain values."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from mmdist.engine.new.dry import pictures
from mmdist.engine.new.load import without_weights
from mmdist.engine.new.pair import Pair
from mmdist.engine.new.sides import CLASSIFIER, DENSE, SEGMENTER, TWO_STAGE, Side

Facts = dict[str, Any]
PACKAGES = {  # what the constructors of these types import
    "BoxInstDataPreprocessor": "skimage",
    "Detectron2Wrapper": "detectron2",
    "TIMMBackbone": "timm",
}
HEADS = ("head", "decode_head", "bbox_head", "roi_head", "mask_head", "panoptic_head", "rpn_head")
LARGE = (512, 512)  # that small images are too small for some is no reason
GUIDED = {"GARetinaHead", "GARPNHead"}  # MMCV's MaskedConv2d
WORDS = ("language_model", "lang_model_name", "tokenizer", "text_encoder")  # of models that read text


def of_config(path: str, size: tuple[int, int]) -> Facts:
    """What a plain config says, and whether the model that it describes trains by itself.

    Args:
        path (str): Its file.
        size (tuple[int, int]): Height and width of the images.
    """
    cfg = Config.fromfile(path)
    model = cfg.model.to_dict()
    with MODELS.switch_scope_and_registry(cfg.default_scope) as registry:
        kind = registry.get(model["type"])
    types = _types(model)
    return {
        "readable": True,
        "bases": [base.__name__ for base in kind.__mro__] if isinstance(kind, type) else [],
        "headless": not any(model.get(name) for name in HEADS),
        "text": any(_has(model, word) for word in WORDS),
        "packages": sorted(name for kind, name in PACKAGES.items() if kind in types and find_spec(name) is None),
        "one_image": bool(types & GUIDED),
        "colour": takes_colour(cfg, size),
        "trains": any(trains(cfg, each) for each in (size, LARGE)),
        "operators": sorted(types & {"carafe", "CARAFE"}) if not carafe_on_cpus() else [],
    }


def readable(config: str) -> bool:
    """Whether MMEngine reads a library's config, such as ``mmdet::atss/...``."""
    try:
        Config.fromstring(f"_base_ = {config!r}", ".py")
    except Exception:  # whatever a config raises
        return False
    return True


def trains(cfg: Config, size: tuple[int, int]) -> bool:
    """Whether a plain model can be built and initialised and gives losses, without any part of a distillation."""
    try:
        with DefaultScope.overwrite_default_scope(cfg.default_scope):
            model = MODELS.build(without_weights(cfg.model)).train()
            model.init_weights()
            model(**model.data_preprocessor(pictures(cfg, model, size), training=True), mode="loss")
    except Exception:  # whatever a library's model raises
        return False
    return True


def takes_colour(cfg: Config, size: tuple[int, int]) -> bool:
    """Whether a model's backbone takes pictures of three channels; True where it cannot be built."""
    try:
        with DefaultScope.overwrite_default_scope(cfg.default_scope):
            backbone = MODELS.build(cfg.model).eval().backbone
    except Exception:  # whatever a library's model raises
        return True
    try:
        backbone(torch.zeros(2, 3, *size))
    except RuntimeError as error:
        return "channels" not in str(error)
    except Exception:  # it wants more than pictures
        return True
    return True


def of_pair(pair: Pair) -> Facts:
    """What the dry run of a pair found."""
    return {side.name: _of_side(side) for side in (pair.student, pair.teacher)}


def _of_side(side: Side) -> Facts:
    model, head = side.model, _head(side)
    generator = getattr(head, "prior_generator", None)
    anchors = [base.tolist() for base in getattr(generator, "base_anchors", [])]
    loss = getattr(head, "loss_cls", None)
    return {
        "kind": side.kind,
        "task": side.task,
        "classes": side.classes,
        "channels": side.channels,
        "sigmoid": side.sigmoid,
        "per_position": side.anchors,
        "base_anchors": anchors,
        "priors": _priors(generator),
        "head": [base.__name__ for base in type(head).__mro__],
        "objectness": any(hasattr(head, name) for name in ("loss_obj", "loss_conf")),
        "loss": type(loss).__name__ if loss is not None else "",
        "scores": [list(spot.shape) for spot in side.logits],
        "labels": len(side.labels),
        "maps": [list(spot.shape) for spot in side.features],
        "queries": any(hasattr(part, name) for part in (model, head) for name in ("num_queries", "num_proposals")),
        "boxes": getattr(model, "bbox_head", None) is not None or hasattr(model, "roi_head"),
        "context": any(hasattr(getattr(model, "roi_head", None), name) for name in ("semantic_head", "glbctx_head")),
    }


def _head(side: Side) -> Any:
    model = side.model
    names = {CLASSIFIER: ("head",), SEGMENTER: ("decode_head",), DENSE: ("bbox_head",), TWO_STAGE: ("roi_head",)}
    for name in (*names.get(side.kind, ()), *HEADS):
        head = getattr(model, name, None)
        if isinstance(head, nn.Module):
            return head[-1] if isinstance(head, nn.ModuleList) else head
    return None


def _priors(generator: Any) -> list:
    """Of a head without anchors: its strides, and where in a cell a point is."""
    if generator is None or hasattr(generator, "base_anchors"):
        return [generator is None]
    return [[list(stride) for stride in generator.strides], getattr(generator, "offset", None)]


def carafe_on_cpus() -> bool:
    """Whether mmcv's CARAFE runs without a GPU."""
    from mmcv.ops import carafe

    try:
        carafe(torch.zeros(1, 1, 2, 2), torch.zeros(1, 9, 4, 4), 3, 1, 2)
    except RuntimeError:
        return False
    return True


def _types(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["type"].rpartition(".")[2]} if isinstance(node.get("type"), str) else set()
        return own.union(*map(_types, node.values()))
    return set().union(*map(_types, node)) if isinstance(node, list | tuple) else set()


def _has(node: Any, key: str) -> bool:
    if isinstance(node, dict):
        return key in node or any(_has(part, key) for part in node.values())
    return isinstance(node, list | tuple) and any(_has(part, key) for part in node)

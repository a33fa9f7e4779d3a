"""Where an mmpretrain classifier's scores, labels and features are."""

from __future__ import annotations

import torch

from mmdist.engine.new.sides import CLASSIFIER, Side, Spot
from mmdist.engine.new.watch import Watched
from mmdist.errors import ConfigError
from mmdist.models.heads import SDDHead
from mmdist.models.recorders.owners import set_owner


def describe(side: Side, watched: Watched) -> None:
    """Fill in what was found.

    Args:
        side (Side): Of a model with a ``head``.
        watched (Watched): A pass of it.
    """
    side.kind = CLASSIFIER
    head = side.model.head
    count = side.input_shape[0]
    if not any(cls.__name__ == "ClsHead" for cls in type(head).__mro__) or not hasattr(head, "num_classes"):
        side.missing["logits"] = f"{type(head).__name__} does not give each picture one of several classes"
    else:
        side.classes = side.channels = head.num_classes
        _find_logits(side, watched, (count, head.num_classes))
    if side.logits:
        fits = [(count,), side.logits[0].shape]  # soft labels have the shape of the scores
        label = watched.label("head.loss_module", 0, lambda shape: shape in fits)
        side.labels = [label] if label else []
        side.missing["labels"] = "its loss takes no label as its second argument"
        side.last = watched.last_layers(side.logits[0].source, "backbone")
    _find_feature(side, watched)


def _find_logits(side: Side, watched: Watched, shape: tuple[int, int]) -> None:
    """The last layer; the head as a whole where several layers, or none, return scores."""
    scores = [[((), shape)]]
    layers = [module.name for module in watched.layers("head") if module.outputs == scores]
    if len(layers) == 1:
        side.logits = [Spot(layers[0], shape)]
    elif watched.modules["head"].outputs == scores and watched.modules["head"].calls:
        side.logits = [Spot("head", shape)]
    else:
        side.missing["logits"] = f"{type(side.model.head).__name__} does not return one score for each class"


def _find_feature(side: Side, watched: Watched) -> None:
    """The last map of the backbone; where it averages itself, as ConvNeXt, that of its last stage."""
    stages = [name for name in watched.modules if name.startswith("backbone.stages.") and name.count(".") == 2]
    for name in ("backbone", *stages[-1:]):
        found = watched.modules[name].outputs[-1:] if name in watched.modules else []
        for index, shape in found[0][-1:] if found else ():
            if len(shape) == 4 and len(index) <= 1:
                side.features = [Spot(name, shape, data_idx=index[0] if index else None)]
                return
    side.missing["features"] = "its backbone returns no map, (N, D, H, W)"


def why_not_regions(side: Side) -> str:
    """Why SDD cannot let the model's classifier answer for regions; empty: it can."""
    if side.why("features"):
        return side.why("features")
    feature = torch.zeros(2, *side.features[0].shape[1:], device=next(side.model.parameters()).device)
    set_owner(feature, side.model)
    side.model.train(side.name == "student")
    try:
        with torch.no_grad():
            SDDHead((1, 2)).forward_train(feature)
    except ConfigError as error:
        return f"the head of the {side.name} ({type(side.model).__name__}) cannot be applied to regions: {error}"
    return ""

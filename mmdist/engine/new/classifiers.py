"""Where an mmpretrain classifier's scores, labels and features are."""

from __future__ import annotations

import torch

from mmdist.engine.new.sides import CLASSIFIER, Side, Spot
from mmdist.engine.new.watch import NO_LAST, Watched
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
    families = {cls.__name__ for cls in type(head).__mro__}
    side.sigmoid = "MultiLabelClsHead" in families
    if not families & {"ClsHead", "MultiLabelClsHead"}:
        side.missing["logits"] = f"{type(head).__name__} does not give each picture the scores of one set of classes"
    else:
        _find_logits(side, watched)
    if side.logits:
        side.classes = side.channels = side.logits[0].shape[1]
        fits = [side.input_shape[:1], side.logits[0].shape]  # soft labels have the shape of the scores
        label = watched.label("head.loss_module", 0, lambda shape: shape in fits)
        side.labels = [label] if label else []
        side.missing["labels"] = "its loss takes no label as its second argument"
    _find_feature(side, watched)
    if side.logits:
        feature = side.features[0].shape if side.features else ()
        side.last = watched.last_layers(side.logits[0].source, feature=feature)
        side.missing["last"] = NO_LAST


def _find_logits(side: Side, watched: Watched) -> None:
    """The last layer; the head as a whole where several layers, or none, return scores."""
    whole = watched.modules["head"]
    returned = [shape for call in whole.outputs for index, shape in call if index == ()]
    known = getattr(side.model.head, "num_classes", None) or (returned[0][-1] if returned else 0)
    scores = [[((), (side.input_shape[0], known))]]
    layers = [module.name for module in watched.layers("head") if module.outputs == scores]
    if len(layers) == 1:
        side.logits = [Spot(layers[0], scores[0][0][1])]
    elif whole.outputs == scores and whole.calls:  # the backbone has the classifier, as VGG
        side.logits = [Spot("head", scores[0][0][1])]
    else:
        side.missing["logits"] = f"{type(side.model.head).__name__} does not return one score for each class"


def _find_feature(side: Side, watched: Watched) -> None:
    """The last map of the backbone; where it averages itself, as ConvNeXt, that of its last stage."""
    stages = [name for name in watched.modules if name.startswith("backbone.stages.") and name.count(".") == 2]
    for name in ("backbone", *stages[-1:]):
        calls = watched.modules[name].outputs if name in watched.modules else []
        for index, shape in calls[-1][-1:] if calls else ():
            if len(shape) == 4 and len(index) <= 1:
                data = index[0] if index else None
                side.features = [Spot(name, shape, record_idx=len(calls) - 1, data_idx=data)]
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

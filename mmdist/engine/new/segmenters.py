"""Where an mmseg segmenter's scores, labels and features are."""

from __future__ import annotations

from torch import nn

from mmdist.engine.modules.trace import Shape
from mmdist.engine.new.sides import SEGMENTER, Side, Spot
from mmdist.engine.new.watch import Watched


def describe(side: Side, watched: Watched) -> None:
    """Fill in what was found.

    Args:
        side (Side): Of a model with a ``decode_head``.
        watched (Watched): A pass of it.
    """
    side.kind = SEGMENTER
    path = last_of(side.model.decode_head, "decode_head")
    head = side.model.get_submodule(path)
    side.classes, side.channels = head.num_classes, getattr(head, "out_channels", head.num_classes)
    if side.channels == 1:
        side.missing["logits"] = "it has a single score a pixel, and these methods compare several classes"
    else:
        side.logits = scores(watched, path, side.channels, side.input_shape)
        side.missing["logits"] = (
            f"no part of {type(head).__name__} returns one map of {side.channels} class scores, as heads of masks and "
            "queries do not"
        )
    if side.logits:
        loss = last_of(head.loss_decode, f"{path}.loss_decode", first=True)
        label = watched.label(loss, 0, lambda shape: len(shape) == 3 and shape[0] == side.input_shape[0])
        side.labels = [label] if label else []
        side.missing["labels"] = f"{type(head).__name__} gives its loss no label map"
        side.last = watched.last_layers(side.logits[0].source, path)
        _find_feature(side, watched, path)
    else:
        side.missing["features"] = "without a classifier, there is no feature before it"
    auxiliary = getattr(side.model, "auxiliary_head", None)
    if auxiliary is not None:
        side.auxiliary = scores(watched, last_of(auxiliary, "auxiliary_head"), side.channels, side.input_shape)


def last_of(part: nn.Module, name: str, *, first: bool = False) -> str:
    """The name of a part, or of the last (or first) one of a list: of a cascade, the last head predicts."""
    return f"{name}.{0 if first else len(part) - 1}" if isinstance(part, nn.ModuleList) else name


def scores(watched: Watched, path: str, channels: int, input_shape: Shape) -> list[Spot]:
    """The map of class scores of a head.

    Args:
        watched (Watched): A pass.
        path (str): The head.
        channels (int): Its classes.
        input_shape (Shape): Of the pictures.

    Returns:
        list[Spot]: One, or none: of ``conv_seg``; of the one layer that returns such a map; of the head itself.
    """

    def maps(outputs: list) -> Shape | None:
        shapes = [shape for call in outputs for _, shape in call]
        fits = len(shapes) == 1 and len(shapes[0]) == 4 and shapes[0][:2] == (input_shape[0], channels)
        return shapes[0] if fits else None

    found = {module.name: maps(module.outputs) for module in watched.layers(path)}
    found = {name: shape for name, shape in found.items() if shape}
    if f"{path}.conv_seg" in found:
        return [Spot(f"{path}.conv_seg", found[f"{path}.conv_seg"])]
    whole = maps(watched.modules[path].outputs)
    if whole is None:
        return []
    if len(found) == 1:
        return [Spot(name, shape) for name, shape in found.items()]
    return [Spot(f"{path}.forward", whole, "mmdist.Method")]  # mmseg calls the head's method


def _find_feature(side: Side, watched: Watched, path: str) -> None:
    """What the classifier is given, before dropout."""
    for name in (f"{path}.dropout", side.logits[0].source):
        for index, shape in (watched.inputs.get(name) or [[]])[-1][:1]:
            if index == (0,) and len(shape) == 4:
                side.features = [Spot(name, shape, what="inputs", data_idx=0)]
                return
    side.missing["features"] = f"nothing is known of what stands before {side.logits[0].source}"

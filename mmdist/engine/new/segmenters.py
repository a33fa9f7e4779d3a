"""Where an mmseg segmenter's scores, labels and features are."""

from __future__ import annotations

from typing import Any

from torch import nn

from mmdist.engine.modules.trace import Shape
from mmdist.engine.new.sides import SEGMENTER, Side, Spot
from mmdist.engine.new.watch import NO_LAST, Watched
from mmdist.models.weightings.targets import each


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
    side.logits = scores(watched, path, side.channels, side.input_shape)
    side.missing["logits"] = (
        f"no part of {type(head).__name__} returns one map of {side.channels} class scores, as heads of masks, points "
        "and queries do not"
    )
    loss = loss_of(side.model, path)
    side.sigmoid = bool(loss and getattr(side.model.get_submodule(loss), "use_sigmoid", False))
    if side.logits:
        label = loss and watched.label(loss, 0, lambda shape: len(shape) == 3 and shape[0] == side.input_shape[0])
        side.labels = [label] if label else []
        side.missing["labels"] = f"{type(head).__name__} gives its loss no label map"
        side.last, side.missing["last"] = watched.last_layers(side.logits[0].source, path), NO_LAST
    _find_feature(side, watched, path)
    auxiliary = getattr(side.model, "auxiliary_head", None)
    if auxiliary is not None:  # the last one first
        paths = [name for name, _ in each("auxiliary_head", auxiliary)][::-1]
        found = [scores(watched, name, side.channels, side.input_shape) for name in paths]
        side.auxiliary = [spot for spots in found for spot in spots]
        side.missing["auxiliary"] = "no auxiliary head that returns a map of its classes"


def loss_of(model: nn.Module, path: str) -> str | None:
    """The name of a head's loss module, of several the first; None: it has none of its own, as KNet's."""
    losses = getattr(model.get_submodule(path), "loss_decode", None)
    return last_of(losses, f"{path}.loss_decode", first=True) if isinstance(losses, nn.Module) else None


def last_of(part: nn.Module, name: str, *, first: bool = False) -> str:
    """The name of a part, or of the last (or first) one of a list: of a cascade, the last head predicts."""
    return f"{name}.{0 if first else len(part) - 1}" if isinstance(part, nn.ModuleList) else name


def align_corners_of(model: nn.Module, source: str) -> bool:
    """How the head that a recorder's source is in resizes its own scores."""
    part: Any = model
    for name in source.split("."):
        part = getattr(part, name, None)
        if hasattr(part, "align_corners"):
            return bool(part.align_corners)
    return False


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
    if whole is None:  # several maps, as KNet's stages in training: the last
        last = [
            (index, shape) for index, shape in (watched.modules[path].outputs or [[]])[-1] if maps([[(index, shape)]])
        ]
        index, shape = last[-1] if len(last) > 1 else ((), ())
        return [Spot(f"{path}.forward", shape, "mmdist.Method", data_idx=index[0])] if len(index) == 1 else []
    if len(found) == 1:
        return [Spot(name, shape) for name, shape in found.items()]
    return [Spot(f"{path}.forward", whole, "mmdist.Method")]  # mmseg calls the head's method


def _find_feature(side: Side, watched: Watched, path: str) -> None:
    """What the classifier is given, before dropout; where that is not known, the last map before the head."""
    for name in (f"{path}.dropout", *(spot.source for spot in side.logits[:1])):
        calls = watched.inputs.get(name) or [[]]  # ANN drops out twice, and classifies what the second gives
        for index, shape in calls[-1][:1]:
            if index == (0,) and len(shape) == 4:
                side.features = [Spot(name, shape, what="inputs", record_idx=len(calls) - 1, data_idx=0)]
                return
    for name in ("neck", "backbone"):
        calls = watched.modules[name].outputs if name in watched.modules else []
        maps = [(index, shape) for index, shape in (calls or [[]])[-1] if len(shape) == 4 and len(index) <= 1]
        if maps:
            index, shape = maps[-1]
            data = index[0] if index else None
            side.features = [Spot(name, shape, record_idx=len(calls) - 1, data_idx=data)]
            return
    side.missing["features"] = "neither its neck nor its backbone returns a map, (N, D, H, W)"

"""Is what would be recorded what the model decides with? Compared by value, and put right or left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from mmdist.engine.modules.batch import first_line
from mmdist.engine.new.dry import seed
from mmdist.engine.new.passes import Batch, given, loss_labels, reached, recorded, recorders
from mmdist.engine.new.segmenters import last_of, loss_of
from mmdist.engine.new.sides import CLASSIFIER, DENSE, SEGMENTER, TWO_STAGE, Side, Spot
from mmdist.models.algorithms.passes import forward_rois
from mmdist.models.recorders.tap import Tap

RELATIVE, ABSOLUTE = 1e-3, 1e-5


def settle(side: Side, batch: Batch) -> None:
    """Let the spots of the class scores be those that inference decides with; none, with the reason, where none is.

    Args:
        side (Side): Described; its weights are random and its norms fit them.
        batch (dict): Preprocessed.
    """
    if side.logits:
        try:
            why = _settle_regions(side, batch) if side.kind == TWO_STAGE else _settle_scores(side, batch)
        except Exception as error:  # whatever a model raises when it predicts on random pictures
            why = f"what it decides with could not be compared with its class scores: {first_line(error)}"
        if why:
            side.logits, side.labels, side.last = [], [], []
            side.missing["logits"] = why
    if side.auxiliary:
        _settle_auxiliary(side, batch)


def _settle_scores(side: Side, batch: Batch) -> str:
    decided = _decided(side, batch)
    if decided is None:
        return "what its inference decides with is not known"
    first = side.logits
    for spots in (first, _of_the_head(side)):
        ways = (True, False) if side.kind == DENSE and side.name == "student" else (True,)
        if spots and any(_agree(_values(side, batch, spots, way), decided, side) for way in ways):
            if spots is not first:
                side.logits, side.last = spots, []
            return ""
    head = type(_head(side)).__name__
    probabilities = all(float(level.min()) >= 0 and float(level.max()) <= 1 for level in decided)
    gives = "probabilities, which are no logits" if probabilities else "something else"
    return f"{first[0].source} is not what {head} decides with: that is {gives}"


def _values(side: Side, batch: Batch, spots: Sequence[Spot], training: bool) -> list[Any]:
    try:
        return recorded(side, batch, spots, training=training)
    except Exception:  # such as a layer that this way does not reach
        return []


def _head(side: Side) -> nn.Module:
    name = {CLASSIFIER: "head", SEGMENTER: "decode_head", DENSE: "bbox_head"}[side.kind]
    head = getattr(side.model, name)
    return head[-1] if isinstance(head, nn.ModuleList) else head


def _decided(side: Side, batch: Batch) -> list[Tensor] | None:
    """What the model's inference takes for class scores, level by level."""
    head = _head(side)
    if side.kind == SEGMENTER:
        passed = given(batch)
        side.model.eval()
        seed()
        with torch.no_grad():
            metas = [sample.metainfo for sample in passed["data_samples"]]
            return [side.model.encode_decode(passed["inputs"], metas)]
    method = "predict_by_feat" if side.kind == DENSE else "_get_predictions"
    found = reached(side.model, batch, head, method) if hasattr(head, method) else None
    levels = [found] if isinstance(found, Tensor) else found
    whole = isinstance(levels, list | tuple) and all(isinstance(level, Tensor) for level in levels)
    return list(levels) if whole and levels else None


def _of_the_head(side: Side) -> list[Spot]:
    """The class scores that the head as a whole returns."""
    shapes = [replace(spot, what="outputs", record_idx=0, data_idx=None) for spot in side.logits]
    if side.kind == CLASSIFIER:
        return [replace(shapes[0], source="head", recorder="mmdist.Module")]
    if side.kind == SEGMENTER:
        path = last_of(side.model.decode_head, "decode_head")
        return [replace(shapes[0], source=f"{path}.forward", recorder="mmdist.Method")]
    if not hasattr(side.model.bbox_head, "forward_single"):
        return []
    single = {"source": "bbox_head.forward_single", "recorder": "mmdist.Method", "data_idx": 0}
    return [replace(spot, **single, record_idx=level) for level, spot in enumerate(shapes)]


def _agree(values: Sequence[Any], decided: Sequence[Tensor], side: Side) -> bool:
    if len(values) != len(decided):
        return False
    align = getattr(_head(side), "align_corners", None) if side.kind == SEGMENTER else None
    return all(_same(value, level, align) for value, level in zip(values, decided, strict=True))


def _same(value: Any, decided: Tensor, align: bool | None) -> bool:
    if not isinstance(value, Tensor) or value.ndim != decided.ndim:
        return False
    if align is not None and value.shape[2:] != decided.shape[2:]:
        value = interpolate(value.float(), decided.shape[2:], mode="bilinear", align_corners=align)
    if value.shape != decided.shape:
        return False
    forms = [value, value.sigmoid(), value.softmax(1)]
    return any(equal(form, decided) for form in forms)


def equal(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors differ by rounding alone.

    Example:
        >>> equal(torch.ones(2), torch.ones(2) + 1e-7), equal(torch.ones(2), torch.ones(2) + 0.1)
        (True, False)
    """
    scale = max(1.0, float(other.abs().max()))
    return torch.allclose(one.float(), other.float(), rtol=RELATIVE, atol=ABSOLUTE * scale)


@torch.no_grad()
def _settle_regions(side: Side, batch: Batch) -> str:
    """The box head, run on given regions as in distillation, answers as in the model's own inference."""
    model, head = side.model, side.model.roi_head
    calls: list[tuple[Tensor, Tensor]] = []
    manager, (name,) = recorders(model, side.logits)

    def note(args: tuple, kwargs: dict, output: Any) -> None:
        bound = signature(head._bbox_forward).bind(*args, **kwargs)
        calls.append((bound.arguments["rois"], output["cls_score"]))

    several = isinstance(head.bbox_head, nn.ModuleList)
    last = head.bbox_head[-1] if several else head.bbox_head
    tap = Tap.open(head, "_bbox_forward", note)
    try:
        with manager:
            decided = _class_scores(model, batch, last)
    finally:
        tap.close(note)
    if not calls or not len(calls[0][0]):
        return "its inference looks at no region of a random picture"
    rois, expected = calls[0]
    own = manager.get_recorder(name).get_record_data()
    if decided is not None and not several and not (len(calls) == 1 and equal(own, decided)):
        return f"{side.logits[0].source} is not what {type(head).__name__} decides with"
    if not equal(own, expected):
        return f"{side.logits[0].source} is not what {type(head).__name__} takes for class scores"
    with manager:
        forward_rois(model, model.extract_feat(given(batch)["inputs"]), rois)
    if not equal(manager.get_recorder(name).get_record_data(), expected):
        return f"{type(head).__name__} answers for regions with more than their features"
    if several:
        side.notes.append(
            "of a cascade the first stage is compared, which looks at the same regions on both sides; its inference "
            "takes the mean of its stages"
        )
    return ""


def _class_scores(model: nn.Module, batch: Batch, box_head: nn.Module) -> Tensor | None:
    found: list[Any] = []

    def leave(*args: Any, **kwargs: Any) -> None:
        found.append(kwargs.get("cls_scores", args[1] if len(args) > 1 else None))
        raise _Left

    vars(box_head)["predict_by_feat"] = leave
    model.eval()
    try:
        model(**given(batch), mode="predict")
    except _Left:
        pass
    finally:
        del vars(box_head)["predict_by_feat"]
    scores = found[0] if found else None
    if isinstance(scores, list | tuple) and all(isinstance(part, Tensor) for part in scores):
        return torch.cat(list(scores))
    return scores if isinstance(scores, Tensor) else None


class _Left(Exception):
    """The pass has come as far as it needs to."""


def _settle_auxiliary(side: Side, batch: Batch) -> None:
    """An auxiliary head counts where it learns the labels that the main head learns, in the same way; one is enough."""
    candidates, side.auxiliary = side.auxiliary, []
    main = loss_of(side.model, last_of(side.model.decode_head, "decode_head"))
    others = [loss_of(side.model, _auxiliary_path(side.model, spot)) for spot in candidates]
    labels = loss_labels(side.model, batch, [name for name in (main, *others) if name])
    for spot, other in zip(candidates, others, strict=True):
        known = labels.get(main or ""), labels.get(other or "")
        if known[0] is None or known[1] is None or known[0].shape != known[1].shape or not torch.equal(*known):
            continue
        if len({bool(getattr(side.model.get_submodule(name), "use_sigmoid", False)) for name in (main, other)}) == 1:
            side.auxiliary = [spot]
            return
    side.missing["auxiliary"] = "its auxiliary head learns something else than the classes"


def _auxiliary_path(model: nn.Module, spot: Spot) -> str:
    several = isinstance(model.auxiliary_head, nn.ModuleList)
    return ".".join(spot.source.split(".")[: 2 if several else 1])

"""Where an mmdet detector's scores, labels and features are."""

from __future__ import annotations

import re

import torch
from torch import nn

from mmdist.engine.modules.batch import first_line
from mmdist.engine.new.sides import DENSE, TWO_STAGE, Side, Spot
from mmdist.engine.new.watch import NO_LAST, Watched
from mmdist.errors import MMDistError
from mmdist.models.heads.classifier import check_batch_norm
from mmdist.models.heads.roi import classify_rois


def describe(side: Side, watched: Watched) -> None:
    """Fill in what was found.

    Args:
        side (Side): Of a detector.
        watched (Watched): A pass of it.
    """
    if hasattr(side.model, "roi_head"):
        _describe_rois(side, watched)
    elif getattr(side.model, "bbox_head", None) is not None:
        _describe_dense(side, watched)
    elif getattr(side.model, "mask_head", None) is not None:
        side.missing["logits"] = "it has a head of masks alone, whose scores no box or anchor has"
    else:
        side.missing["logits"] = "it has neither a `bbox_head` nor a `roi_head`"
    count = side.input_shape[0]
    returned = watched.modules["neck"].outputs[0] if watched.modules.get("neck") and watched.inputs.get("neck") else []
    levels = [(index, shape) for index, shape in returned if len(shape) == 4 and shape[0] == count and len(index) <= 1]
    side.features = [Spot("neck", shape, data_idx=index[0] if index else None) for index, shape in levels]
    side.missing["features"] = "it has no neck that returns maps, (N, D, H, W)"


def _describe_rois(side: Side, watched: Watched) -> None:
    """The first stage: of teacher and student it looks at the same regions."""
    side.kind = TWO_STAGE
    head = side.model.roi_head
    several = "roi_head.bbox_head.0" in watched.modules
    path = "roi_head.bbox_head.0" if several else "roi_head.bbox_head"
    box_head = side.model.get_submodule(path) if getattr(head, "bbox_head", None) is not None else None
    if not hasattr(head, "_bbox_forward") or not hasattr(box_head, "fc_cls"):
        side.missing["logits"] = f"{type(head).__name__} has no box head with `fc_cls`, whose regions are known"
        return
    side.classes, side.channels = box_head.num_classes, box_head.num_classes + 1
    outputs = watched.modules[f"{path}.fc_cls"].outputs
    shape = outputs[0][0][1] if outputs and outputs[0] else ()
    if shape[1:] != (side.channels,):
        side.missing["logits"] = f"{path}.fc_cls does not return a score for each of {side.channels} classes"
        return
    side.logits = [Spot(f"{path}.fc_cls", shape)]
    label = watched.label(f"{path}.loss_cls", 0, lambda given: given == shape[:1])
    side.labels = [label] if label else []
    side.missing["labels"] = f"{path}.loss_cls takes no class for each region"
    side.last, side.missing["last"] = watched.last_layers(f"{path}.fc_cls", path, "cls"), NO_LAST


def _describe_dense(side: Side, watched: Watched) -> None:
    side.kind = DENSE
    head = side.model.bbox_head
    side.channels = getattr(head, "cls_out_channels", getattr(head, "num_classes", 0))
    side.classes = getattr(head, "num_classes", side.channels)
    side.sigmoid = getattr(head, "use_sigmoid_cls", True)
    anchors = getattr(head, "num_base_priors", 1)
    side.anchors = anchors if isinstance(anchors, int) else 0
    side.logits = _levels(side, watched)
    if not side.logits:
        maps = f"{side.anchors * side.channels} class scores" if side.anchors else "as many scores in each position"
        side.missing["logits"] = (
            f"no layer of {type(head).__name__} returns a map of {maps} for each level; scores of queries have no "
            "counterpart in another model"
        )
        return
    if not side.sigmoid and side.anchors > 1:
        side.missing["logits"] = f"in one position stand the softmax scores of {side.anchors} anchors"
        side.logits = []
        return
    for level, spot in enumerate(side.logits):
        rows = spot.shape[0] * spot.shape[2] * spot.shape[3] * side.anchors
        label = watched.label("bbox_head.loss_cls", level, lambda shape, rows=rows: shape == (rows,))
        if label is None:
            side.labels = []
            side.missing["labels"] = f"{type(head).__name__} does not give its loss one class an anchor, level by level"
            break
        side.labels.append(label)
    side.last, side.missing["last"] = watched.last_layers(side.logits[0].source, "bbox_head", "cls"), NO_LAST


def _levels(side: Side, watched: Watched) -> list[Spot]:
    """The last layers that return the class scores, level by level: one shared by all, or one for each."""
    count, channels = side.input_shape[0], side.anchors * side.channels
    groups: dict[str, list[Spot]] = {}
    for module in watched.layers("bbox_head"):
        shapes = [call[0][1] for call in module.outputs if len(call) == 1]
        if shapes and all(len(shape) == 4 and shape[:2] == (count, channels) for shape in shapes):
            spots = [Spot(module.name, shape, record_idx=number) for number, shape in enumerate(shapes)]
            groups.setdefault(re.sub(r"\d+", "#", module.name), []).extend(spots)
    named = {name: spots for name, spots in groups.items() if "cls" in name} or groups
    given = watched.inputs.get("bbox_head")
    levels = len([shape for _, shape in given[0] if len(shape) == 4]) if given else 0
    for spots in reversed(list(named.values())):
        if levels and len(spots) > levels and len(spots) % levels == 0:
            spots = spots[:levels]  # CondInst calls its box head once more in `tensor` mode
        sizes = [spot.shape[2] * spot.shape[3] for spot in spots]
        if sizes == sorted(sizes, reverse=True):
            return spots
    return []


def why_not_rois(side: Side) -> str:
    """Why SDD cannot let a two-stage detector's box head answer for parts of regions; empty: it can."""
    model = side.model
    box_head = model.roi_head.bbox_head
    size = 16
    shapes = [spot.shape for spot in side.features] or [()]
    parameter = next(model.parameters())
    pyramid = [parameter.new_zeros(1, *shape[1:]) for shape in shapes if len(shape) == 4]
    rois = parameter.new_tensor([[0, 0, 0, size, size]])
    first = box_head[0] if isinstance(box_head, nn.ModuleList) else box_head
    model.eval()
    try:
        if side.name == "student":
            check_batch_norm(first.train())
            first.eval()
        with torch.no_grad():
            classify_rois(model, (pyramid, rois))
    except MMDistError as error:
        return f"the {side.name} ({type(model).__name__}): {error}"
    except Exception as error:  # whatever a box head raises that takes more than the regions' features
        return f"the {side.name} ({type(first).__name__}) does not answer for parts of regions: {first_line(error)}"
    return ""

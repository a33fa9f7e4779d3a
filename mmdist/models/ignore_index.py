"""The label that a model's head leaves out: what is compared beside its task loss leaves out the same."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from mmengine.logging import print_log
from mmrazor.models.distillers import BaseDistiller
from torch import nn

ATTRIBUTE = "ignore_index"
LABELS = "gt_labels"  # what the losses call the labels
NOTHING = -100  # what PyTorch's losses have where nobody said anything
HEADS = ("decode_head", "head", "bbox_head", "semantic_head")


def head_ignore_index(model: nn.Module, source: str = "") -> int | None:
    """The label that a head leaves out, as far as the head says.

    mmseg's heads hold it themselves and hand it on to their losses; elsewhere the loss has it.

    Args:
        model (nn.Module): The student or the teacher.
        source (str): A module, or a method, inside the head. Defaults to the head that predicts.

    Returns:
        int | None: The label; None where the head says nothing, or that no label is left out.

    Example:
        >>> model = nn.ModuleDict({'decode_head': nn.Identity()})
        >>> model['decode_head'].ignore_index = 0
        >>> head_ignore_index(model, 'decode_head.conv_seg')
        0
    """
    for part in _parts(model, source):
        for holder in (part, *(child for name, child in part.named_children() if name.startswith("loss"))):
            for one in holder if isinstance(holder, nn.ModuleList) else (holder,):
                index = getattr(one, ATTRIBUTE, None)
                if isinstance(index, int) and not isinstance(index, bool) and index != NOTHING:
                    return index
    return None


def inherit_ignore_index(distiller: BaseDistiller, student: nn.Module) -> None:
    """Tell the losses that take labels which one the student's head leaves out, where the config does not.

    Args:
        distiller (BaseDistiller): Its losses are built.
        student (nn.Module): The student.
    """
    losses = dict(getattr(distiller, "distill_losses", {}).items())
    for name, mapping in (getattr(distiller, "loss_forward_mappings", None) or {}).items():
        loss = losses.get(name)
        base = getattr(loss, "base", None)  # of SDD's, which holds another loss
        loss = base if isinstance(base, nn.Module) else loss
        if LABELS not in mapping or not hasattr(loss, ATTRIBUTE):
            continue
        found = _of_sources(distiller, student, mapping)
        if found is None:
            continue
        given = loss.ignore_index
        if given is None:
            loss.ignore_index = found
        elif given != found:
            text = f"model.distiller.distill_losses.{name}.ignore_index = {given}, but the student's head leaves out "
            print_log(f"{text}the label {found}: the distillation leaves out {given}", "current", logging.WARNING)


def _of_sources(distiller: BaseDistiller, student: nn.Module, mapping: dict[str, Any]) -> int | None:
    """Of the head whose scores are compared; else of that which the labels are from; else of that which predicts."""
    named = sorted(mapping.items(), key=lambda item: item[0] == LABELS)  # the labels last
    recorders = distiller.student_recorders.recorders
    used = [recorders.get(record.get("recorder")) for _, record in named if record.get("from_student")]
    sources = [recorder.source for recorder in used if recorder is not None]
    found = (head_ignore_index(student, source) for source in (*sources, ""))
    return next((index for index in found if index is not None), None)


def _parts(model: nn.Module, source: str) -> Iterator[nn.Module]:
    """The modules on the way to a source, the outermost first, without the model; or the head that predicts."""
    if not source:
        heads = [getattr(model, name, None) for name in HEADS]
        heads = [head[-1] if isinstance(head, nn.ModuleList) else head for head in heads]  # of a cascade, the last
        yield from (head for head in heads if isinstance(head, nn.Module))
        return
    part: Any = model
    for name in source.split("."):
        part = getattr(part, name, None)
        if not isinstance(part, nn.Module):
            return
        yield part

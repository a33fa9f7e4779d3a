"""Which loss modules of the student are weighted, and which answer of the teacher each is held against."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModel
from torch import nn

from mmdist.errors import ConfigError
from mmdist.models.ignore_index import head_ignore_index
from mmdist.models.losses.levels import NO_CLASS, NOTHING_IGNORED
from mmdist.models.weightings.calls import weight_parameter

PIXELS, ANCHORS, SAMPLES = "pixels", "anchors", "samples"
LIBRARIES = ("mmseg", "mmdet", "mmpretrain")
LOSSES = {  # of the task libraries: those that take one weight for each position, whatever their signature says
    PIXELS: ("CrossEntropyLoss",),
    ANCHORS: ("FocalLoss", "QualityFocalLoss", "CrossEntropyLoss"),
    SAMPLES: ("CrossEntropyLoss", "LabelSmoothLoss"),
}
APART = ("BoundaryLoss", "STDCHead")  # PIDNet's and STDC's: about edges, not about classes


@dataclass(frozen=True)
class Target:
    """A loss module that is weighted.

    Args:
        path (str): Its name in the student.
        head (str): The name of the head that calls it.
        teacher (str): The teacher's method whose answer it is held against.
        kind (str): ``pixels``, ``anchors`` or ``samples``.
        ignore_index (int): Label that does not count; none, where the task has no such label.
        main (bool): Whether it is the one that the log tells of.
    """

    path: str
    head: str
    teacher: str
    kind: str
    ignore_index: int = NOTHING_IGNORED
    main: bool = False


def kind_of(student: BaseModel) -> str:
    """What the student classifies.

    Raises:
        ConfigError: A model whose task loss RDD cannot weigh.
    """
    if hasattr(student, "decode_head"):
        return PIXELS
    if hasattr(getattr(student, "bbox_head", None), "loss_cls"):
        return ANCHORS
    if hasattr(getattr(student, "head", None), "loss_module"):
        return SAMPLES
    hint = (
        "the teacher's answer for the student's regions comes after the student's pass"
        if hasattr(student, "roi_head")
        else ""
    )
    wanted = "a segmenter, a one-stage detector with `bbox_head.loss_cls` or a classifier with `head.loss_module`"
    raise ConfigError("model.weighting", type(student).__name__, wanted, hint)


def find_targets(student: BaseModel, teacher: BaseModel, only: Sequence[str] | None, main: str | None) -> list[Target]:
    """The loss modules to weigh.

    Args:
        student (BaseModel): The student.
        teacher (BaseModel): The teacher.
        only (Sequence[str], optional): Names of the loss modules; None: all that classify.
        main (str, optional): The teacher's method that returns its logits; None: that of its head.

    Returns:
        list[Target]: At least one.

    Raises:
        ConfigError: A loss that takes no weight, a name in ``only`` that is not there, or a teacher of other anchors.
    """
    if isinstance(only, str):
        raise ConfigError("model.weighting.losses", only, "a list of names", f"did you mean [{only!r}]?")
    kind = kind_of(student)
    if kind == ANCHORS:
        check_anchors(student.bbox_head, getattr(teacher, "bbox_head", None))
    found: list[tuple[str, nn.Module, str, str, int]] = []
    for path, head, attribute in _with_losses(student, kind):
        ignored = head_ignore_index(student, path)
        if ignored is None:
            ignored = NO_CLASS if kind == PIXELS else NOTHING_IGNORED
        source = teacher_source(teacher, path, kind) if main is None or path.startswith("auxiliary") else main
        for name, module in each(f"{path}.{attribute}", getattr(head, attribute)):
            found.append((name, module, path, source, ignored))
    if only is not None:
        known = [name for name, *_ in found]
        for name in only:
            if name not in known:
                raise ConfigError("model.weighting.losses", name, known)
        found = [entry for entry in found if entry[0] in only]
    else:
        for name, module, *_ in found:
            if is_apart(module):
                text = f"RDD leaves {name} ({type(module).__name__}) as it is: it does not classify"
                print_log(text, "current", logging.INFO)
        found = [entry for entry in found if not is_apart(entry[1])]
    for name, module, *_ in found:
        check_loss(name, module, kind, found)
    if not found:
        raise ConfigError("model.weighting.losses", only, "at least one loss module of the student")
    if kind == ANCHORS:
        check_logits(getattr(teacher, "bbox_head", None))
    return [Target(name, head, source, kind, ignore, not i) for i, (name, _, head, source, ignore) in enumerate(found)]


def _with_losses(student: BaseModel, kind: str) -> Iterator[tuple[str, nn.Module, str]]:
    attribute = {PIXELS: "loss_decode", ANCHORS: "loss_cls", SAMPLES: "loss_module"}[kind]
    for path, head in heads(student, kind):
        if not hasattr(head, attribute):
            wanted = f"a head with `{attribute}`, whose {kind} can be weighted"
            raise ConfigError(f"model.architecture.{path}", type(head).__name__, wanted)
        yield path, head, attribute


def weighable(student: BaseModel) -> tuple[list[str], list[str]]:
    """The student's losses that classify: those that take a weight for each position, and those that take none.

    Args:
        student (BaseModel): Of any task.

    Returns:
        tuple[list[str], list[str]]: Their names; the first list is empty where the head that predicts has no such
            loss.

    Raises:
        ConfigError: A model whose task loss RDD cannot weigh.
    """
    kind = kind_of(student)
    takes: list[str] = []
    others: list[str] = []
    main = None
    for path, head, attribute in _with_losses(student, kind):
        main = main or path
        for name, module in each(f"{path}.{attribute}", getattr(head, attribute)):
            if not is_apart(module):
                (takes if takes_weight(module, kind) else others).append(name)
    return (takes if any(name.startswith(f"{main}.") for name in takes) else []), others


def heads(model: BaseModel, kind: str) -> Iterator[tuple[str, nn.Module]]:
    """The heads whose task loss is about classes, by name; the one that predicts comes first."""
    for name in {PIXELS: ("decode_head", "auxiliary_head"), ANCHORS: ("bbox_head",), SAMPLES: ("head",)}[kind]:
        if getattr(model, name, None) is not None:
            parts = list(each(name, getattr(model, name)))
            parts = [(path, part) for path, part in parts if not is_apart(part)]
            yield from parts[::-1] if name == "decode_head" else parts  # of a cascade, the last predicts


def teacher_source(teacher: BaseModel, path: str, kind: str) -> str:
    """The teacher's head that answers to a head of the student, as a method.

    Args:
        teacher (BaseModel): The teacher.
        path (str): The student's head: ``auxiliary_head.1``.
        kind (str): See :class:`Target`.

    Returns:
        str: The same head of the teacher; for an auxiliary head its last one; else the one that predicts.
    """
    known = [name for name, _ in heads(teacher, kind)]
    if not known:
        wanted = "a model of the student's task, or the method that returns its logits in weighting.teacher_logits"
        raise ConfigError("model.teacher", type(teacher).__name__, wanted)
    group = path.partition(".")[0]
    auxiliary = [name for name in known if group == "auxiliary_head" and name.startswith(group)]
    return f"{path if path in known else (auxiliary[-1:] or known)[0]}.forward"


def auxiliary_source(teacher: BaseModel) -> str | None:
    """The method of the segmenter's second opinion: its auxiliary head, or a cascade's first stage; None without."""
    names = [name for name, _ in heads(teacher, PIXELS)]
    return f"{names[-1]}.forward" if len(names) > 1 else None


def each(name: str, part: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The parts of a list with their names, or the one part."""
    if isinstance(part, nn.ModuleList):
        yield from ((f"{name}.{index}", module) for index, module in enumerate(part))
    else:
        yield name, part


def is_apart(module: nn.Module) -> bool:
    """The loss, or the head, compares something else than classes."""
    return any(cls.__name__ in APART for cls in type(module).__mro__)


def check_anchors(student: nn.Module, teacher: nn.Module | None) -> None:
    """Two detectors' heads have the same anchors; where one has none, the first iteration shows what fits.

    Raises:
        ConfigError: They have others.
    """
    own, others = (getattr(getattr(head, "prior_generator", None), "base_anchors", None) for head in (student, teacher))
    if own is None or others is None:
        return
    same = len(own) == len(others) and all(map(torch.equal, own, others))
    if not same or student.prior_generator.strides != teacher.prior_generator.strides:
        given, wanted = (" ".join(repr(head.prior_generator).split()) for head in (teacher, student))
        raise ConfigError("model.teacher.bbox_head.anchor_generator", given, f"the student's anchors, {wanted}")


def check_logits(teacher: nn.Module | None) -> None:
    """The teacher's head answers with logits, which are turned into probabilities here.

    Raises:
        ConfigError: With probabilities already, as TOOD's.
    """
    if getattr(getattr(teacher, "loss_cls", None), "activated", False):
        wanted = "a head that returns logits; its loss takes probabilities (activated=True)"
        raise ConfigError("model.teacher.bbox_head", type(teacher).__name__, wanted)


def check_loss(name: str, module: nn.Module, kind: str, found: Sequence[tuple]) -> None:
    """The loss takes a weight for each position.

    Raises:
        ConfigError: It does not; names it, and what to do.
    """
    if takes_weight(module, kind):
        return
    if kind == SAMPLES and getattr(getattr(module, "ce", module), "use_sigmoid", False):
        wanted = "a softmax loss (use_sigmoid=False): a weight of this one is for each class of each sample"
        raise ConfigError(f"model.architecture.{name}", f"{type(module).__name__}(use_sigmoid=True)", wanted)
    others = [other for other, candidate, *_ in found if takes_weight(candidate, kind)]
    hint = f"put {' or '.join(LOSSES[kind])} in its place"
    if others:
        hint += f", or name the losses to weigh: model.weighting.losses = {others}"
    logits = ", and logits" if getattr(module, "activated", False) else ""
    wanted = f"a loss of one label that takes a weight for each of the {kind}{logits}"
    raise ConfigError(f"model.architecture.{name}", type(module).__name__, wanted, hint)


def takes_weight(module: nn.Module, kind: str) -> bool:
    """Whether a loss takes a weight for each position, and compares logits with one label a position."""
    names = [cls.__name__ for cls in type(module).__mro__]
    own = type(module).__module__.partition(".")[0] not in LIBRARIES
    inner = getattr(module, "ce", module)  # label smoothing holds the loss that it hands on to
    multi = (kind == SAMPLES and getattr(inner, "use_sigmoid", False)) or getattr(module, "use_mask", False)
    other = multi or getattr(module, "activated", False)  # TOOD's: of probabilities
    return bool(weight_parameter(module)) and not other and (own or any(known in names for known in LOSSES[kind]))

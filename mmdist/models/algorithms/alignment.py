"""Connectors that take their shape from what is recorded, before DDP and the optimizer see them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import NamedTuple

from mmengine.model import BaseModel
from mmrazor.models.distillers import BaseDistiller
from torch import Tensor, nn

from mmdist.errors import ConfigError, MMDistError
from mmdist.models.algorithms.probing import probe
from mmdist.models.algorithms.records import empty
from mmdist.models.connectors import AlignConnector, ResizeConnector
from mmdist.models.connectors.size import SizedConnector
from mmdist.models.ignore_index import LABELS
from mmdist.models.losses.levels import Maps
from mmdist.models.recorders.owners import tensors


def shape_connectors(
    distiller: BaseDistiller, student: BaseModel, teacher: BaseModel, teacher_size: tuple[int, int] | None = None
) -> None:
    """Give every connector that has none its channels: those of the two records that its loss compares.

    Args:
        distiller (BaseDistiller): Its recorders are prepared.
        student (BaseModel): Run once on an empty picture, in evaluation mode; nothing of it changes.
        teacher (BaseModel): Likewise.
        teacher_size (tuple[int, int], optional): Height and width of the teacher's picture, where it takes no other.

    Raises:
        ConfigError: The channels cannot be found this way, and the message says how to give them; or two connectors of
            a loss would each take the other's size.
    """
    check_uses(distiller)
    if all(use.connector.shaped for use in _aligned(distiller)):
        return
    try:
        for side, model, size in (("student", student, None), ("teacher", teacher, teacher_size)):
            _record_empty_picture(distiller, model, side, size)
        for use in _aligned(distiller):
            if use.connector.shaped and not use.alone:  # what comes before it may change the channels
                continue
            mine, theirs = _record(distiller, use.record), _record(distiller, use.other)
            if mine is None or theirs is None or not use.alone:
                why = "what it connects is not computed for an empty picture" if use.alone else "it is one of a list"
                raise ConfigError(use.key, "in_channels=None", f"in_channels and out_channels: {why}")
            use.connector.shape(_channels(mine), _channels(theirs))
    finally:
        empty(distiller)


def check_uses(distiller: BaseDistiller) -> None:
    """Every connector that takes its size from the other side has one, which does not take it from this one.

    Raises:
        ConfigError: It does not.
    """
    uses = list(_uses(distiller))
    waiting = {id(use.record) for use in uses if use.connector.waits}
    for use in uses:
        if isinstance(use.connector, ResizeConnector) and use.connector.waits and id(use.other) in waiting:
            hint = "each would take the other's size: leave it out on one side, best that of the finer map"
            raise ConfigError(use.key, "ResizeConnector", "a loss with such a connector on one side alone", hint)


def match_connectors(distiller: BaseDistiller) -> None:
    """Tell the connectors the sizes of this iteration, in the order in which the distiller will call them."""
    uses = [use for use in _uses(distiller) if use.connector.waits]
    for use in uses:
        use.connector.forget()
    for use in uses:
        theirs = _record(distiller, use.other)
        if theirs is not None:
            use.connector.match(theirs)


def check_channels(distiller: BaseDistiller, complete: bool = True) -> None:
    """Losses that can say so find something to teach in what the student's recorders hold.

    Args:
        distiller (BaseDistiller): The student's recorders hold a pass, or nothing.
        complete (bool): Whether the pass came to its end; of one that broke off, records may be missing.

    Raises:
        ConfigError: Scores of one class under a softmax; names the loss.
    """
    for name, mapping in (getattr(distiller, "loss_forward_mappings", None) or {}).items():
        check = getattr(distiller.distill_losses[name], "check_channels", None)
        for argument, record in mapping.items() if check is not None else ():
            if argument == LABELS or not record["from_student"] or record.get("connector"):
                continue  # what a connector makes of it is seen in the first iteration
            try:
                found = _record(distiller, record)
            except (AssertionError, IndexError, TypeError):  # of MMRazor: an index that this pass does not have
                continue
            except ConfigError:
                if complete:
                    raise
                continue
            for level in tensors(found)[:1]:
                if level.ndim > 1:
                    check(level.shape[1], f"model.distiller.distill_losses.{name}")


def advice_on_shapes(message: str) -> str:
    """What to do about two records that are of different shapes; nothing for any other complaint.

    Example:
        >>> advice_on_shapes('tau = -1: expected a finite number above 0')
        ''
    """
    if not re.search(r"must have one shape|size of tensor", message):
        return ""
    return (
        ". Maps of different shapes need a connector: connectors=dict(align=dict(type='mmdist.AlignConnector')),"
        " and connector='align' in its mapping; class scores of the same classes 'mmdist.ResizeConnector'. Logits of"
        " other classes cannot be compared"
    )


class _Use(NamedTuple):
    """A connector that takes something from the other side, in one loss.

    Args:
        connector (SizedConnector): Itself.
        key (str): Where it stands in the user's config.
        record (dict): What it connects.
        other (dict): The other side's.
        alone (bool): Whether it is no part of a list of connectors.
    """

    connector: SizedConnector
    key: str
    record: dict
    other: dict
    alone: bool


def _aligned(distiller: BaseDistiller) -> Iterator[_Use]:
    return (use for use in _uses(distiller) if isinstance(use.connector, AlignConnector))


def _uses(distiller: BaseDistiller) -> Iterator[_Use]:
    """Each use of a ``SizedConnector``, in the order in which MMRazor's distiller computes its losses."""
    for mapping in (getattr(distiller, "loss_forward_mappings", None) or {}).values():
        for argument, record in mapping.items():
            name = record.get("connector")
            connector = distiller.connectors[name] if name else None
            parts = list(connector) if isinstance(connector, nn.Sequential) else [connector]
            for part in parts:
                if not isinstance(part, SizedConnector):
                    continue
                key = f"model.distiller.connectors.{name}"
                other = _other(mapping, argument)
                if other is not None:
                    yield _Use(part, key, record, other, part is connector)
                elif part.waits or isinstance(part, AlignConnector):
                    raise ConfigError(key, type(part).__name__, "a loss that has two sides")


def _other(mapping: dict[str, dict], argument: str) -> dict | None:
    """What a loss compares an argument with: of the other side, and no labels. Of several the one of a like name."""
    mine = mapping[argument]["from_student"]
    others = {name: record for name, record in mapping.items() if record["from_student"] != mine and name != LABELS}
    near = sorted(others, key=lambda name: -_alike(argument, name))  # stable: else the first
    return others[near[0]] if near else None


def _alike(one: str, other: str) -> float:
    """How alike two names of arguments are, such as ``preds_S`` and ``preds_T``."""
    return SequenceMatcher(None, one, other, autojunk=False).ratio()


def _record(distiller: BaseDistiller, record: dict) -> Maps | None:
    side = distiller.student_recorders if record["from_student"] else distiller.teacher_recorders
    recorder = side.get_recorder(record["recorder"])
    index, part = record.get("record_idx", 0), record.get("data_idx")
    if not recorder.data_buffer:
        return None
    if index >= len(recorder.data_buffer):
        allowed = (
            f"{len(recorder.data_buffer) - 1} at most: {recorder.source} is recorded {len(recorder.data_buffer)} times"
        )
        raise ConfigError(f"{_place(distiller, record)}.record_idx", index, allowed)
    try:
        return recorder.get_record_data(index, part)
    except ConfigError as error:
        raise error.at(f"{_place(distiller, record)}.{error.key}") from error
    except (AssertionError, TypeError, IndexError) as error:  # MMRazor's recorders
        raise ConfigError(f"{_place(distiller, record)}.data_idx", part, hint=str(error)) from error


def _place(distiller: BaseDistiller, record: dict) -> str:
    """Where a record stands in the user's config."""
    for name, mapping in distiller.loss_forward_mappings.items():
        for argument, other in mapping.items():
            if other is record:
                return f"model.distiller.loss_forward_mappings.{name}.{argument}"
    return "model.distiller.loss_forward_mappings"


def _channels(maps: Maps) -> list[int]:
    levels = [maps] if isinstance(maps, Tensor) else maps
    if not all(isinstance(level, Tensor) and level.ndim == 4 for level in levels):
        raise ConfigError("AlignConnector", type(maps).__name__, "feature maps, (N, C, H, W), or a tuple of them")
    return [level.shape[1] for level in levels]


def _record_empty_picture(distiller: BaseDistiller, model: BaseModel, side: str, size: tuple[int, int] | None) -> None:
    recorders = getattr(distiller, f"{side}_recorders")
    try:
        probe(model, recorders, size)
    except MMDistError:
        raise
    except Exception as error:
        # A two-stage head wants data samples; by then backbone and neck have been recorded.
        if not any(recorder.data_buffer for recorder in recorders.recorders.values()):
            raise ConfigError(
                "model.distiller.connectors", "in_channels=None", f"in_channels and out_channels: {error}"
            ) from error

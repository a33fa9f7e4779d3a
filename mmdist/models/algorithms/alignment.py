"""Connectors that take their shape from what is recorded, before DDP and the optimizer see them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mmengine.model import BaseModel
from mmrazor.models.distillers import BaseDistiller
from torch import Tensor

from mmdist.errors import ConfigError, MMDistError
from mmdist.models.algorithms.probing import probe
from mmdist.models.algorithms.records import empty
from mmdist.models.connectors import AlignConnector
from mmdist.models.ignore_index import LABELS
from mmdist.models.losses.levels import Maps
from mmdist.models.recorders.owners import tensors


def shape_connectors(distiller: BaseDistiller, student: BaseModel, teacher: BaseModel) -> None:
    """Give every connector that has none its channels: those of the two records that its loss compares.

    Args:
        distiller (BaseDistiller): Its recorders are prepared.
        student (BaseModel): Run once on an empty picture, in evaluation mode; nothing of it changes.
        teacher (BaseModel): Likewise.

    Raises:
        ConfigError: The channels cannot be found this way; the message says how to give them.
    """
    if all(connector.shaped for connector, *_ in _uses(distiller)):
        return
    try:
        for side, model in (("student", student), ("teacher", teacher)):
            _record_empty_picture(distiller, model, side)
        for connector, name, record, other in _uses(distiller):
            mine, theirs = _record(distiller, record), _record(distiller, other)
            if mine is None or theirs is None:
                raise ConfigError(
                    f"model.distiller.connectors.{name}",
                    "in_channels=None",
                    "in_channels and out_channels: what it connects is not computed for an empty picture",
                )
            connector.shape(_channels(mine), _channels(theirs))
    finally:
        empty(distiller)


def match_connectors(distiller: BaseDistiller) -> None:
    """Tell the connectors the sizes of this iteration."""
    for connector, _, _, other in _uses(distiller):
        theirs = _record(distiller, other)
        if theirs is not None:
            connector.match(theirs)


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
        " and connector='align' in its mapping. Logits of other classes cannot be compared"
    )


def _uses(distiller: BaseDistiller) -> Iterator[tuple[AlignConnector, str, dict, dict]]:
    """Each use of an ``AlignConnector``: itself, its name, the record it connects, and the other side's."""
    for mapping in (getattr(distiller, "loss_forward_mappings", None) or {}).values():
        for record in mapping.values():
            name = record.get("connector")
            connector = distiller.connectors[name] if name else None
            if not isinstance(connector, AlignConnector):
                continue
            others = [other for other in mapping.values() if other["from_student"] != record["from_student"]]
            if not others:
                raise ConfigError(f"model.distiller.connectors.{name}", "AlignConnector", "a loss that has two sides")
            yield connector, name, record, others[0]


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


def _record_empty_picture(distiller: BaseDistiller, model: BaseModel, side: str) -> None:
    recorders = getattr(distiller, f"{side}_recorders")
    try:
        probe(model, recorders)
    except MMDistError:
        raise
    except Exception as error:
        # A two-stage head wants data samples; by then backbone and neck have been recorded.
        if not any(recorder.data_buffer for recorder in recorders.recorders.values()):
            raise ConfigError(
                "model.distiller.connectors", "in_channels=None", f"in_channels and out_channels: {error}"
            ) from error

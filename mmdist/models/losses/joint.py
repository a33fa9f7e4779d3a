"""One loss over two parts of a batch, labelled and unlabelled: that of the one batch which both are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmdist.models.ignore_index import LABELS
from mmdist.models.losses.levels import is_soft, level_labels
from mmdist.models.losses.warmup import WeightedLoss


class Part(NamedTuple):
    """What a loss is called with for one part of a batch.

    Args:
        arguments (dict[str, Any]): By name.
        images (int): How many images it is of.
        content (Tensor, optional): (N, H, W) bool, of unlabelled images: which pixels are of the image.
    """

    arguments: dict[str, Any]
    images: int
    content: Tensor | None = None


class NotJoined(Exception):
    """Two records that are not of one batch."""


def needs_labels(loss: nn.Module, mapping: Mapping[str, Any]) -> bool:
    """Whether images without labels teach nothing through a loss.

    Of a loss that is none of mmdist's nobody knows: it needs the labels that it is given.

    Args:
        loss (nn.Module): The loss.
        mapping (Mapping[str, Any]): Its arguments, by name.
    """
    return loss.needs_labels if isinstance(loss, WeightedLoss) else LABELS in mapping


def joint_loss(loss: nn.Module, labeled: Part, unlabeled: Part) -> Tensor:
    """The loss of both parts.

    The records of both become those of one batch, so that means are over all positions that count, and correlations
    over all samples. Maps of other sizes are filled up with positions that do not count. Labels only say which
    positions count: all of an unlabelled image do, without the border that fills it up. Records that cannot be put
    together, as of a loss that is none of mmdist's, count by their images.

    Args:
        loss (nn.Module): It needs no labels, see :func:`needs_labels`.
        labeled (Part): The labelled images.
        unlabeled (Part): The others.

    Returns:
        Tensor: As the loss's own.
    """
    try:
        join = _joined_maps if isinstance(loss, WeightedLoss) else _joined_records
        return loss(**join(loss, labeled, unlabeled))
    except NotJoined:
        values = loss(**labeled.arguments), unlabeled_loss(loss, unlabeled)
        images = labeled.images + unlabeled.images
        return (labeled.images * values[0] + unlabeled.images * values[1]) / images


def unlabeled_loss(loss: nn.Module, part: Part) -> Tensor:
    """The loss of unlabelled images alone, where labels only say which positions count."""
    arguments = dict(part.arguments)
    given = arguments.get(LABELS)
    if isinstance(loss, WeightedLoss) and given is not None:
        maps = next(value for name, value in arguments.items() if name != LABELS)
        levels = [maps] if isinstance(maps, Tensor) else maps
        labels = [
            _counting(loss, loss.positions(level), label, part.content)
            for level, label in zip(levels, level_labels(given, len(levels)), strict=True)
        ]
        arguments[LABELS] = labels[0] if isinstance(maps, Tensor) else labels
    return loss(**arguments)


def _joined_records(loss: nn.Module, labeled: Part, unlabeled: Part) -> dict[str, Any]:
    """Of any loss: each tensor after the other."""
    return {name: _cat(value, unlabeled.arguments[name]) for name, value in labeled.arguments.items()}


def _cat(a: Any, b: Any) -> Any:
    if a is b:  # a weight, or a setting
        return a
    if isinstance(a, Tensor) and isinstance(b, Tensor) and a.ndim and a.shape[1:] == b.shape[1:]:
        return torch.cat([a, b])
    if isinstance(a, list | tuple) and type(a) is type(b) and len(a) == len(b):
        parts = [_cat(x, y) for x, y in zip(a, b, strict=True)]
        return type(a)(*parts) if hasattr(a, "_fields") else type(a)(parts)
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return {name: _cat(value, b[name]) for name, value in a.items()}
    raise NotJoined


def _joined_maps(loss: WeightedLoss, labeled: Part, unlabeled: Part) -> dict[str, Any]:
    """Of mmdist's losses: level by level, with labels that say what counts, where that is not everything."""
    names = [name for name in labeled.arguments if name != LABELS]
    first, second = ([_levels(part.arguments[name]) for name in names] for part in (labeled, unlabeled))
    counts = {len(levels) for levels in (*first, *second)}
    if len(counts) != 1:
        raise NotJoined
    (number,) = counts
    given = level_labels(labeled.arguments.get(LABELS), number)
    joined: dict[str, list] = {name: [] for name in names}
    labels = []
    for level in range(number):
        a, b = ([loss.positions(levels[level]) for levels in side] for side in (first, second))
        if any(x.ndim != y.ndim or x.ndim < 2 or x.shape[1] != y.shape[1] for x, y in zip(a, b, strict=True)):
            raise NotJoined
        size = [max(pair) for pair in zip(a[0].shape[2:], b[0].shape[2:], strict=True)]
        for name, x, y in zip(names, a, b, strict=True):
            joined[name].append(torch.cat([_filled(x, size, 0), _filled(y, size, 0)]))
        labels.append(_joined_labels(loss, a[0], b[0], given[level], unlabeled.content, size))
    one = isinstance(labeled.arguments[names[0]], Tensor)
    found: dict[str, Any] = {name: levels[0] if one else levels for name, levels in joined.items()}
    if any(label is not None for label in labels):
        maps = joined[names[0]]
        known = [_counting(loss, x, None, None) if y is None else y for x, y in zip(maps, labels, strict=True)]
        found[LABELS] = known[0] if one else known
    return found


def _levels(maps: Any) -> list[Tensor]:
    levels = [maps] if isinstance(maps, Tensor) else maps
    if not isinstance(levels, list | tuple) or not all(isinstance(level, Tensor) for level in levels):
        raise NotJoined  # what the loss itself answers
    return list(levels)


def _joined_labels(
    loss: WeightedLoss, a: Tensor, b: Tensor, given: Tensor | None, content: Tensor | None, size: list[int]
) -> Tensor | None:
    """The labels of both parts' positions; None where all count."""
    hard = given is not None and not is_soft(given)
    if not hard and list(a.shape[2:]) == list(b.shape[2:]):
        return None
    first = loss.labels_of(a, given) if hard else _counting(loss, a, None, None)
    second = loss.labels_of(b, _counting(loss, b, given if hard else None, content))
    ignored = loss.ignored(a.shape[1])
    return torch.cat([_filled(labels.long(), size, ignored) for labels in (first, second)])


def _counting(loss: WeightedLoss, maps: Tensor, given: Tensor | None, content: Tensor | None) -> Tensor:
    """Labels in the form of those given, with which everything counts that is of an image."""
    if given is not None and given.ndim > 2 and content is not None and len(content) == len(maps):
        counted = _counted(loss, content.long(), maps.shape[1])
        return counted.where(content, torch.full_like(counted, loss.ignored(maps.shape[1])))
    return _counted(loss, maps.new_zeros((len(maps), *maps.shape[2:]), dtype=torch.long), maps.shape[1])


def _counted(loss: WeightedLoss, labels: Tensor, channels: int) -> Tensor:
    """A class that counts, in this shape."""
    return torch.full_like(labels, 1 if loss.ignored(channels) == 0 else 0)


def _filled(maps: Tensor, size: list[int], value: int) -> Tensor:
    """Maps at a larger size, or labels: what is added does not count."""
    spatial = maps.shape[-len(size) :] if size else ()
    missing = [end - have for end, have in zip(size, spatial, strict=True)]
    if not any(missing):
        return maps
    return F.pad(maps, [amount for add in reversed(missing) for amount in (0, add)], value=value)

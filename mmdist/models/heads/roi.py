"""A two-stage detector's box head on parts of its regions of interest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from mmdist.errors import ConfigError
from mmdist.functional.phases import phase_regions
from mmdist.models.heads.classifier import KEY, check_batch_norm
from mmdist.models.roi_context import context_heads


def classify_rois(model: nn.Module, record: Any) -> Tensor:
    """The detector's own class scores for five versions of each region.

    Args:
        model (nn.Module): The detector; of a cascade the first stage classifies.
        record (tuple): The feature pyramid and the regions, (R, 5), as its ``_bbox_forward`` is given them.

    Returns:
        Tensor: (R, C + 1, 5).

    Raises:
        ConfigError: Another record, or a box head with batch norm, or one that sees more than the regions.
    """
    parts = list(record)[-2:] if isinstance(record, list | tuple) else []  # a cascade is told its stage first
    if len(parts) < 2 or not isinstance(parts[1], Tensor) or parts[1].shape[1:] != (5,):
        wanted = "dict(type='mmdist.Method', source='roi_head._bbox_forward', what='inputs') for a two-stage detector"
        raise ConfigError(KEY, type(record).__name__, wanted)
    pyramid, rois = parts
    head = model.roi_head
    if context_heads(head):
        wanted = "a box head that sees the features of a region alone; this one adds those of the whole picture"
        raise ConfigError(KEY, type(head).__name__, wanted)
    extractor, box_head = (
        part[0] if isinstance(part, nn.ModuleList) else part for part in (head.bbox_roi_extractor, head.bbox_head)
    )
    check_batch_norm(box_head)
    with doubled(extractor):
        regions = extractor(pyramid[: extractor.num_inputs], rois)
    versions = phase_regions(regions)
    inputs = versions.flatten(0, 1)
    if head.with_shared_head:
        check_batch_norm(head.shared_head)
        inputs = head.shared_head(inputs)
    scores = box_head(inputs)[0]
    return scores.unflatten(0, versions.shape[:2]).permute(1, 2, 0)


@contextmanager
def doubled(extractor: nn.Module) -> Iterator[None]:
    """Inside, regions are extracted at twice the size."""
    sizes = [layer.output_size for layer in extractor.roi_layers]
    for layer, (height, width) in zip(extractor.roi_layers, sizes, strict=True):
        layer.output_size = (2 * height, 2 * width)
    try:
        yield
    finally:
        for layer, size in zip(extractor.roi_layers, sizes, strict=True):
            layer.output_size = size

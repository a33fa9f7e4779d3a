"""What a two-stage detector's box head sees beside the features of a region."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import signature

from torch import Tensor, nn

PARTS = {"semantic_feat": "semantic_head", "glbctx_feat": "glbctx_head"}  # of HTC and SCNet


def context_heads(roi_head: nn.Module) -> dict[str, nn.Module]:
    """The heads whose features the box head adds to those of each region, by the argument that takes them.

    Args:
        roi_head (nn.Module): With ``_bbox_forward``.
    """
    taken = signature(roi_head._bbox_forward).parameters
    heads = {name: getattr(roi_head, part, None) for name, part in PARTS.items() if name in taken}
    return {name: head for name, head in heads.items() if head is not None}


def roi_context(roi_head: nn.Module, features: Sequence[Tensor]) -> dict[str, Tensor]:
    """What these heads say of a batch.

    Args:
        roi_head (nn.Module): With ``_bbox_forward``.
        features (Sequence[Tensor]): The feature pyramid.

    Returns:
        dict[str, Tensor]: Arguments of its ``_bbox_forward``.
    """
    return {name: head(features)[1] for name, head in context_heads(roi_head).items()}

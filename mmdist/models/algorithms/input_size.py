"""The size of the images that a classifier takes: some take one size alone, and only a pass tells."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from mmdist.models.algorithms.randomness import isolated_randomness
from mmdist.models.input_channels import input_channels

Size = tuple[int, int]
NAMES = ("img_size", "image_size", "input_size", "resolution")  # what backbones call it
USUAL = (224, 256, 384, 192, 448, 512, 336, 128, 64, 32)
STEMS = ("patch_embed", "pixel_embed")
SPATIAL = ("decode_head", "bbox_head", "roi_head", "mask_head", "rpn_head", "panoptic_head")


def is_classifier(model: nn.Module) -> bool:
    """Whether a model says something of an image as a whole, so that the image may be of another size."""
    return hasattr(model, "head") and not any(hasattr(model, name) for name in SPATIAL)


def declared_size(model: nn.Module) -> Size | None:
    """The size that a backbone says, or is built for unless told otherwise; it may take others too.

    Args:
        model (nn.Module): Of any task library.

    Returns:
        Size | None: Height and width in pixels; None where nothing is said.
    """
    said = said_size(model)
    if said is not None or getattr(model, "backbone", None) is None:
        return said
    known = inspect.signature(type(model.backbone).__init__).parameters
    defaults = [known[name].default for name in NAMES if name in known]
    return next((size for size in map(_pair, defaults) if size is not None), None)


def said_size(model: nn.Module) -> Size | None:
    """The size that a backbone, or its stem, keeps as an attribute."""
    backbone = getattr(model, "backbone", None)
    parts = (backbone, *(getattr(backbone, name, None) for name in STEMS))
    found = (_pair(getattr(part, name, None)) for part in parts for name in NAMES)
    return next((size for size in found if size is not None), None)


def why_not(model: BaseModel, images: Tensor) -> Exception | None:
    """What a model raises on images, in evaluation mode and without a trace; None: it takes them.

    Args:
        model (BaseModel): A classifier, or another that needs images alone in ``tensor`` mode.
        images (Tensor): (N, C, H, W), preprocessed.
    """
    modes = {module: module.training for module in model.modules()}
    try:
        with torch.no_grad(), isolated_randomness(device=images.device):
            model.eval()
            model(images, None, mode="tensor")
    except Exception as error:  # whatever a model raises on a size that is not its own
        return error
    finally:
        for module, training in modes.items():
            module.training = training
    return None


def own_size(model: BaseModel, given: Size) -> Size | None:
    """The size that a classifier takes instead of one that it does not take.

    Args:
        model (BaseModel): A classifier.
        given (Size): Height and width that it does not take.

    Returns:
        Size | None: The first of those tried that it takes; None where the size is not what is wrong.
    """
    weight = next(model.parameters())
    for size in dict.fromkeys(_candidates(model)):
        if size != given and why_not(model, weight.new_zeros(1, input_channels(model), *size)) is None:
            return size
    return None


def by(size: Size) -> str:
    """A size as it is written for people.

    Example:
        >>> by((224, 320))
        '224x320'
    """
    return f"{size[0]}x{size[1]}"


def _candidates(model: BaseModel) -> Iterator[Size]:
    """A backbone that says its size is believed: a pass at a large size may take more memory than there is."""
    declared = declared_size(model)
    if declared is not None:
        yield declared
    if said_size(model) is None:
        yield from ((side, side) for side in USUAL)


def _pair(said: object) -> Size | None:
    pair = (said, said) if isinstance(said, int) else tuple(said) if isinstance(said, list | tuple) else ()
    whole = all(isinstance(number, int) and not isinstance(number, bool) and number > 0 for number in pair)
    return (int(pair[0]), int(pair[1])) if len(pair) == 2 and whole else None

"""How many channels a picture has that a model takes."""

from __future__ import annotations

from torch import Tensor, nn

USUAL = 3
FOLDED = {"Focus": 4}  # stems that fold neighbouring pixels into the channels of their convolution


def input_channels(model: nn.Module) -> int:
    """Channels of the pictures: as many as are normalised, else what the first convolution of the backbone takes.

    Args:
        model (nn.Module): Of any task library.

    Returns:
        int: 3 where nothing says otherwise.

    Example:
        >>> input_channels(nn.Sequential(nn.Conv2d(4, 8, 3), nn.Conv2d(8, 8, 3)))
        4
    """
    mean = getattr(getattr(model, "data_preprocessor", None), "mean", None)
    if isinstance(mean, Tensor) and mean.numel() > 1:
        return mean.numel()
    folded = 1
    for module in (getattr(model, "backbone", None) or model).modules():  # a container comes before what it holds
        folded = FOLDED.get(type(module).__name__, folded)
        if isinstance(module, nn.Conv2d):
            return module.in_channels // folded
    return USUAL

"""The convolutions of a MobileNetV2 of width 1.0, and what each library calls them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

# Widening, channels and blocks of each stage: table 2 of arXiv 1801.04381.
STAGES = ((1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1))
STEM, HEAD = 32, 1280
LAYOUTS = ("sequential", "torchvision", "timm")
# MMSegmentation's has the names of MMPretrain's, without the last convolution.
LIBRARIES = ("mmpretrain", "mmseg", "mmdet")


class NORM:
    """The names inside a batch normalisation."""

    tensors = ("weight", "bias", "running_mean", "running_var")
    variance = "running_var"
    counter = "num_batches_tracked"


@dataclass(frozen=True)
class Unit:
    """One convolution and its batch normalisation.

    Args:
        shape (tuple[int, ...]): Of the convolution's weight: out, in, height, width.
        names (Mapping[str, tuple[str, str]]): By layout or library, what it calls both.
    """

    shape: tuple[int, ...]
    names: Mapping[str, tuple[str, str]]

    def tensors(self, layout: str) -> Iterator[tuple[str, tuple[int, ...]]]:
        """The layout's name and the shape of each of the five tensors."""
        conv, norm = self.names[layout]
        yield f"{conv}.weight", self.shape
        for part in NORM.tensors:
            yield f"{norm}.{part}", self.shape[:1]

    def counter(self, layout: str) -> str:
        """The layout's name of how many batches the normalisation has seen."""
        return f"{self.names[layout][1]}.{NORM.counter}"


def units() -> list[Unit]:
    """All 52, from the image to the last feature map.

    Example:
        >>> units()[1].names["mmpretrain"], units()[1].names["torchvision"]
        (('layer1.0.conv.0.conv', 'layer1.0.conv.0.bn'), ('features.1.conv.0.0', 'features.1.conv.0.1'))
    """
    found = [_outer("conv1", (STEM, 3, 3, 3), 0, ("conv_stem", "bn1"))]
    width, number = STEM, 0
    for stage, (widening, channels, blocks) in enumerate(STAGES, 1):
        for block in range(blocks):
            number += 1
            found += _block(stage, block, number, width, widening, channels)
            width = channels
    return [*found, _outer("conv2", (HEAD, width, 1, 1), number + 1, ("conv_head", "bn2"))]


def _outer(name: str, shape: tuple[int, ...], number: int, timm: tuple[str, str]) -> Unit:
    plain, ours = (f"features.{number}.0", f"features.{number}.1"), (f"{name}.conv", f"{name}.bn")
    libraries = {library: ours for library in LIBRARIES if name == "conv1" or library != "mmseg"}
    return Unit(shape, {"sequential": plain, "torchvision": plain, "timm": timm, **libraries})


def _block(stage: int, block: int, number: int, width: int, widening: int, channels: int) -> Iterator[Unit]:
    hidden = width * widening
    # Widen the channels, filter each of them, join them. A stage that does not widen them begins with the second.
    steps = [
        ((hidden, width, 1, 1), "expand_conv", "conv_pw"),
        ((hidden, 1, 3, 3), "depthwise_conv", "conv_dw"),
        ((channels, hidden, 1, 1), "linear_conv", "conv_pwl" if widening > 1 else "conv_pw"),
    ]
    steps = steps if widening > 1 else steps[1:]
    here, there, timm = f"layer{stage}.{block}", f"features.{number}.conv", f"blocks.{stage - 1}.{block}"
    for index, (shape, mmdet, step) in enumerate(steps):
        nested = (f"{there}.{index}.0", f"{there}.{index}.1")
        flat = (f"{there}.{index}", f"{there}.{index + 1}")
        ours = (f"{here}.conv.{index}.conv", f"{here}.conv.{index}.bn")
        names = {
            "sequential": (f"{there}.{3 * index}", f"{there}.{3 * index + 1}"),
            "torchvision": nested if index < len(steps) - 1 else flat,
            "timm": (f"{timm}.{step}", f"{timm}.bn{index + 1}"),
            "mmpretrain": ours,
            "mmseg": ours,
            "mmdet": (f"{here}.{mmdet}.conv", f"{here}.{mmdet}.bn"),
        }
        yield Unit(shape, names)

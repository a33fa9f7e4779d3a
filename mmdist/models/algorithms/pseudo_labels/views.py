"""The student's view of an image that the teacher labels: other light and colours, the same geometry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseModel
from torch import Tensor
from torchvision.transforms import v2

from mmdist.errors import ConfigError
from mmdist.models.algorithms.normalisation import normalisation, reverses_channels
from mmdist.models.algorithms.pseudo_labels.options import KEY, check_number
from mmdist.models.algorithms.unlabeled import content
from mmdist.models.input_channels import input_channels

PIXELS = 255.0
BLURRED = 0.5  # of the images


class StrongView:
    """Brightness, contrast, saturation, hue and blur, drawn anew for each image.

    Args:
        student (BaseModel): Its data preprocessor says how pixels are normalised.
        brightness (float): Factors are drawn from 1 - b to 1 + b; likewise ``contrast`` and ``saturation``. Defaults to
            0.4.
        contrast (float): Defaults to 0.4.
        saturation (float): Defaults to 0.4.
        hue (float): Turned by up to this share of the circle, at most 0.5. Defaults to 0.1.
        blur (int): Side of the blur's window in pixels, odd, for every other image; 0: none. Defaults to 0.

    Raises:
        ConfigError: A value out of its range, or images that are not of three channels.
    """

    def __init__(
        self,
        student: BaseModel,
        *,
        brightness: float = 0.4,
        contrast: float = 0.4,
        saturation: float = 0.4,
        hue: float = 0.1,
        blur: int = 0,
    ) -> None:
        if input_channels(student) != 3:
            raise ConfigError(f"{KEY}.strong_view", "images of other channels", "None: its colours are those of RGB")
        colours = dict(brightness=brightness, contrast=contrast, saturation=saturation)
        for name, value in colours.items():
            check_number(f"strong_view.{name}", value, 0)
        check_number("strong_view.hue", hue, 0, 0.5)
        if not isinstance(blur, int) or blur < 0 or (blur and blur % 2 == 0):
            raise ConfigError(f"{KEY}.strong_view.blur", blur, "an odd number of pixels, or 0")
        preprocessor = getattr(student, "data_preprocessor", None)
        found = normalisation(preprocessor)
        self.mean, self.std = (None, None) if found is None else (found.mean, found.std)
        self.reverse = not reverses_channels(preprocessor)  # images are read as BGR
        steps: list[Any] = [v2.ColorJitter(**colours, hue=hue)]
        steps += [v2.RandomApply([v2.GaussianBlur(blur)], p=BLURRED)] if blur else []
        self.change = v2.Compose(steps)

    @torch.no_grad()
    def __call__(self, inputs: Tensor, samples: Sequence[Any]) -> Tensor:
        """Preprocessed images (N, C, H, W) under another light; what fills them up stays."""
        pixels = inputs.float()
        if self.mean is not None and self.std is not None:
            self.mean, self.std = self.mean.to(pixels), self.std.to(pixels)
            pixels = pixels * self.std + self.mean
        pixels = (pixels.flip(1) if self.reverse else pixels).clamp(0, PIXELS) / PIXELS
        for image, sample in zip(pixels, samples, strict=True):
            # Contrast is about an image's own mean, and blur mixes neighbours: both without the border of the batch.
            height, width = getattr(sample, "img_shape", image.shape[-2:])[:2]
            image[:, :height, :width] = self.change(image[:, :height, :width])
        pixels = pixels * PIXELS
        pixels = pixels.flip(1) if self.reverse else pixels
        if self.mean is not None and self.std is not None:
            pixels = (pixels - self.mean) / self.std
        return torch.where(content(inputs, samples)[:, None], pixels.to(inputs.dtype), inputs)

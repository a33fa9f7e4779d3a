"""Label maps painted over images."""

from __future__ import annotations

import colorsys
from collections.abc import Collection, Sequence

import numpy as np


def class_colors(count: int) -> list[tuple[int, int, int]]:
    """Colours that differ, for classes that bring none.

    Args:
        count (int): How many.

    Returns:
        list[tuple[int, int, int]]: RGB, 0 to 255.

    Example:
        >>> class_colors(2)
        [(242, 48, 48), (48, 242, 242)]
    """
    hues = [colorsys.hsv_to_rgb(index / max(count, 1), 0.8, 0.95) for index in range(count)]
    return [tuple(round(255 * part) for part in color) for color in hues]  # type: ignore[misc]


def overlay_mask(
    image: np.ndarray,
    labels: np.ndarray,
    palette: Sequence[Sequence[int]],
    *,
    opacity: float = 0.65,
    unpainted: Collection[int] = (),
) -> np.ndarray:
    """Paint each labelled pixel in the colour of its class.

    Args:
        image (np.ndarray): (H, W, 3) uint8.
        labels (np.ndarray): (H, W) integers; those outside of the palette (such as 255, ignored) are left as they are.
        palette (Sequence): RGB of each class, 0 to 255.
        opacity (float): Of the colour, 0 to 1.
        unpainted (Collection[int]): Classes that are left as they are, such as the background.

    Returns:
        np.ndarray: (H, W, 3) uint8.

    Raises:
        ValueError: The label map is of another size than the image.

    Example:
        >>> overlay_mask(np.zeros((1, 2, 3), np.uint8), np.array([[0, 1]]), [(0, 0, 0), (200, 0, 0)], opacity=0.5)
        array([[[  0,   0,   0],
                [100,   0,   0]]], dtype=uint8)
    """
    if image.shape[:2] != labels.shape:
        raise ValueError(f"labels: expected the shape {image.shape[:2]} of the image, got {labels.shape}")
    painted = image.astype(np.float32)
    for label, color in enumerate(palette):
        if label not in unpainted:
            chosen = labels == label
            painted[chosen] = (1 - opacity) * painted[chosen] + opacity * np.asarray(color, np.float32)
    return painted.round().astype(np.uint8)

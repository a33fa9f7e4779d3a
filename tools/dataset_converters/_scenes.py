"""Composes one digit scene: real digits on a crop of a real photograph."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageFilter

IGNORE = 255
# Opacity from which a pixel belongs to the stroke, and below which it is background; between them it is ignored.
SOLID, FAINT = 0.6, 0.2
BACKGROUND = (10, 110)
INK = (170, 255)
TRIES = 40


@dataclass(frozen=True)
class Style:
    """How scenes look.

    Args:
        size (int): Side of a scene in pixels.
        digits (tuple[int, int]): Fewest and most digits in a scene.
        digit_size (tuple[int, int]): Smallest and largest side, in pixels, of
            the 28 x 28 frame in which MNIST keeps a digit.
        stroke (int): Strokes are widened by a square of this side, odd; 1 leaves them.
    """

    size: int = 64
    digits: tuple[int, int] = (2, 4)
    digit_size: tuple[int, int] = (26, 40)
    stroke: int = 3


@dataclass
class Scene:
    """One scene, with what is in it.

    Args:
        image (np.ndarray): (H, W, 3) uint8.
        mask (np.ndarray): (H, W) uint8: 0 background, 1 + the digit, 255 on soft edges.
        rows (list[int]): Which digit of the pool each object is.
        boxes (list[tuple[int, int, int, int]]): Left, top, right, bottom of each object, the last two exclusive.
        areas (list[int]): Pixels of each object.
    """

    image: np.ndarray
    mask: np.ndarray
    rows: list[int] = field(default_factory=list)
    boxes: list[tuple[int, int, int, int]] = field(default_factory=list)
    areas: list[int] = field(default_factory=list)


def background(photograph: Image.Image, size: int, rng: np.random.Generator) -> np.ndarray:
    """A random crop of a photograph, turned, mirrored, and darkened to the range ``BACKGROUND``.

    Args:
        photograph (Image.Image): RGB, each side at least ``size``.
        size (int): Side of the result in pixels.
        rng (np.random.Generator): Where the choices come from.

    Returns:
        np.ndarray: (size, size, 3) float32.
    """
    side = int(rng.integers(size, min(3 * size, *photograph.size) + 1))
    left, top = (int(rng.integers(length - side + 1)) for length in photograph.size)
    crop = photograph.crop((left, top, left + side, top + side)).resize((size, size), Image.Resampling.BILINEAR)
    pixels = np.rot90(np.asarray(crop, dtype=np.float32), int(rng.integers(4)))
    pixels = pixels[:, ::-1] if rng.integers(2) else pixels
    low, high = np.percentile(pixels, (1, 99))
    stretched = (pixels - low) / max(float(high - low), 1.0)
    return BACKGROUND[0] + stretched.clip(0, 1) * (BACKGROUND[1] - BACKGROUND[0])


def opacity(digit: np.ndarray, side: int, stroke: int) -> np.ndarray:
    """A digit at another size, as opacity, cut to its visible part.

    Args:
        digit (np.ndarray): (28, 28) uint8.
        side (int): The frame's new side in pixels.
        stroke (int): By how wide a square the strokes are widened.

    Returns:
        np.ndarray: (h, w) float32 in [0, 1].
    """
    # Half the widening to each side is room enough for it.
    frame = Image.new("L", (side + 2 * stroke, side + 2 * stroke))
    frame.paste(Image.fromarray(digit).resize((side, side), Image.Resampling.BILINEAR), (stroke, stroke))
    alpha = np.asarray(frame.filter(ImageFilter.MaxFilter(stroke)), dtype=np.float32) / 255
    rows, columns = (np.flatnonzero((alpha >= FAINT).any(axis)) for axis in (1, 0))
    return alpha[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def compose(
    photograph: Image.Image,
    images: np.ndarray,
    labels: np.ndarray,
    pool: np.ndarray,
    style: Style,
    rng: np.random.Generator,
) -> Scene:
    """One scene; no digit covers another.

    Args:
        photograph (Image.Image): RGB, the background's source.
        images (np.ndarray): (N, 28, 28) uint8 digits.
        labels (np.ndarray): (N,) which digit each is.
        pool (np.ndarray): (M,) the rows that may be used.
        style (Style): How the scene looks.
        rng (np.random.Generator): Where the choices come from.

    Returns:
        Scene: The scene.

    Raises:
        RuntimeError: So many digits of that size find no room in the scene.
    """
    pixels = background(photograph, style.size, rng)
    wanted = int(rng.integers(style.digits[0], style.digits[1] + 1))
    for _ in range(TRIES):
        placed = _place(images, pool, wanted, style, rng)
        if placed:
            break
    else:
        raise RuntimeError("no room for the digits")
    scene = Scene(pixels, np.zeros(pixels.shape[:2], dtype=np.uint8))
    for row, alpha, top, left in placed:
        height, width = alpha.shape
        window = np.s_[top : top + height, left : left + width]
        ink = rng.integers(INK[0], INK[1] + 1, size=3)
        pixels[window] += alpha[..., None] * (ink - pixels[window])
        scene.mask[window][alpha >= FAINT] = IGNORE
        scene.mask[window][alpha >= SOLID] = labels[row] + 1
        scene.rows.append(row)
        scene.boxes.append((left, top, left + width, top + height))
        scene.areas.append(int((alpha >= FAINT).sum()))
    scene.image = pixels.round().clip(0, 255).astype(np.uint8)
    return scene


def _place(
    images: np.ndarray, pool: np.ndarray, wanted: int, style: Style, rng: np.random.Generator
) -> list[tuple[int, np.ndarray, int, int]]:
    """Row, opacity, top and left of the digits; empty where one of them found no room."""
    taken = np.zeros((style.size, style.size), dtype=bool)
    placed = []
    for row in rng.choice(pool, wanted, replace=False):
        side = int(rng.integers(style.digit_size[0], style.digit_size[1] + 1))
        alpha = opacity(images[row], side, style.stroke)
        height, width = alpha.shape
        if max(height, width) > style.size:
            return []
        for _ in range(TRIES):
            top, left = int(rng.integers(style.size - height + 1)), int(rng.integers(style.size - width + 1))
            window = np.s_[top : top + height, left : left + width]
            if not (taken[window] & (alpha > 0)).any():
                break
        else:
            return []
        taken[window] |= alpha > 0
        placed.append((int(row), alpha, top, left))
    return placed

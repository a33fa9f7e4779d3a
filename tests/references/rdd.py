"""RDD written out in plain Python and float64, as its definition reads. Slow, and independent of mmdist.

Maps are nested lists: logits [image][class][row][column], labels and probabilities [image][row][column].
"""

from __future__ import annotations

import math

from references.dist import activate

Plane = list[list[float]]


def place(index: int, length: int, size: int, align_corners: bool) -> tuple[int, int, float]:
    """Where position ``index`` of ``size`` lies among ``length``: the two neighbours, and the share of the second."""
    if align_corners:
        at = index * (length - 1) / (size - 1) if size > 1 else 0.0
    else:
        at = min(max((index + 0.5) * length / size - 0.5, 0.0), length - 1.0)
    first = min(int(at), length - 1)
    return first, min(first + 1, length - 1), at - first


def resize(plane: Plane, size: tuple[int, int], align_corners: bool = True) -> Plane:
    """Bilinear."""
    result = []
    for i in range(size[0]):
        top, bottom, down = place(i, len(plane), size[0], align_corners)
        row = []
        for j in range(size[1]):
            left, right, across = place(j, len(plane[0]), size[1], align_corners)
            upper = (1 - across) * plane[top][left] + across * plane[top][right]
            lower = (1 - across) * plane[bottom][left] + across * plane[bottom][right]
            row.append((1 - down) * upper + down * lower)
        result.append(row)
    return result


def kl(p: list[float], q: list[float]) -> float:
    """Sum of p (log p - log q)."""
    return math.fsum(a * (math.log(a) - math.log(b)) for a, b in zip(p, q, strict=True) if a > 0)


def entropy(row: list[float], activation: str) -> float:
    """Of the classes' distribution, or the sum of those of each class against its rest."""
    p = activate(row, 1, activation)
    if activation == "sigmoid":
        p += [1 - a for a in p]
    return -math.fsum(a * math.log(a) for a in p if a > 0)


def pixels(image: list[Plane]) -> list[list[list[float]]]:
    """[class][row][column] to [row][column][class]."""
    return [[list(scores) for scores in zip(*rows, strict=True)] for rows in zip(*image, strict=True)]


def teacher_weight(main: list, aux: list, size: tuple[int, int] | None = None, direction: str = "aux_main") -> list:
    """exp(-KL) of each pixel, then resized."""
    maps = []
    for main_image, aux_image in zip(main, aux, strict=True):
        plane = []
        for main_row, aux_row in zip(pixels(main_image), pixels(aux_image), strict=True):
            row = []
            for z_main, z_aux in zip(main_row, aux_row, strict=True):
                p, q = activate(z_aux, 1, "softmax"), activate(z_main, 1, "softmax")
                row.append(math.exp(-(kl(p, q) if direction == "aux_main" else kl(q, p))))
            plane.append(row)
        maps.append(plane if size is None else resize(plane, size))
    return maps


def entropy_weight(logits: list, size: tuple[int, int], activation: str = "softmax") -> list:
    """exp(-entropy) of each pixel, then resized."""
    planes = [[[math.exp(-entropy(z, activation)) for z in row] for row in pixels(image)] for image in logits]
    return [resize(plane, size) for plane in planes]


def label_probability(
    logits: list, label: list, ignore: int, align_corners: bool = True, activation: str = "softmax"
) -> list:
    """Of the label's class, after resizing the logits to the labels; 1 where ignored."""
    maps = []
    for image, y_map in zip(logits, label, strict=True):
        size = len(y_map), len(y_map[0])
        scores = pixels([resize(plane, size, align_corners) for plane in image])
        plane = []
        for z_row, y_row in zip(scores, y_map, strict=True):
            row = []
            for z, y in zip(z_row, y_row, strict=True):
                p = activate(z, 1, activation)
                row.append(1.0 if y == ignore else 1 - max(p) if y == len(p) else p[y])
            plane.append(row)
        maps.append(plane)
    return maps


def hard_mask(probability: list, label: list, ignore: int, threshold: float, min_kept: int) -> list:
    """p <= max(threshold, the min_kept-th smallest of the batch), where the label counts."""
    ordered = sorted(p for plane in probability for row in plane for p in row)
    kept = sum(y != ignore for plane in label for row in plane for y in row)
    limit = threshold
    if kept < min_kept:
        limit = math.inf
    elif min_kept:
        limit = max(threshold, ordered[min_kept - 1])
    return [
        [[p <= limit and y != ignore for p, y in zip(*rows, strict=True)] for rows in zip(*planes, strict=True)]
        for planes in zip(probability, label, strict=True)
    ]

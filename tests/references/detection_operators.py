"""What mmcv's compiled operators should compute, in plain float64."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def overlaps(first: Tensor, second: Tensor, mode: str = "iou", offset: int = 0) -> Tensor:
    """Intersection over union (or over the first box) of every pair; boxes (N, 4) and (M, 4) -> (N, M)."""
    table = torch.zeros(len(first), len(second), dtype=torch.float64)
    for i, a in enumerate(first.tolist()):
        for j, b in enumerate(second.tolist()):
            width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]) + offset)
            height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]) + offset)
            area = [(box[2] - box[0] + offset) * (box[3] - box[1] + offset) for box in (a, b)]
            whole = area[0] if mode == "iof" else area[0] + area[1] - width * height
            table[i, j] = width * height / whole
    return table


def nms(boxes: Tensor, scores: Tensor, threshold: float) -> list[int]:
    """Indices of the boxes that stay, best first."""
    table, left, kept = overlaps(boxes, boxes), scores.argsort(descending=True).tolist(), []
    while left:
        kept.append(left.pop(0))
        left = [index for index in left if table[kept[-1], index] <= threshold]
    return kept


def soft_nms(
    boxes: Tensor, scores: Tensor, threshold: float, sigma: float, min_score: float, method: str
) -> tuple[list[int], list[float]]:
    """Indices of the boxes in the order in which they are chosen, and their lowered scores."""
    table, current = overlaps(boxes, boxes), scores.double().tolist()
    left, kept, final = list(range(len(current))), [], []
    while left:
        best = max(left, key=lambda index: current[index])
        left.remove(best)
        kept.append(best)
        final.append(current[best])
        for index in left:
            overlap = table[best, index].item()
            if method == "gaussian":
                current[index] *= math.exp(-(overlap**2) / sigma)
            elif overlap >= threshold:
                current[index] *= 1 - overlap
        left = [index for index in left if current[index] >= min_score]
    return kept, final


def sample(image: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """Bilinear values of an image (C, H, W) at positions in pixels, 0 outside; y, x (...) -> (C, ...)."""
    height, width = image.shape[-2:]
    low_y, low_x = y.floor(), x.floor()
    total = torch.zeros(image.shape[0], *y.shape, dtype=image.dtype)
    for step_y in (0, 1):
        for step_x in (0, 1):
            row, column = low_y + step_y, low_x + step_x
            share = (1 - (y - row).abs()) * (1 - (x - column).abs())
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            values = image[:, row.clamp(0, height - 1).long(), column.clamp(0, width - 1).long()]
            total = total + values * (share * inside)
    return total


def roi_align(image: Tensor, rois: Tensor, size: int, scale: float, ratio: int, mode: str) -> Tensor:
    """Aligned RoIAlign; image (N, C, H, W), rois (K, 5) -> (K, C, size, size)."""
    pooled = []
    for index, x1, y1, x2, y2 in rois.tolist():
        start_x, start_y = x1 * scale - 0.5, y1 * scale - 0.5
        bin_w, bin_h = (x2 - x1) * scale / size, (y2 - y1) * scale / size
        steps = (torch.arange(size * ratio, dtype=image.dtype) + 0.5) / ratio
        # a sample within one pixel of the border takes the border's value
        y = (start_y + steps * bin_h).clamp(0, image.shape[2] - 1)
        x = (start_x + steps * bin_w).clamp(0, image.shape[3] - 1)
        grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
        values = sample(image[int(index)], grid_y, grid_x).unflatten(1, (size, ratio)).unflatten(3, (size, ratio))
        values = values.permute(0, 1, 3, 2, 4).flatten(3)
        pooled.append(values.mean(3) if mode == "avg" else values.max(3).values)
    return torch.stack(pooled)


def roi_pool(image: Tensor, rois: Tensor, size: int, scale: float) -> Tensor:
    """The maximum of each of size x size bins whose borders are rounded to pixels; -> (K, C, size, size)."""
    pooled = []
    for index, *corners in rois.tolist():
        x1, y1, x2, y2 = (math.floor(corner * scale + 0.5) for corner in corners)
        height, width = max(y2 - y1 + 1, 1), max(x2 - x1 + 1, 1)
        rows = []
        for i in range(size):
            for j in range(size):
                top, bottom = y1 + math.floor(i * height / size), y1 + math.ceil((i + 1) * height / size)
                left, right = x1 + math.floor(j * width / size), x1 + math.ceil((j + 1) * width / size)
                part = image[int(index), :, max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)].flatten(1)
                rows.append(part.max(1).values if part.shape[1] else torch.zeros_like(image[0, :, 0, 0]))
        pooled.append(torch.stack(rows, 1).unflatten(1, (size, size)))
    return torch.stack(pooled)


def deformable_convolution(
    image: Tensor, offset: Tensor, weight: Tensor, mask: Tensor | None, stride: int, padding: int, dilation: int
) -> Tensor:
    """One group, G deformable groups; offset (N, G 2 K, h, w) as (y, x) of each tap, mask (N, G K, h, w)."""
    taps = weight.shape[2] * weight.shape[3]
    groups = offset.shape[1] // (2 * taps)
    rows, columns = (torch.arange(count, dtype=image.dtype) * stride - padding for count in offset.shape[2:])
    outputs = []
    for n in range(image.shape[0]):
        sampled = []
        for g, part in enumerate(image[n].chunk(groups)):
            for tap in range(taps):
                channel = 2 * (g * taps + tap)
                y = rows[:, None] + tap // weight.shape[3] * dilation + offset[n, channel]
                x = columns[None, :] + tap % weight.shape[3] * dilation + offset[n, channel + 1]
                values = sample(part, y, x)
                sampled.append(values if mask is None else values * mask[n, g * taps + tap])
        stacked = torch.stack(sampled).unflatten(0, (groups, taps)).transpose(1, 2).flatten(0, 1)
        outputs.append(torch.einsum("ctyx,oct->oyx", stacked, weight.flatten(2)))
    return torch.stack(outputs)


def focal_loss(logits: Tensor, labels: Tensor, gamma: float, alpha: float) -> Tensor:
    """Sigmoid focal loss of each class; logits (N, C), labels (N,), C = background -> (N, C)."""
    target = torch.nn.functional.one_hot(labels, logits.shape[1] + 1)[:, :-1].to(logits)
    p = logits.sigmoid()
    positive = -alpha * (1 - p) ** gamma * p.log() * target
    return positive - (1 - alpha) * p**gamma * (1 - p).log() * (1 - target)

"""The operators that the set-up compiled compute what they should, on every device that is here."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from references import detection_operators as reference
from torch import Tensor

ops = pytest.importorskip("mmcv.ops")

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"))]
device = pytest.mark.parametrize("device", DEVICES)
# what mmcv has for GPUs alone; its error on a CPU is a test of its own
gpu = pytest.mark.parametrize("device", DEVICES[1:])


def random_boxes(count: int, seed: int, size: float = 40.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * size
    return torch.cat([corner, corner + 1 + torch.rand(count, 2, generator=generator) * size / 2], 1)


def random_rois(count: int, images: int, seed: int) -> Tensor:
    index = torch.arange(count) % images
    return torch.cat([index[:, None].float(), random_boxes(count, seed)], 1)


def compare(function, formula, tensors: list[Tensor], device: str, tolerance: float = 1e-4) -> None:
    """Value and gradients, in float32 there and float64 here."""
    there = [tensor.clone().to(device).requires_grad_() for tensor in tensors]
    here = [tensor.double().requires_grad_() for tensor in tensors]
    got, wanted = function(*there), formula(*here)
    assert got.shape == wanted.shape
    direction = torch.rand(wanted.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    got.backward(direction.to(got))
    wanted.backward(direction)
    torch.testing.assert_close(got.double().cpu(), wanted, rtol=tolerance, atol=tolerance)
    for a, b in zip(there, here, strict=True):
        torch.testing.assert_close(a.grad.double().cpu(), b.grad, rtol=tolerance, atol=10 * tolerance)


@device
@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.6])
def test_nms_keeps_what_greedy_search_keeps(device: str, threshold: float) -> None:
    boxes, scores = random_boxes(60, 0), torch.rand(60)
    dets, kept = ops.nms(boxes.to(device), scores.to(device), threshold)
    assert kept.tolist() == reference.nms(boxes, scores, threshold)
    torch.testing.assert_close(dets.cpu(), torch.cat([boxes, scores[:, None]], 1)[kept.cpu()])


@pytest.mark.parametrize("method", ["linear", "gaussian"])
def test_soft_nms_lowers_scores_by_overlap(method: str) -> None:
    boxes, scores = random_boxes(30, 1), torch.rand(30)
    dets, kept = ops.soft_nms(boxes, scores, 0.3, 0.5, 0.05, method)
    wanted, final = reference.soft_nms(boxes, scores, 0.3, 0.5, 0.05, method)
    assert kept.tolist() == wanted
    np.testing.assert_allclose(dets[:, 4], final, rtol=1e-4)


@device
@pytest.mark.parametrize("mode", ["iou", "iof"])
@pytest.mark.parametrize("offset", [0, 1])
def test_box_overlaps_are_intersection_over_area(device: str, mode: str, offset: int) -> None:
    first, second = random_boxes(12, 2), random_boxes(9, 3)
    wanted = reference.overlaps(first, second, mode, offset)
    got = ops.bbox_overlaps(first.to(device), second.to(device), mode=mode, offset=offset)
    torch.testing.assert_close(got.double().cpu(), wanted, rtol=1e-5, atol=1e-6)
    compiled = first.new_zeros(12, 9).to(device)  # on a CPU mmcv's function takes another way
    ops.bbox.ext_module.bbox_overlaps(
        first.to(device), second.to(device), compiled, mode={"iou": 0, "iof": 1}[mode], aligned=False, offset=offset
    )
    torch.testing.assert_close(compiled.double().cpu(), wanted, rtol=1e-5, atol=1e-6)


@device
def test_upright_rotated_boxes_are_boxes(device: str) -> None:
    first, second, scores = random_boxes(12, 2), random_boxes(9, 3), torch.rand(12)

    def rotated(boxes: Tensor) -> Tensor:
        size = boxes[:, 2:] - boxes[:, :2]
        return torch.cat([boxes[:, :2] + size / 2, size, torch.zeros(len(boxes), 1)], 1).to(device)

    got = ops.box_iou_rotated(rotated(first), rotated(second)).double().cpu()
    torch.testing.assert_close(got, reference.overlaps(first, second), rtol=1e-4, atol=1e-5)
    _, kept = ops.nms_rotated(rotated(first), scores.to(device), 0.3)
    assert kept.tolist() == reference.nms(first, scores, 0.3)


@device
@pytest.mark.parametrize("mode", ["avg", "max"])
def test_roi_align_averages_bilinear_samples(device: str, mode: str) -> None:
    rois = random_rois(7, 2, 4)
    compare(
        lambda image: ops.roi_align(image, rois.to(device), (3, 3), 0.5, 2, mode, True),
        lambda image: reference.roi_align(image, rois, 3, 0.5, 2, mode),
        [torch.randn(2, 3, 30, 34)],
        device,
    )


@device
def test_an_upright_rotated_roi_is_aligned_as_a_roi(device: str) -> None:
    rois = random_rois(5, 2, 6)
    size = rois[:, 3:] - rois[:, 1:3]
    rotated = torch.cat([rois[:, :1], rois[:, 1:3] + size / 2, size, torch.zeros(5, 1)], 1).to(device)
    compare(
        lambda image: ops.roi_align_rotated(image, rotated, (3, 3), 0.5, 2, True),
        lambda image: reference.roi_align(image, rois, 3, 0.5, 2, "avg"),
        [torch.randn(2, 3, 40, 40)],
        device,
    )


@gpu
def test_roi_pool_takes_the_maximum_of_each_bin(device: str) -> None:
    rois = random_rois(7, 2, 4)
    compare(
        lambda image: ops.roi_pool(image, rois.to(device), (3, 3), 0.5),
        lambda image: reference.roi_pool(image, rois, 3, 0.5),
        [torch.randn(2, 3, 30, 34)],
        device,
    )


@device
@pytest.mark.parametrize(("stride", "padding", "dilation", "groups"), [(1, 1, 1, 1), (2, 2, 2, 2)])
@pytest.mark.parametrize("version", [1, 2])
def test_deformable_convolution_samples_where_the_offsets_say(
    device: str, version: int, stride: int, padding: int, dilation: int, groups: int
) -> None:
    height, width = ((size + 2 * padding - 2 * dilation - 1) // stride + 1 for size in (9, 11))
    tensors = [torch.randn(2, 4, 9, 11), torch.randn(2, groups * 18, height, width), torch.randn(5, 4, 3, 3)]
    if version == 2:
        tensors.append(torch.rand(2, groups * 9, height, width))

    def compiled(image: Tensor, offset: Tensor, weight: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is None:
            return ops.deform_conv2d(image, offset, weight, stride, padding, dilation, 1, groups)
        return ops.modulated_deform_conv2d(image, offset, mask, weight, None, stride, padding, dilation, 1, groups)

    def plain(image: Tensor, offset: Tensor, weight: Tensor, mask: Tensor | None = None) -> Tensor:
        return reference.deformable_convolution(image, offset, weight, mask, stride, padding, dilation)

    compare(compiled, plain, tensors, device)


@gpu
def test_focal_loss_is_its_formula(device: str) -> None:
    labels = torch.arange(12) % 5  # 4: background
    compare(
        lambda logits: ops.sigmoid_focal_loss(logits, labels.to(device), 2.0, 0.25, None, "none"),
        lambda logits: reference.focal_loss(logits, labels, 2.0, 0.25),
        [torch.randn(12, 4)],
        device,
    )


@device
@pytest.mark.parametrize("align_corners", [False, True])
def test_bilinear_sampling_is_that_of_pytorch(device: str, align_corners: bool) -> None:
    points = torch.rand(2, 20, 2) * 1.2 - 0.1  # some outside
    compare(
        lambda image, at: ops.point_sample(image, at, align_corners=align_corners),
        lambda image, at: F.grid_sample(image, 2 * at[:, :, None] - 1, align_corners=align_corners).squeeze(3),
        [torch.randn(2, 3, 8, 9), points],
        device,
    )
    compare(
        lambda image, at: ops.point_sample(image, at),
        lambda image, at: torch.stack(
            [reference.sample(i, p[:, 1] * 8 - 0.5, p[:, 0] * 9 - 0.5) for i, p in zip(image, at, strict=True)]
        ),
        [torch.randn(2, 3, 8, 9), points],
        device,
    )


@pytest.mark.parametrize("name", ["roi_pool", "sigmoid_focal_loss"])
def test_what_mmcv_has_for_gpus_alone_says_so_on_a_cpu(name: str) -> None:
    arguments = {
        "roi_pool": (torch.randn(1, 1, 8, 8), torch.tensor([[0.0, 0, 0, 4, 4]]), (2, 2), 1.0),
        "sigmoid_focal_loss": (torch.randn(3, 2), torch.tensor([0, 1, 2])),
    }
    with pytest.raises(RuntimeError, match="cpu"):
        getattr(ops, name)(*arguments[name])

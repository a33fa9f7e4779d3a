"""Maps at another size, against PyTorch's interpolation in float64 and one written out."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from references.rdd import resize

from mmdist.functional import resize_maps

SIZES = [((97, 61), (193, 121)), ((13, 7), (25, 20)), ((5, 6), (3, 2)), ((1, 1), (4, 3))]


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(("before", "after"), SIZES)
def test_values_and_gradients_are_those_of_float64(
    before: tuple[int, int], after: tuple[int, int], align_corners: bool
) -> None:
    maps = torch.randn(2, 3, *before, requires_grad=True)
    exact = maps.detach().double().requires_grad_()
    pull = torch.randn(2, 3, *after)
    found = resize_maps(maps, after, align_corners=align_corners)
    expected = F.interpolate(exact, after, mode="bilinear", align_corners=align_corners)
    # PyTorch computes the places in float32 too
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4)
    (found * pull).sum().backward()
    (expected * pull.double()).sum().backward()
    torch.testing.assert_close(maps.grad.double(), exact.grad, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(resize_maps(exact, after, align_corners=align_corners), expected, rtol=0, atol=0)


@pytest.mark.parametrize("align_corners", [False, True])
def test_values_are_those_of_the_interpolation_written_out(align_corners: bool) -> None:
    maps = torch.randn(1, 2, 5, 7, dtype=torch.float64)
    expected = torch.tensor([resize(plane, (9, 11), align_corners) for plane in maps[0].tolist()], dtype=torch.float64)
    torch.testing.assert_close(resize_maps(maps, (9, 11), align_corners=align_corners)[0], expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_interpolated_in_float32(dtype: torch.dtype) -> None:
    maps = torch.randn(1, 2, 5, 7).to(dtype)
    found = resize_maps(maps, (9, 12))
    expected = F.interpolate(maps.double(), (9, 12), mode="bilinear", align_corners=False)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=1e-6)


def test_maps_of_the_size_are_handed_on() -> None:
    maps = torch.randn(1, 2, 5, 7, dtype=torch.float16)
    assert resize_maps(maps, [5, 7]) is maps


@pytest.mark.parametrize(
    ("maps", "size"),
    [
        (torch.zeros(1, 2, 3), (4, 4)),
        (torch.zeros(1, 2, 3, 3, dtype=torch.int64), (4, 4)),
        (torch.zeros(1, 2, 3, 3), (4,)),
        (torch.zeros(1, 2, 3, 3), (4, 0)),
    ],
    ids=["tokens", "labels", "one-number", "nothing"],
)
def test_what_cannot_be_resized_is_refused(maps: torch.Tensor, size: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected|must be"):
        resize_maps(maps, size)

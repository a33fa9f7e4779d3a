"""The five versions of a region of interest."""

from __future__ import annotations

import pytest
import torch

from mmdist.functional.phases import phase_regions


def test_the_versions_are_the_average_of_four_pixels_and_each_of_the_four():
    x = torch.randn(3, 2, 6, 4, dtype=torch.float64)
    versions = phase_regions(x)
    assert versions.shape == (5, 3, 2, 3, 2)
    for row in range(3):
        for column in range(2):
            four = [x[:, :, 2 * row + i, 2 * column + j] for i in (0, 1) for j in (0, 1)]
            torch.testing.assert_close(versions[0, :, :, row, column], sum(four) / 4)
            for index, pixel in enumerate(four, start=1):
                assert torch.equal(versions[index, :, :, row, column], pixel)


def test_the_average_of_the_four_grids_is_the_first_version():
    versions = phase_regions(torch.randn(2, 3, 14, 14))
    torch.testing.assert_close(versions[1:].mean(0), versions[0])


def test_every_pixel_gets_as_much_gradient_as_every_other():
    x = torch.randn(2, 3, 14, 14, requires_grad=True)
    phase_regions(x).sum().backward()
    torch.testing.assert_close(x.grad, torch.full_like(x, 1.25))  # once in a grid, and a quarter of an average


def test_no_region_gives_no_version():
    assert phase_regions(torch.zeros(0, 3, 14, 14)).shape == (5, 0, 3, 7, 7)


@pytest.mark.parametrize("shape", [(2, 3, 7, 8), (2, 3, 8, 7), (3, 8, 8)])
def test_an_odd_size_or_another_shape_is_named(shape):
    with pytest.raises(ValueError, match=r"x must be \(R, D, H, W\) with even H and W, got shape"):
        phase_regions(torch.zeros(shape))

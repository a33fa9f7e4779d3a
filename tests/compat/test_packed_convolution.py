"""Convolutions with weights that are laid out once: the convolution's values, whatever comes."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from mmdist.compat import packed_convolution
from mmdist.compat.packed_convolution import PackedConvolution

needs_operators = pytest.mark.skipif(not packed_convolution.available(), reason="a PyTorch without oneDNN's operators")


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def frozen(*args, **kwargs):
    return nn.Conv2d(*args, **kwargs).requires_grad_(False)


def packed(module):
    return PackedConvolution(module, module.weight, module.bias)


CONVOLUTIONS = {
    "stem": dict(in_channels=3, out_channels=16, kernel_size=7, stride=2, padding=3),
    "1x1": dict(in_channels=16, out_channels=40, kernel_size=1, bias=False),
    "dilated": dict(in_channels=16, out_channels=16, kernel_size=3, padding=2, dilation=2),
    "grouped": dict(in_channels=16, out_channels=10, kernel_size=3, padding=1, groups=2),
    "depthwise": dict(in_channels=16, out_channels=16, kernel_size=3, stride=(1, 2), padding=(1, 0), groups=16),
    "odd": dict(in_channels=5, out_channels=7, kernel_size=(3, 5)),
}


@needs_operators
@pytest.mark.parametrize("options", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_the_values_are_the_convolutions_in_float64_at_every_size(options):
    module = frozen(**options)
    convolution = packed(module)
    for batch, height, width in [(2, 9, 12), (1, 32, 32), (5, 7, 8), (2, 9, 12)]:
        picture = torch.randn(batch, module.in_channels, height, width)
        expected = nn.Conv2d(**options).double()
        expected.load_state_dict(module.state_dict())
        torch.testing.assert_close(convolution(picture).double(), expected(picture.double()), rtol=1e-4, atol=1e-5)
    assert convolution.packed is not None


@needs_operators
@pytest.mark.parametrize("options", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_what_it_answers_does_not_depend_on_what_it_met_before(options):
    module = frozen(**options)
    pictures = [torch.randn(size[0], module.in_channels, *size[1:]) for size in [(2, 9, 12), (1, 8, 8), (4, 20, 11)]]
    for first, second in itertools.permutations(pictures, 2):
        late, early = packed(module), packed(module)
        late(first)
        assert torch.equal(late(second), early(second))
        assert torch.equal(early(second.contiguous(memory_format=torch.channels_last)), late(second))


@needs_operators
def test_what_the_operators_do_not_know_is_computed_as_ever():
    module = frozen(3, 4, 3, padding=1)
    convolution, picture = packed(module), torch.randn(2, 3, 8, 8)
    for _ in range(2):  # before the weight is laid out, and after
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(convolution(picture), module(picture))
        trained = picture.clone().requires_grad_()
        convolution(trained).sum().backward()
        expected = picture.clone().requires_grad_()
        module(expected).sum().backward()
        torch.testing.assert_close(trained.grad, expected.grad)
        with torch.backends.mkldnn.flags(enabled=False):
            assert torch.equal(convolution(picture), module(picture))
        assert convolution(picture[:0]).shape == (0, 4, 8, 8)
        torch.testing.assert_close(convolution(picture[0]), module(picture[0]))
        convolution(picture)
    assert convolution.packed is not None


@pytest.mark.parametrize(
    "module",
    [
        frozen(3, 4, 3, padding=1, padding_mode="reflect"),
        frozen(3, 4, 3, padding="same"),
        frozen(3, 4, 3).double(),
        frozen(3, 4, 3).bfloat16(),
        nn.Conv1d(3, 4, 3).requires_grad_(False),
    ],
)
def test_convolutions_of_other_kinds_stay_what_they_are(module):
    sizes = (2, 3, 8) if isinstance(module, nn.Conv1d) else (2, 3, 8, 8)
    picture = torch.randn(sizes, dtype=module.weight.dtype)
    convolution = packed(module)
    assert torch.equal(convolution(picture), module(picture))
    assert convolution.packed is None


@pytest.mark.parametrize(
    "operator",
    [
        pytest.param(lambda *_: torch.zeros(2, 4, 6, 6), id="other values"),
        pytest.param(lambda *_: torch.full((2, 4, 6, 6), float("nan")), id="no number"),
        pytest.param(lambda *_: torch.zeros(2, 4, 5, 5), id="another shape"),
        pytest.param(lambda X, W: None, id="another signature"),
    ],
)
def test_operators_that_compute_something_else_are_given_up(monkeypatch, operator):
    monkeypatch.setattr(torch.ops.mkldnn, "_convolution_pointwise", operator, raising=False)
    module = frozen(3, 4, 3)
    convolution, picture = packed(module), torch.randn(2, 3, 8, 8)
    for _ in range(2):
        assert torch.equal(convolution(picture), module(picture))
    assert convolution.packed is None


def test_a_pytorch_without_the_operators_convolves(monkeypatch):
    monkeypatch.setattr(packed_convolution, "available", lambda: False)
    module = frozen(3, 4, 3)
    convolution, picture = packed(module), torch.randn(2, 3, 8, 8)
    assert torch.equal(convolution(picture), module(picture))
    assert convolution.packed is None

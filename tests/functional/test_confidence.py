"""The probability of the label against its definition in float64, at any size and in little memory."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers.label_maps import SHAPES, assert_equal, labelled
from references import rdd as reference
from torch import Tensor

from mmdist.functional import _confidence, _cpu, _cpu_build, label_probability, rdd_hard_mask


@pytest.fixture(params=[None, 1, 40, 1 << 30])
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int | None:
    """Blocks of less than a row, of some rows, of all images."""
    if request.param is not None:
        monkeypatch.setattr(_confidence, "BLOCK", request.param)
    return request.param


@pytest.mark.parametrize(("shape", "size"), SHAPES)
@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_the_label_probability_is_that_of_the_definition(shape, size, align_corners, activation, block):
    logits, _, label = labelled(shape, size)
    if activation == "sigmoid":
        label[torch.rand(label.shape) < 0.3] = shape[1]  # the background
    expected = reference.label_probability(logits.tolist(), label.tolist(), 255, align_corners, activation)
    assert_equal(label_probability(logits, label, align_corners=align_corners, activation=activation), expected)


def test_the_label_probability_of_samples_and_of_points():
    logits, label = torch.randn(6, 5), torch.tensor([0, 4, 255, 2, 1, 255])
    expected = logits.softmax(1).gather(1, label.where(label != 255, 0).unsqueeze(1)).squeeze(1)
    expected[label == 255] = 1
    torch.testing.assert_close(label_probability(logits, label), expected)
    points = logits.T.unsqueeze(0)  # (1, 5, 6)
    torch.testing.assert_close(label_probability(points, label.unsqueeze(0)).squeeze(0), expected)


def test_soft_labels_of_samples_are_averaged_over():
    logits, label = torch.randn(6, 5), torch.rand(6, 5).softmax(1)
    torch.testing.assert_close(label_probability(logits, label), (label * logits.softmax(1)).sum(1))
    hard = torch.tensor([0, 4, 3, 2, 1, 1])
    one_hot = torch.nn.functional.one_hot(hard, 5).float()
    torch.testing.assert_close(label_probability(logits, one_hot), label_probability(logits, hard))
    assert rdd_hard_mask(logits, one_hot, min_kept=2).equal(rdd_hard_mask(logits, hard, min_kept=2))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32])
def test_labels_may_be_of_any_integer_dtype(dtype):
    logits, _, label = labelled((2, 5, 3, 4), (7, 9))
    torch.testing.assert_close(label_probability(logits, label.to(dtype)), label_probability(logits, label))


def test_an_ignore_index_outside_the_dtype_of_the_labels_ignores_nothing():
    label = torch.zeros(1, 2, 2, dtype=torch.uint8)
    label[0, 0, 0] = 255
    with pytest.raises(ValueError, match=r"\[0, 3\) or ignore_index = -1"):
        label_probability(torch.randn(1, 3, 2, 2), label, ignore_index=-1)


@pytest.mark.parametrize("layout", ["channels_last", "transposed", "expanded"])
@pytest.mark.parametrize("size", [(3, 4), (7, 9)])
def test_memory_layout_does_not_matter(layout, size):
    logits, _, label = labelled((2, 5, 3, 4), size)
    other = {
        "channels_last": lambda x: x.to(memory_format=torch.channels_last),
        "transposed": lambda x: x.transpose(2, 3).contiguous().transpose(2, 3),
        "expanded": lambda x: x[:1].expand(2, -1, -1, -1),
    }[layout](logits)
    torch.testing.assert_close(label_probability(other, label), label_probability(other.clone(), label))
    if layout != "expanded":
        torch.testing.assert_close(label_probability(other, label), label_probability(logits, label))


def test_what_is_ignored_may_hold_anything():
    logits, _, label = labelled((2, 5, 6, 4), (6, 4))
    expected = label_probability(logits, label)
    logits.masked_fill_((label == 255).unsqueeze(1), float("nan"))
    for activation in ("softmax", "sigmoid"):
        probability = label_probability(logits, label, activation=activation)
        assert (probability[label == 255] == 1).all()
        assert probability.isfinite().all()
    torch.testing.assert_close(label_probability(logits, label), expected)


@pytest.mark.parametrize(("shape", "size"), [*SHAPES, ((3, 7, 40, 33), (64, 300)), ((1, 2_000, 3, 20), (5, 20))])
@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("layout", ["contiguous", "channels last", "transposed"])
def test_the_kernel_computes_what_the_blocks_do(shape, size, align_corners, layout, monkeypatch):
    if _cpu_build.kernels().library is None:
        pytest.skip("needs a C compiler")
    logits, _, label = labelled(shape, size)
    logits = logits.float()
    logits[:, 1:, :, :1] = -100.0
    if layout == "channels last":
        logits = logits.to(memory_format=torch.channels_last)
    elif layout == "transposed":
        logits = logits.transpose(2, 3).contiguous().transpose(2, 3)
    value = label_probability(logits, label, align_corners=align_corners)
    monkeypatch.setattr(_cpu, "available", lambda *maps: False)
    torch.testing.assert_close(
        value, label_probability(logits, label, align_corners=align_corners), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("kernels", [True, False])
def test_a_class_that_cannot_be_and_a_network_that_broke_are_seen_in_either_form(kernels, monkeypatch):
    if not kernels:
        monkeypatch.setattr(_cpu, "available", lambda *maps: False)
    elif _cpu_build.kernels().library is None:
        pytest.skip("needs a C compiler")
    logits, label = torch.zeros(1, 3, 1, 4), torch.tensor([[[0, 1, 2, -1]]])
    logits[:, 2] = -math.inf
    logits[..., 3] = math.nan
    probability = label_probability(logits, label, ignore_index=-1)
    torch.testing.assert_close(probability, torch.tensor([[[0.5, 0.5, 0.0, 1.0]]]))
    assert label_probability(logits, label.clamp_min(0)).isnan().tolist() == [[[False, False, False, True]]]
    for wrong in (3, -1, 1 << 40):
        with pytest.raises(ValueError, match=r"label must be in \[0, 3\) or ignore_index = 255"):
            label_probability(logits, torch.full((1, 1, 4), wrong))


def peak_memory(tmp_path: Path, call: Callable[[], Tensor]) -> int:
    """The most bytes that are held at once in a call, the result included."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        call()
    profile.export_chrome_trace(str(tmp_path / "trace.json"))
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    changes = sorted((event["ts"], event["args"]["Bytes"]) for event in events if event.get("name") == "[memory]")
    return max(itertools.accumulate(change for _, change in changes))


@pytest.mark.parametrize("small", [(64, 128), (512, 1024)])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_no_map_of_all_classes_at_label_size_is_ever_held(small, activation, tmp_path):
    classes, size = 19, (512, 1024)
    pixels = math.prod(size)
    for images in (1, 4):
        logits = torch.zeros(images, classes, *small)
        label = torch.zeros(images, *size, dtype=torch.long)
        peak = peak_memory(tmp_path, lambda z=logits, y=label: label_probability(z, y, activation=activation))
        result = 4 * pixels * images
        assert result <= peak < result + 4 * classes * pixels / 2  # half of one image's map


MAP, LABEL = torch.randn(2, 5, 3, 4), torch.zeros(2, 7, 9, dtype=torch.long)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: label_probability(MAP, LABEL, activation="sigmod"), ValueError, "did you mean 'sigmoid'"),
        (lambda: label_probability(MAP, LABEL.float()), TypeError, "label must be integers, .* got torch.float32"),
        (lambda: label_probability(MAP, LABEL.bool()), TypeError, "label must be integers, .* got torch.bool"),
        (lambda: label_probability(MAP, [0]), TypeError, "label must be integers, .* got list"),
        (lambda: label_probability(MAP, LABEL[:1]), ValueError, r"N = 2 as the logits, got shape \(1, 7, 9\)"),
        (lambda: label_probability(MAP, LABEL[0]), ValueError, "with 2 spatial dimensions"),
        (lambda: label_probability(MAP[0], LABEL[0, :5]), ValueError, "label must be"),
        (lambda: label_probability(MAP[:, :, 0], LABEL[:, 0]), ValueError, r"logits' size \(4,\), got \(9,\)"),
        (lambda: label_probability(MAP, LABEL + 5), ValueError, r"label must be in \[0, 5\) or ignore_index = 255"),
        (lambda: label_probability(MAP, LABEL - 1), ValueError, r"label must be in \[0, 5\) or ignore_index = 255"),
        (lambda: label_probability(MAP, LABEL + 6, activation="sigmoid"), ValueError, r"label must be in \[0, 6\)"),
    ],
)
def test_a_wrong_argument_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()

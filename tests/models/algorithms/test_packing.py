"""The teacher's fused convolutions with weights laid out once: only where nobody minds the order of the maps."""

from __future__ import annotations

import pytest
import torch
from helpers.fused_norms import frozen, losses, search, trained
from helpers.tiny_models import (
    algorithm,
    batch,
    feature_distiller,
    segmentor,
    segmentor_batch,
)
from torch import nn

from mmdist.compat import packed_convolution
from mmdist.compat.packed_convolution import PackedConvolution
from mmdist.models.algorithms import teacher as teacher_module

pytestmark = pytest.mark.skipif(not packed_convolution.available(), reason="a PyTorch without oneDNN's operators")


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


class Head(nn.Module):
    """Convolution, norm, and what a backbone does at its end."""

    def __init__(self, end):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.end = end

    def forward(self, picture):
        return self.end(self.body(picture))


def pack_of(norms):
    """The first convolution as it is computed, after a pass."""
    return norms._forwards[norms.pairs[0].convolution]


def test_the_weights_are_laid_out_in_the_first_pass():
    model = frozen(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4))
    norms, picture = search(model), torch.rand(2, 3, 8, 8)
    expected = model(picture)
    with norms.applied():
        found = model(picture)
    torch.testing.assert_close(found, expected)
    assert norms.packs and found.is_contiguous(memory_format=torch.channels_last)
    assert isinstance(pack_of(norms), PackedConvolution) and pack_of(norms).packed is not None


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(lambda maps: maps.view(len(maps), -1), id="view as vectors"),
        pytest.param(lambda maps: maps.view(len(maps) * maps.shape[1], 1, *maps.shape[2:]), id="view as one channel"),
        pytest.param(
            lambda maps: torch.as_strided(maps, maps.shape, torch.empty(maps.shape).stride()) * 1, id="reads the memory"
        ),
    ],
)
def test_a_model_that_needs_the_usual_order_fuses_without_it(end):
    model = trained(Head(end)).requires_grad_(False).eval()
    norms, picture = search(model), torch.rand(2, 3, 8, 8)
    assert norms.pairs and not norms.packs
    expected = model(picture)
    with norms.applied():
        torch.testing.assert_close(model(picture), expected)


def test_records_come_in_the_usual_order():
    source = "backbone.layer1.0"
    model = algorithm(distiller=feature_distiller(source, "mmdist.ChannelRelationLoss"), random_teacher=True)
    assert model._teacher.fused.packs
    orders = []
    model.teacher.get_submodule(source).register_forward_hook(
        lambda module, args, output: orders.append(output.is_contiguous())
    )
    recorders = model.distiller.teacher_recorders
    model._teacher.record(recorders, torch.rand(2, 3, 16, 16), None, whole=False)
    assert orders == [False] and recorders.recorders["logits"].data_buffer[0].is_contiguous()


def test_losses_that_look_at_memory_get_records_that_they_can_read():
    divergence = feature_distiller("decode_head.conv_seg", "mmrazor.ChannelWiseDivergence")
    model = algorithm(architecture=segmentor(), teacher=segmentor(8), distiller=divergence, random_teacher=True)
    assert model._teacher.fused.packs
    data, found = segmentor_batch(), {}
    for packs in (True, False):
        torch.manual_seed(0)  # of the student's dropout
        found[packs] = losses(model, data)
        model._teacher.fused.unpack()
    expected, found = found[False], found[True]
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)


@pytest.mark.parametrize("options", [dict(teacher_channels_last=True), dict(acclimated=["head.fc"])])
def test_a_teacher_in_another_order_or_with_parts_that_train_is_not_packed(options):
    model = algorithm(random_teacher=True, **options)
    assert model._teacher.fused.pairs and not model._teacher.fused.packs


def test_what_was_not_tried_out_is_not_packed(monkeypatch):
    def fails(*_):
        raise TypeError("needs samples")

    model = algorithm(random_teacher=True)
    picture = torch.rand(8, 3, 16, 16)
    monkeypatch.setattr(teacher_module, "forward_features", fails)
    model._teacher.record(model.distiller.teacher_recorders, picture, batch()["data_samples"], whole=False)
    assert model._teacher._mode == "loss" and model._teacher.fused.pairs and not model._teacher.fused.packs


def test_other_weights_are_laid_out_anew():
    model = frozen(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    norms, picture = search(model), torch.rand(2, 3, 8, 8)
    for _ in range(2):
        nn.init.normal_(model[0].weight)
        expected = model(picture)
        with norms.applied():
            torch.testing.assert_close(model(picture), expected)
        assert pack_of(norms).packed is not None


def test_convolutions_without_a_norm_are_packed_beside_those_with_one_and_follow_their_weights():
    model = frozen(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 5, 1, bias=False), nn.Conv2d(5, 2, 1))
    norms, picture = search(model), torch.rand(2, 3, 8, 8)
    assert norms.lone == [model[2], model[3]]
    for _ in range(2):
        nn.init.normal_(model[2].weight)
        expected = model(picture)
        with norms.applied():
            torch.testing.assert_close(model(picture), expected, rtol=1e-4, atol=1e-5)
        assert all(norms._forwards[module].packed is not None for module in norms.lone)
    alone = search(frozen(nn.Conv2d(3, 4, 3)))
    assert not alone.packs and not alone.lone  # nothing brings maps in another order
    trains = frozen(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 5, 1))
    trains[2].requires_grad_(True)
    assert not search(trains).lone

"""Fix 10: maps in channels-last layout."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from mmcv.ops import DeformConv2dPack, ModulatedDeformConv2d, ModulatedDeformConv2dPack, RoIAlign
from mmrazor.models.losses import ChannelWiseDivergence, PKDLoss
from torch import Tensor, nn

from mmdist.compat.layout import give_contiguous_maps, in_channels_last


def maps() -> tuple[Tensor, Tensor]:
    """As a convolution gives them behind a transformer."""
    return tuple(torch.randn(2, 5, 4, 6).to(memory_format=torch.channels_last) for _ in range(2))


def test_a_loss_of_mmrazor_refuses_channels_last_maps_without_the_fix() -> None:
    with pytest.raises(RuntimeError, match="view size is not compatible"):
        ChannelWiseDivergence()(*maps())


@pytest.mark.parametrize("by_name", [False, True])
def test_with_the_fix_it_has_the_value_and_gradient_of_contiguous_maps(by_name: bool) -> None:
    fixed, (student, teacher) = ChannelWiseDivergence(), maps()
    assert give_contiguous_maps(fixed) == [""]
    plain = student.contiguous().requires_grad_()
    expected = ChannelWiseDivergence()(plain, teacher.contiguous())
    student.requires_grad_()
    value = fixed(preds_S=student, preds_T=teacher) if by_name else fixed(student, teacher)
    assert torch.equal(value, expected)
    (gradient,), (wanted,) = torch.autograd.grad(value, student), torch.autograd.grad(expected, plain)
    assert torch.equal(gradient, wanted)


def test_pyramids_stay_tuples_and_contiguous_maps_are_not_copied() -> None:
    seen = []
    loss = PKDLoss()
    give_contiguous_maps(loss)
    loss.forward = lambda preds_S, preds_T: seen.extend((preds_S, preds_T))
    student, teacher = maps()
    plain = student.contiguous()
    loss((plain, student), (teacher, teacher))
    assert all(isinstance(levels, tuple) and all(level.is_contiguous() for level in levels) for levels in seen)
    assert seen[0][0] is plain


def test_it_is_done_once_and_to_losses_of_mmrazor_alone() -> None:
    losses = nn.ModuleDict(dict(cwd=ChannelWiseDivergence(), own=nn.L1Loss()))
    assert give_contiguous_maps(losses) == ["cwd"]
    assert give_contiguous_maps(losses) == []


def test_a_loss_with_the_fix_can_be_copied_and_pickled() -> None:
    loss = ChannelWiseDivergence()
    give_contiguous_maps(loss)
    for other in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        assert other(*maps()).isfinite()


ROIS = torch.tensor([[0.0, 0, 0, 5, 3], [1, 1, 0, 4, 3]])
OPERATORS = {
    "roi_align": (lambda: RoIAlign(2), lambda: (torch.rand(2, 5, 4, 6), ROIS)),
    "offsets": (
        lambda: ModulatedDeformConv2d(5, 3, 3, padding=1),
        lambda: (torch.rand(2, 5, 4, 6), torch.randn(2, 18, 4, 6), torch.rand(2, 9, 4, 6)),
    ),
}


def channels_last(tensors: tuple[Tensor, ...]) -> list[Tensor]:
    return [tensor.to(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor for tensor in tensors]


@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_of_mmcv_computes_the_same_in_any_layout(name: str) -> None:
    make, inputs = OPERATORS[name]
    operator, given = make(), inputs()
    expected = operator(*given)
    assert give_contiguous_maps(operator) == [""]
    torch.testing.assert_close(operator(*channels_last(given)), expected)


def test_roi_align_reads_a_channels_last_map_wrongly_without_the_fix() -> None:
    make, inputs = OPERATORS["roi_align"]
    given = inputs()
    assert not torch.allclose(make()(*channels_last(given)), make()(*given))


@pytest.mark.parametrize("kind", [ModulatedDeformConv2dPack, DeformConv2dPack])
def test_offsets_that_an_operator_computes_itself_reach_it_in_order(kind: type[nn.Module]) -> None:
    operator = kind(5, 3, 3, padding=1)
    nn.init.normal_(operator.conv_offset.weight)
    given = torch.rand(2, 5, 4, 6)
    expected = operator(given)
    give_contiguous_maps(operator)
    found = in_channels_last(operator)(given.to(memory_format=torch.channels_last))
    torch.testing.assert_close(found, expected)

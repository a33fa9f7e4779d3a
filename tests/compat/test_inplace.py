"""Fix 5: in-place activations."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
import torch
from torch import Tensor, nn

from mmdist.compat.inplace import disable_inplace


class Block(nn.Module):
    """Batch norm and an in-place activation, as every backbone has them."""

    def __init__(self) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(3)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.bn(x))


def record(model: Block, x: Tensor) -> tuple[Tensor, Tensor]:
    """What a recorder sees: the output itself, and a copy made at once."""
    seen = []
    handle = model.bn.register_forward_hook(lambda _module, _inputs, output: seen.extend((output, output.clone())))
    model(x)
    handle.remove()
    return seen[0], seen[1]


def test_a_recorded_output_is_overwritten_without_the_fix() -> None:
    kept, copied = record(Block(), torch.randn(2, 3, 4, 4))
    assert not torch.equal(kept, copied)


def test_a_recorded_output_stays_as_it_was_with_the_fix() -> None:
    model = Block()
    assert disable_inplace(model) == ["relu"]
    kept, copied = record(model, torch.randn(2, 3, 4, 4))
    assert torch.equal(kept, copied)
    assert (kept < 0).any()


def test_the_result_of_the_model_is_the_same() -> None:
    x = torch.randn(2, 3, 4, 4)
    model = Block().eval()
    before = model(x.clone())
    disable_inplace(model)
    assert torch.equal(before, model(x))


def test_the_names_of_what_changed_are_returned_once() -> None:
    shared = nn.Dropout(0.5, inplace=True)
    model = nn.Sequential(shared, nn.Sequential(nn.SiLU(inplace=True), nn.ReLU()), shared)
    assert disable_inplace(model) == ["0", "1.0"]
    assert disable_inplace(model) == []


@pytest.mark.skipif(find_spec("mmcv") is None, reason="needs mmcv")
def test_an_mmcv_block_is_switched_off_with_its_activation() -> None:
    from mmcv.cnn import ConvModule

    block = ConvModule(3, 4, 1, norm_cfg={"type": "BN"}, act_cfg={"type": "ReLU"}, inplace=True)
    assert "activate" in disable_inplace(block)
    assert block.activate.inplace is False

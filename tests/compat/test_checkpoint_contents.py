"""What is honest goes on loading: the same values as torch alone reads, in both of its formats."""

from __future__ import annotations

from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mmdist.compat.checkpoint import load_checkpoint_file

SHARED = torch.arange(24.0).view(2, 3, 4)
KINDS = (torch.float16, torch.bfloat16, torch.float64, torch.int8, torch.uint8, torch.int16, torch.int32, torch.bool)
VALUES: dict[str, Any] = {
    "types": [torch.ones(3).to(kind) for kind in KINDS],
    "new types": [torch.ones(3).to(torch.float8_e4m3fn), torch.ones(3).to(torch.uint16)],
    "complex number": torch.ones(2, dtype=torch.complex64),
    "empty": [torch.zeros(0), torch.zeros(3, 0, 2), torch.tensor(2.0)],
    "views": [SHARED, SHARED[1], SHARED.transpose(0, 2), SHARED[:, 1:, ::2]],
    "expanded": torch.ones(1).expand(5, 3),
    "parameters": [nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2), requires_grad=False)],
    "plain": [None, True, -5, 2**100, 1.5, float("inf"), "text \u00e9\U0001f600", b"\x00\xff", 1 + 2j],
    "bytes": [b"", bytearray(b"ab")],
    "containers": [(), (1,), (1, 2, 3, 4), [], {}, {"a": {"b": [()]}}, {1, 2}, OrderedDict(a=1), Counter("aab")],
    "numbers as keys": {0: 1, 5: 2, -1: 3, 60000: 4, 1.5: 5, None: 6, True: 7},
    "of torch": [torch.Size([2, 3]), torch.float32, torch.device("cpu"), torch.device("cuda", 1)],
    "arrays": [np.arange(6, dtype=kind).reshape(2, 3) for kind in ("f2", "f4", ">f8", "i8", "u1", "c16")],
    "text arrays": [np.array(["\u00e9", "ab"]), np.array([b"ab"]), np.array([True, False])],
    "odd arrays": [np.zeros((0, 3)), np.asfortranarray(np.eye(3)), np.array(5)],
    "scalars": [np.float32(1.5), np.int64(-1), np.bool_(True), np.str_("ab"), np.bytes_(b"ab"), np.complex64(1j)],
    "shared": [(shared := ["once"]), shared, {"again": shared}],
    "many steps": [{"lr": 0.1, "params": list(range(3000))}],
}


def same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, Tensor):
        alike = all(getattr(one, name) == getattr(other, name) for name in ("dtype", "shape", "requires_grad"))
        bits = [tensor.detach().contiguous().flatten().view(torch.uint8) for tensor in (one, other)]
        return alike and one.stride() == other.stride() and torch.equal(*bits)
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and bool((one == other).all())
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_what_torch_writes_is_loaded_as_torch_loads_it(value: Any, legacy: bool, tmp_path: Path) -> None:
    content = {"state_dict": OrderedDict(a=SHARED), "value": value}
    if legacy and value is VALUES["new types"]:
        pytest.skip("torch cannot read them itself")
    torch.save(content, tmp_path / "a.pth", _use_new_zipfile_serialization=not legacy)
    expected = torch.load(tmp_path / "a.pth", weights_only=False)
    assert same(load_checkpoint_file(tmp_path / "a.pth"), expected)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_models_and_optimizers_keep_their_versions_and_states(legacy: bool, tmp_path: Path) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    optimizer = torch.optim.AdamW([{"params": [parameter]} for parameter in model.parameters()])
    model(torch.ones(1, 3, 2, 2)).sum().backward()
    optimizer.step()
    content = {"state_dict": model.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save(content, tmp_path / "a.pth", _use_new_zipfile_serialization=not legacy)
    loaded = load_checkpoint_file(tmp_path / "a.pth")
    assert same(loaded, torch.load(tmp_path / "a.pth", weights_only=False))
    assert loaded["state_dict"]._metadata == model.state_dict()._metadata


@pytest.mark.parametrize("network", ["alex", "squeeze", "vgg"])
def test_a_file_of_python_2_is_loaded(network: str) -> None:
    """Its pickler numbers objects otherwise, and its names are byte strings."""
    functional = pytest.importorskip("torchmetrics.functional")
    path = Path(functional.__file__).parent / "image" / "lpips_models" / f"{network}.pth"
    if not path.exists():
        pytest.skip("these weights come with torchmetrics")
    assert same(load_checkpoint_file(path), torch.load(path, map_location="cpu", weights_only=True))


def test_weights_alone_are_a_checkpoint_too(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(2), "b": torch.ones(1)}, tmp_path / "a.pth")
    assert list(load_checkpoint_file(tmp_path / "a.pth")) == ["a", "b"]

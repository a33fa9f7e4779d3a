"""Weights in the format of safetensors are checkpoints for every loader of OpenMMLab."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from helpers.tiny_models import algorithm
from torch import nn

from mmdist.compat import _checkpoint_safetensors
from mmdist.compat.checkpoint import check_file, load_checkpoint_file
from mmdist.engine.export.write import to_bytes
from mmdist.errors import CheckpointError, MissingPackageError

safetensors = pytest.importorskip("safetensors.torch")


def write(path: Path, state: dict, **metadata: str) -> Path:
    safetensors.save_file(state, path, metadata or None)
    return path


@pytest.mark.parametrize("name", ["student.safetensors", "student.pth"])
def test_weights_come_as_they_were_whatever_the_file_is_called(tmp_path: Path, name: str) -> None:
    state = {"a.weight": torch.randn(3, 2), "a.bias": torch.ones(3).half(), "count": torch.tensor(4)}
    path = write(tmp_path / name, state)
    check_file(path)
    content = load_checkpoint_file(path, None)
    assert content["meta"] == {}
    assert all(torch.equal(content["state_dict"][key], value) for key, value in state.items())
    assert {value.dtype for value in content["state_dict"].values()} == {torch.float32, torch.float16, torch.int64}


def test_what_the_export_wrote_beside_the_weights_comes_back(tmp_path: Path) -> None:
    meta = dict(dataset_meta=dict(classes=["cat", "dog"]), iter=7, weights="ema")
    (tmp_path / "a.safetensors").write_bytes(to_bytes({"weight": torch.ones(2)}, meta, ".safetensors"))
    assert load_checkpoint_file(tmp_path / "a.safetensors")["meta"] == meta


def test_openmmlabs_loaders_read_it(tmp_path: Path) -> None:
    from mmengine.runner.checkpoint import CheckpointLoader, load_checkpoint

    source, target = nn.Linear(2, 3), nn.Linear(2, 3)
    path = write(tmp_path / "a.safetensors", source.state_dict())
    load_checkpoint(target, str(path), map_location="cpu")
    assert torch.equal(source.weight, target.weight)
    assert set(CheckpointLoader.load_checkpoint(str(path))) == {"meta", "state_dict"}


def test_a_teacher_may_come_as_safetensors(tmp_path: Path) -> None:
    torch.manual_seed(0)
    state = algorithm(random_teacher=True).teacher.state_dict()
    model = algorithm(teacher_ckpt=str(write(tmp_path / "teacher.safetensors", state)))
    assert all(torch.equal(value, state[name]) for name, value in model.teacher.state_dict().items())


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.safetensors", {"weight": torch.ones(1000)})
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"a\.safetensors cannot be read: .*copy or download it again"):
        load_checkpoint_file(path)


def test_without_the_package_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.safetensors", {"weight": torch.ones(2)})
    monkeypatch.setattr(_checkpoint_safetensors, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match="pip install safetensors"):
        load_checkpoint_file(path)


def test_the_order_of_the_metadata_does_not_change_the_file() -> None:
    """The package writes it in the order of a hash table, which is another one in every process."""
    data, heads = b"\0\0\0\0", []
    for keys in (("b", "a", "format"), ("format", "b", "a")):
        head = {"__metadata__": dict.fromkeys(keys, "x"), "w": dict(dtype="F32", shape=[1], data_offsets=[0, 4])}
        text = json.dumps(head).encode()
        heads.append(len(text).to_bytes(8, "little") + text + data)
    assert heads[0] != heads[1]
    assert _checkpoint_safetensors.stamp(heads[0]) == _checkpoint_safetensors.stamp(heads[1])

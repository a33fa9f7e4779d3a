"""Damage that the zip package or torch reports in its own way is passed over as other damage is."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers.run_content import run_content
from mmengine.config import Config

from mmdist.compat.checkpoint import check_content
from mmdist.engine import atomic
from mmdist.engine.hooks.fallback import fall_back

DIRECTORY = b"PK\x01\x02"  # an entry of it: the version at 6, flags at 8, method at 10, size at 20, name at 46


def in_directory(place: int, value: bytes) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        data = bytearray(path.read_bytes())
        start = data.index(DIRECTORY) + place
        data[start : start + len(value)] = value
        path.write_bytes(data)

    return damage


def flip_a_weight(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[data.index(torch.full((50,), 3.0).numpy().tobytes()) + 100] ^= 16
    path.write_bytes(data)


DAMAGE = {
    "a version that is not known": in_directory(6, b"\xff\xff"),
    "a name that is no text": in_directory(48, b"\xff\xfe"),
    "a method that is not known": in_directory(10, b"\x63\x00"),
    "a password": in_directory(8, b"\x01\x08"),
    "a size beyond the end": in_directory(20, b"\xff\xff\xff\x7f"),
    "a flipped bit": flip_a_weight,
}


@pytest.mark.parametrize("written_by", ["torch", "mmdist"])
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_the_checkpoint_before_a_damaged_one_is_taken(
    damage: Callable[[Path], None], written_by: str, tmp_path: Path
) -> None:
    for step in (2, 3):
        path = tmp_path / f"iter_{step}.pth"
        weights = {"weight": torch.full((5000,), float(step))}
        content = run_content(weights, step)
        torch.save(content, path) if written_by == "torch" else atomic.write_checkpoint(content, path)
        os.utime(path, (step, step))
    assert check_content(tmp_path / "iter_3.pth") == ("crc32" if written_by == "torch" else "sha256")
    (tmp_path / "last_checkpoint").write_text(str(tmp_path / "iter_3.pth"))
    damage(tmp_path / "iter_3.pth")
    assert fall_back(Config(dict(work_dir=str(tmp_path), resume=True, load_from=None))) == tmp_path / "iter_2.pth"

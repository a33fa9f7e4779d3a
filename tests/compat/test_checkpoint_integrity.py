"""A file that is not the one that was written is said to be so."""

from __future__ import annotations

import hashlib
import random
import zipfile
from pathlib import Path

import pytest
import torch

from mmdist.compat import _checkpoint_integrity as integrity
from mmdist.compat.checkpoint import check_content, load_checkpoint_file
from mmdist.engine import atomic
from mmdist.engine.export.write import to_bytes
from mmdist.errors import CheckpointError

CONTENT = {"state_dict": {"a": torch.arange(300.0), "b": torch.ones(3, dtype=torch.int64)}, "meta": {"iter": 3}}


def same(content: dict) -> bool:
    state = content["state_dict"]
    equal = all(torch.equal(value, state[name]) for name, value in CONTENT["state_dict"].items())
    return equal and content["meta"] == CONTENT["meta"]


def flip(path: Path, position: int, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1 << bit
    path.write_bytes(data)


@pytest.mark.parametrize("written_by", ["torch", "mmdist"])
def test_a_flipped_bit_is_an_error_or_changes_nothing(tmp_path: Path, written_by: str) -> None:
    path, generator = tmp_path / "a.pth", random.Random(0)
    torch.save(CONTENT, path) if written_by == "torch" else atomic.write_checkpoint(CONTENT, path)
    whole, found = path.read_bytes(), 0
    for _ in range(150):
        path.write_bytes(whole)
        flip(path, generator.randrange(len(whole)), generator.randrange(8))
        try:
            assert same(load_checkpoint_file(path))
        except CheckpointError as error:
            assert str(error).isprintable()
            found += 1
    assert found > (130 if written_by == "mmdist" else 75)  # between torch's entries there is nothing to damage


def test_every_bit_of_a_weight_is_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save(CONTENT, path)
    start = path.read_bytes().index(torch.arange(300.0).numpy().tobytes())
    flip(path, start + 600)
    with pytest.raises(CheckpointError, match=r"a\.pth is damaged \(wrong checksum: data/0\)"):
        load_checkpoint_file(path)


def test_what_mmdist_writes_is_whole_by_its_sha256_and_torch_reads_it(tmp_path: Path) -> None:
    atomic.write_checkpoint(CONTENT, tmp_path / "a.pth")
    assert check_content(tmp_path / "a.pth") == "sha256"
    assert same(torch.load(tmp_path / "a.pth", weights_only=True))
    assert same(torch.load(tmp_path / "a.pth", weights_only=True, mmap=True))
    state = torch.load(tmp_path / "a.pth", weights_only=True)  # changed by its owner, it has no SHA-256 any more
    torch.save({**state, "meta": {"iter": 4}}, tmp_path / "a.pth")
    assert check_content(tmp_path / "a.pth") == "crc32"


def test_a_sha256_is_looked_at_where_the_checksums_were_made_to_fit(tmp_path: Path) -> None:
    atomic.write_checkpoint(CONTENT, tmp_path / "a.pth")
    with zipfile.ZipFile(tmp_path / "a.pth") as source, zipfile.ZipFile(tmp_path / "b.pth", "w") as target:
        for name in source.namelist():
            data = source.read(name)
            target.writestr(name, data if name != "archive/data/0" else bytes(len(data)))
    with pytest.raises(CheckpointError, match=r"b\.pth is damaged: its SHA-256"):
        load_checkpoint_file(tmp_path / "b.pth")


def test_a_file_without_checksums_is_loaded_and_said_to_be_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(CONTENT, tmp_path / "a.pth")
    finally:
        torch.serialization.set_crc32_options(True)
    torch.save(CONTENT, tmp_path / "b.pth", _use_new_zipfile_serialization=False)
    said = []
    from mmengine import logging

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logging, "print_log", lambda text, *rest, **options: said.append(text))
        for name in ("a.pth", "b.pth", "a.pth"):
            assert same(load_checkpoint_file(tmp_path / name))
            assert check_content(tmp_path / name) == ""
    assert [line.partition(": ")[0] for line in said] == [  # once a file
        f"{tmp_path / 'a.pth'} was written without checksums",
        f"{tmp_path / 'b.pth'} is of a format without checksums",
    ]


def test_a_file_is_looked_at_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save(CONTENT, tmp_path / "a.pth")
    looked = []
    check = integrity.check_records
    monkeypatch.setattr(integrity, "check_records", lambda path, records: looked.append(path) or check(path, records))
    for _ in range(3):
        load_checkpoint_file(tmp_path / "a.pth")
    assert len(looked) == 1
    torch.save({**CONTENT, "more": 1}, tmp_path / "a.pth")
    load_checkpoint_file(tmp_path / "a.pth")
    assert len(looked) == 2


@pytest.mark.parametrize("form", ["zip", "legacy", "safetensors"])
def test_a_hash_in_a_name_is_checked_whatever_the_format(form: str, tmp_path: Path) -> None:
    path = tmp_path / ("a.safetensors" if form == "safetensors" else "a.pth")
    if form == "safetensors":
        pytest.importorskip("safetensors")
        path.write_bytes(to_bytes(CONTENT["state_dict"], CONTENT["meta"], ".safetensors"))
    else:
        torch.save(CONTENT, path, _use_new_zipfile_serialization=form == "zip")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    for length in (8, 12, 64):
        right = path.rename(path.with_name(f"iter_40000-{digest[:length]}{path.suffix}"))
        assert same(load_checkpoint_file(right))
        wrong = right.rename(path.with_name(f"iter_40000-deadbeef{path.suffix}"))
        with pytest.raises(CheckpointError, match=r"begins with deadbeef.*rename the file") as refused:
            load_checkpoint_file(wrong)
        assert str(refused.value).isprintable()
        wrong.rename(path)


@pytest.mark.parametrize(
    "name", ["run-20230131.pth", "iter_40000-abc.pth", "my-model.pth", "net-abcdefgh.pth", "-1.pth"]
)
def test_a_date_or_a_word_in_a_name_is_no_hash(name: str, tmp_path: Path) -> None:
    torch.save(CONTENT, tmp_path / name)
    assert same(load_checkpoint_file(tmp_path / name))


def test_damage_in_a_directory_is_damage_like_any_other(tmp_path: Path) -> None:
    """The zip package answers it with UnicodeDecodeError, NotImplementedError, struct.error and others."""
    path = tmp_path / "a.pth"
    torch.save(CONTENT, path)
    whole = path.read_bytes()
    start = whole.rindex(b"PK\x01\x02")
    for position in range(start, len(whole)):
        for bit in (0, 3, 7):
            path.write_bytes(whole)
            flip(path, position, bit)
            try:
                assert same(load_checkpoint_file(path))
            except CheckpointError as error:
                assert str(error).isprintable()


def test_a_damaged_export_as_safetensors_is_found(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    path = tmp_path / "a.safetensors"
    content = to_bytes(CONTENT["state_dict"], CONTENT["meta"], ".safetensors")
    path.write_bytes(content)
    assert check_content(path) == "sha256"
    for position in (len(content) - 5, content.index(b'"iter":"3"') + 8):
        path.write_bytes(content)
        flip(path, position)
        with pytest.raises(CheckpointError, match="SHA-256"):
            load_checkpoint_file(path)

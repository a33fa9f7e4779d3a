"""Hostile files: each attack that is known ends in one printable line, before anything of it is built."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from helpers.attacks import ATTACKS, FINE, PICKLES, SIXTEEN, write_attack
from helpers.forged_files import (
    array,
    dtype,
    raw,
    storage,
    student,
    table,
    tensor,
    text,
    write_legacy,
    write_safetensors,
    write_zip,
)

from mmdist.compat import _checkpoint_pickle
from mmdist.compat.checkpoint import load_checkpoint_file
from mmdist.engine.export.recorded import read_recorded_config
from mmdist.errors import CheckpointError


@pytest.mark.parametrize(("attack", "form"), ATTACKS, ids=[f"{form}-{attack}" for attack, form in ATTACKS])
def test_an_attack_is_answered_with_one_printable_line(attack: str, form: str, tmp_path: Path) -> None:
    path = write_attack(tmp_path, attack, form)
    if form == "safetensors":
        pytest.importorskip("safetensors")
    with pytest.raises(CheckpointError) as refused:
        load_checkpoint_file(path)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) <= 4000
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_what_is_put_together_by_hand_is_loaded_where_it_is_honest(tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    numbers = b"\x00\x00\x80?" * 4
    meta = (text("meta"), table((text("x"), array((4,), numbers))))
    loaded = [
        load_checkpoint_file(write_zip(tmp_path / "a.pth", student(FINE, meta), {"0": numbers})),
        load_checkpoint_file(
            write_legacy(tmp_path / "b.pth", student(FINE, meta).replace(b"tQ", b"NtQ"), {"0": (4, numbers)})
        ),
    ]
    for content in loaded:
        assert content["meta"]["x"].tolist() == [1.0] * 4
        assert content["state_dict"]["architecture.head.weight"].tolist() == [1.0] * 4


@pytest.mark.parametrize(("code", "order"), [("f4", ">"), ("f8", "<"), ("i2", "<"), ("u1", "|"), ("b1", "|")])
def test_a_dtype_is_rebuilt_from_its_name_and_the_order_of_its_bytes(tmp_path: Path, code: str, order: str) -> None:
    np = pytest.importorskip("numpy")
    expected = np.arange(2).astype(np.dtype(code).newbyteorder(order))
    meta = (text("meta"), table((text("x"), array((2,), expected.tobytes(), dtype(code, byteorder=order)))))
    found = load_checkpoint_file(write_zip(tmp_path / "a.pth", student(FINE, meta), {"0": SIXTEEN}))["meta"]["x"]
    assert (found.dtype.kind, found.dtype.itemsize) == (expected.dtype.kind, expected.dtype.itemsize)
    assert found.tolist() == expected.tolist()


def test_a_view_within_its_storage_and_a_tied_weight_are_loaded(tmp_path: Path) -> None:
    body = table(
        (
            text("state_dict"),
            table((text("a"), tensor(storage(4), (2, 2), (2, 1))), (text("b"), tensor(storage(4), (2,), (1,), 2))),
        )
    )
    state = load_checkpoint_file(write_zip(tmp_path / "a.pth", body, {"0": b"\x00\x00\x80?" * 4}))["state_dict"]
    assert state["a"].shape == (2, 2)
    assert state["b"].untyped_storage().data_ptr() == state["a"].untyped_storage().data_ptr()


def test_a_storage_that_the_old_format_does_not_fill_is_no_memory_of_this_process(tmp_path: Path) -> None:
    body = student(tensor(storage(65536, legacy=True), (65536,)))
    for storages in ({}, {"0": (4, SIXTEEN)}, {"0": (65536, SIXTEEN)}, {"1": (4, SIXTEEN)}):
        with pytest.raises(CheckpointError, match=r"hostile|cut short"):
            load_checkpoint_file(write_legacy(tmp_path / "a.pth", body, storages))


def test_two_readers_cannot_be_given_two_archives(tmp_path: Path) -> None:
    """torch looks names up without regard to case, and takes the first of two."""
    path = write_zip(tmp_path / "a.pth", student(FINE), {"0": SIXTEEN}, **{"DATA.pkl": PICKLES["nothing"]})
    with pytest.raises(CheckpointError, match="twice"):
        load_checkpoint_file(path)
    fine = write_zip(tmp_path / "b.pth", student(FINE), {"0": SIXTEEN}).read_bytes()
    (tmp_path / "c.pth").write_bytes(fine + fine)  # two archives, of which each reader may take one
    (tmp_path / "d.pth").write_bytes(fine[:-2] + b"\x04\x00" + b"more")
    for name in ("c.pth", "d.pth"):
        with pytest.raises(CheckpointError, match=f"{name[0]}.pth is no archive as torch.save writes it"):
            load_checkpoint_file(tmp_path / name)


def test_metadata_of_safetensors_is_no_config(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    head = {"__metadata__": {"cfg": "model = dict()", "config": "x", "iter": "7", "deep": "[" * 10**5}}
    weight = {"architecture.w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}
    path = write_safetensors(tmp_path / "a.safetensors", {**head, **weight}, SIXTEEN)
    assert load_checkpoint_file(path)["meta"] == {"iter": 7}
    for hostile in (b'{"a":' * 10**5, b'{"a":1,"a":2}', b'{"a":' + b"9" * 5000 + b"}"):
        write_safetensors(path, hostile)
        with pytest.raises(CheckpointError) as refused:
            load_checkpoint_file(path)
        assert str(refused.value).isprintable()


def test_deep_nesting_is_no_crash_where_a_library_has_raised_the_limit(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    weight = {"architecture.w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(10**6)
    try:
        for head in (b'{"a":' * 10**5, json.dumps({"__metadata__": {"dataset_meta": "[" * 10**5}, **weight}).encode()):
            with pytest.raises(CheckpointError, match=r"deep|not what an export writes"):
                load_checkpoint_file(write_safetensors(tmp_path / "a.safetensors", head, SIXTEEN))
        for text in ("-" * 10**5 + "1", "[" * 10**4, "dict(a=" * 10**4):
            with pytest.raises(CheckpointError, match="plain values"):
                read_recorded_config(f"model = {text}", "a.pth")
    finally:
        sys.setrecursionlimit(limit)


def test_bytes_are_bytes(tmp_path: Path) -> None:
    meta = (text("meta"), table((text("x"), raw(b"\xff\x00"))))
    content = load_checkpoint_file(write_zip(tmp_path / "a.pth", student(FINE, meta), {"0": SIXTEEN}))
    assert content["meta"]["x"] == b"\xff\x00"


def test_a_file_has_no_more_steps_than_a_large_model_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_zip(tmp_path / "a.pth", student(FINE), {"0": SIXTEEN})
    monkeypatch.setattr(_checkpoint_pickle, "MOST_STEPS", 20)
    with pytest.raises(CheckpointError, match="more than 20 steps"):
        load_checkpoint_file(path)

"""Fix 4: loading checkpoints safely."""

from __future__ import annotations

import os
import pickle
import shutil
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from mmdist.compat._checkpoint_globals import allow_list
from mmdist.compat.checkpoint import TRUST_VARIABLE, load_checkpoint_file
from mmdist.errors import CheckpointError


class WritesAFile:
    """A pickle of it creates a file when it is loaded carelessly."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (open, (str(self.path), "w"))


class Calls:
    """A pickle of it calls a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def save(path: Path, content: Any, **options: Any) -> Path:
    torch.save(content, path, **options)
    return path


def test_threads_that_load_beside_each_other_do_not_take_the_list_from_each_other() -> None:
    known, entered = [], threading.Event()

    def names() -> list[str]:
        return [entry[1] for entry in torch.serialization.get_safe_globals() if isinstance(entry, tuple)]

    def load() -> None:
        with allow_list():
            entered.set()
            left.wait(1)
            known.extend(names())

    left, thread = threading.Event(), threading.Thread(target=load)
    with allow_list():
        thread.start()
        entered.wait(0.2)  # it gets in only where nothing keeps it out
    left.set()
    thread.join()
    assert "builtins.getattr" in known
    assert "builtins.getattr" not in names()


def test_plain_weights_are_loaded(tmp_path: Path) -> None:
    weights = {"state_dict": {"fc.weight": torch.randn(2, 3)}, "meta": {"epoch": 3, "classes": ("a", "b")}}
    loaded = load_checkpoint_file(save(tmp_path / "plain.pth", weights))
    assert torch.equal(loaded["state_dict"]["fc.weight"], weights["state_dict"]["fc.weight"])
    assert loaded["meta"] == weights["meta"]


@pytest.mark.parametrize("old_format", [False, True])
def test_arrays_and_scalars_of_numpy_are_loaded(tmp_path: Path, old_format: bool) -> None:
    np = pytest.importorskip("numpy")
    content = {
        "arrays": [np.arange(3, dtype=kind) for kind in ("f2", "f4", "f8", "i1", "i8", "u1", "u4", "c8", "c16")],
        "flags": np.array([True, False]),
        "names": np.array(["cell", "background"]),
        "scalars": [np.float32(1.5), np.float64(2.5), np.int64(3), np.bool_(True)],
    }
    file = save(tmp_path / "arrays.pth", content, _use_new_zipfile_serialization=not old_format)
    loaded = load_checkpoint_file(file)
    for have, want in zip(loaded["arrays"], content["arrays"], strict=True):
        assert have.dtype == want.dtype
        assert (have == want).all()
    assert loaded["flags"].tolist() == [True, False]
    assert loaded["names"].tolist() == ["cell", "background"]
    assert loaded["scalars"] == content["scalars"]


@pytest.mark.parametrize("core", ["core", "_core"])
def test_the_names_of_numpy_1_and_of_numpy_2_are_both_known(tmp_path: Path, core: str) -> None:
    np = pytest.importorskip("numpy")
    original = save(tmp_path / "original.pth", {"x": np.arange(2.0), "y": np.float64(1)})
    renamed = tmp_path / "renamed.pth"
    with zipfile.ZipFile(original) as source, zipfile.ZipFile(renamed, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            for known in (b"numpy._core.multiarray", b"numpy.core.multiarray"):
                data = data.replace(known, f"numpy.{core}.multiarray".encode())
            target.writestr(name, data)
    loaded = load_checkpoint_file(renamed)
    assert loaded["x"].tolist() == [0.0, 1.0]
    assert loaded["y"] == 1.0


def test_a_hostile_file_is_refused_and_does_nothing(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    file = save(tmp_path / "hostile.pth", {"state_dict": {}, "meta": WritesAFile(trace)})
    with pytest.raises(CheckpointError) as refused:
        load_checkpoint_file(file)
    assert not trace.exists()
    assert all(word in str(refused.value) for word in (str(file), "io.open", f"{TRUST_VARIABLE}={file}", "hostile"))
    # The file is as dangerous as it looks.
    torch.load(file, weights_only=False)
    assert trace.exists()


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_hostile_plain_pickle_is_refused_and_does_nothing(tmp_path: Path, protocol: int) -> None:
    trace = tmp_path / "trace"
    file = tmp_path / "hostile.pkl"
    file.write_bytes(pickle.dumps(WritesAFile(trace), protocol=protocol))
    with pytest.raises(CheckpointError, match="could run code"):
        load_checkpoint_file(file)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("owner", "name"), [(torch.nn.Parameter, "mean"), (torch.Tensor, "numpy"), ("text", "format"), (dict, "update")]
)
def test_getattr_answers_for_nothing_but_what_mmengine_writes(tmp_path: Path, owner: Any, name: str) -> None:
    file = save(tmp_path / "getattr.pth", {"x": Calls(getattr, owner, name)})
    with pytest.raises(CheckpointError, match=r"getattr|dict"):
        load_checkpoint_file(file)


def test_getattr_of_a_log_history_answers_for_its_statistics_alone(tmp_path: Path) -> None:
    HistoryBuffer = pytest.importorskip("mmengine.logging").HistoryBuffer
    file = save(tmp_path / "good.pth", {"x": Calls(getattr, HistoryBuffer, "mean")})
    assert load_checkpoint_file(file)["x"] is HistoryBuffer.mean
    file = save(tmp_path / "bad.pth", {"x": Calls(getattr, HistoryBuffer, "__init__")})
    with pytest.raises(CheckpointError, match="getattr"):
        load_checkpoint_file(file)


def save_history(path: Path, monkeypatch: pytest.MonkeyPatch, **added: Any) -> Path:
    """A log history with something in it that mmengine does not write."""
    HistoryBuffer = pytest.importorskip("mmengine.logging").HistoryBuffer
    buffer = HistoryBuffer([1.0], [1])
    with monkeypatch.context() as patch:
        patch.setattr(HistoryBuffer, "__getstate__", lambda self: {**self.__dict__, **added})
        return save(path, {"x": buffer})


def test_a_file_cannot_exchange_the_statistics_of_this_process(tmp_path: Path, monkeypatch) -> None:
    file = save_history(tmp_path / "exchange.pth", monkeypatch, statistics_methods={"mean": set})
    from mmengine.logging import HistoryBuffer

    loaded = load_checkpoint_file(file)["x"]
    assert type(loaded) is HistoryBuffer
    assert loaded.statistics("mean") == 1
    assert HistoryBuffer._statistics_methods["mean"] is HistoryBuffer.mean


def test_a_log_history_with_anything_added_is_refused(tmp_path: Path, monkeypatch) -> None:
    file = save_history(tmp_path / "added.pth", monkeypatch, update=set)
    with pytest.raises(CheckpointError, match=r"HistoryBuffer\.update"):
        load_checkpoint_file(file)


def test_an_array_of_objects_or_records_is_refused(tmp_path: Path) -> None:
    np = pytest.importorskip("numpy")
    for content in (np.array([None, "x"]), np.zeros(1, dtype=[("a", "f4"), ("b", "O")])):
        with pytest.raises(CheckpointError, match=r"numpy\.dtype"):
            load_checkpoint_file(save(tmp_path / "objects.pth", {"x": content}))


def test_a_file_trusted_by_name_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = tmp_path / "trace"
    file = save(tmp_path / "mine.pth", {"meta": WritesAFile(trace)})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(TRUST_VARIABLE, os.pathsep.join(["another.pth", "./mine.pth"]))
    assert set(load_checkpoint_file(file)) == {"meta"}
    assert trace.exists()


def test_trust_in_one_file_is_no_trust_in_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = tmp_path / "trace"
    file = save(tmp_path / "theirs.pth", {"meta": WritesAFile(trace)})
    for value in (str(tmp_path / "mine.pth"), str(tmp_path), "1", "theirs.pth"):
        monkeypatch.setenv(TRUST_VARIABLE, value)
        with pytest.raises(CheckpointError, match="could run code"):
            load_checkpoint_file(file)
    assert not trace.exists()


def test_a_missing_file_is_answered_with_its_neighbours(tmp_path: Path) -> None:
    save(tmp_path / "epoch_12.pth", {})
    (tmp_path / "notes.txt").touch()
    with pytest.raises(CheckpointError, match=r"epoch_21\.pth does not exist; in .* there is: epoch_12\.pth$"):
        load_checkpoint_file(tmp_path / "epoch_21.pth")
    with pytest.raises(CheckpointError, match="there is no folder"):
        load_checkpoint_file(tmp_path / "nowhere" / "epoch_12.pth")


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.99])
def test_a_truncated_file_is_named_as_such(tmp_path: Path, keep: float) -> None:
    whole = save(tmp_path / "whole.pth", {"weight": torch.randn(64, 64)}).read_bytes()
    file = tmp_path / "short.pth"
    file.write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(CheckpointError, match=r"short\.pth is cut short or damaged \(\d+ bytes\)"):
        load_checkpoint_file(file)


@pytest.mark.parametrize("keep", [4, 40, 400, 4000])
def test_a_truncated_file_of_the_old_format_is_refused(tmp_path: Path, keep: int) -> None:
    content = {"weight": torch.randn(64, 64)}
    whole = save(tmp_path / "whole.pth", content, _use_new_zipfile_serialization=False).read_bytes()
    file = tmp_path / "short.pth"
    file.write_bytes(whole[:keep])
    with pytest.raises(CheckpointError, match=r"short\.pth"):
        load_checkpoint_file(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>404</html>", "looks like a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"\x89PNG\r\n\x1a\n0000", "is not a PyTorch checkpoint: it starts with"),
        (b"\x80\x02garbage", "cannot be read|cannot read"),
    ],
)
def test_a_file_that_is_no_checkpoint_is_named_as_such(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "file.pth"
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as refused:
        load_checkpoint_file(file)
    assert str(file) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_other_archives_are_named_as_such(tmp_path: Path) -> None:
    archive = Path(shutil.make_archive(str(tmp_path / "photos"), "zip", root_dir=Path(__file__).parent))
    with pytest.raises(CheckpointError, match=r"zip archive that torch\.save did not write"):
        load_checkpoint_file(archive)
    with pytest.raises(CheckpointError, match="is a folder"):
        load_checkpoint_file(tmp_path)
    with pytest.raises(CheckpointError, match="holds a Tensor"):
        load_checkpoint_file(save(tmp_path / "tensor.pth", torch.zeros(1)))


def test_an_older_torch_stays_with_its_own_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    HistoryBuffer = pytest.importorskip("mmengine.logging").HistoryBuffer
    plain = save(tmp_path / "plain.pth", {"w": torch.ones(1)})
    full = save(tmp_path / "full.pth", {"history": HistoryBuffer([1.0], [1])})
    assert load_checkpoint_file(full)["history"].mean() == 1
    monkeypatch.setattr(torch, "__version__", "2.5.1")
    assert load_checkpoint_file(plain)["w"].tolist() == [1]
    with pytest.raises(CheckpointError, match=r"HistoryBuffer.*MMDIST_TRUST_CHECKPOINT"):
        load_checkpoint_file(full)

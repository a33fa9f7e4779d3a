"""last_checkpoint names a file of its own folder, whatever is written in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config

from mmdist.cli.demo.training import latest_checkpoint as latest_of_demo
from mmdist.engine.latest import latest_address, latest_checkpoint, named_in
from mmdist.engine.overrides import set_resume
from mmdist.errors import CheckpointError, MMDistError


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run with one checkpoint, beside a stranger's file."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "epoch_1.pth").touch()
    (tmp_path / "evil.pth").touch()
    return tmp_path / "run"


def config(run: Path, **hook: str) -> Config:
    return Config(dict(work_dir=str(run), default_hooks=dict(checkpoint=dict(type="CheckpointHook", **hook))))


@pytest.mark.parametrize("noted", ["epoch_1.pth", "/gone/epoch_1.pth", "elsewhere/run/epoch_1.pth\n", "../epoch_1.pth"])
def test_only_the_name_counts_so_that_a_run_can_be_moved(run: Path, noted: str) -> None:
    (run / "last_checkpoint").write_text(noted)
    assert latest_checkpoint(config(run)) == latest_of_demo(run) == run / "epoch_1.pth"
    assert latest_address(config(run)) == str(run / "epoch_1.pth")


@pytest.mark.parametrize("noted", ["../evil.pth", "{parent}/evil.pth", "run/../../evil.pth"])
def test_a_note_leads_to_no_file_of_another_folder(run: Path, noted: str) -> None:
    (run / "last_checkpoint").write_text(noted.format(parent=run.parent))
    assert latest_checkpoint(config(run)) == run / "evil.pth"  # which is not there
    assert latest_of_demo(run) is None
    with pytest.raises(CheckpointError, match=r"last_checkpoint.*evil\.pth"):
        set_resume(config(run), "auto")


@pytest.mark.parametrize(
    "noted", [b"", b"..", b"epoch_1.pth/", b"a\x1b[2J.pth", b"a\nb", b"\xff\xfe", b"a" * 5000, b"a\0.pth"]
)
def test_a_note_that_names_nothing_is_an_error_in_one_line(run: Path, noted: bytes) -> None:
    (run / "last_checkpoint").write_bytes(noted)
    for ask in (latest_checkpoint, latest_address):
        with pytest.raises(MMDistError, match="last_checkpoint") as caught:
            ask(config(run))
        assert str(caught.value).isprintable()


def test_without_a_note_there_is_none(run: Path) -> None:
    assert latest_checkpoint(config(run)) is None
    assert latest_address(config(run, out_dir="s3://bucket")) is None


def test_a_folder_for_checkpoints_comes_first(run: Path, tmp_path: Path) -> None:
    (tmp_path / "big" / "run").mkdir(parents=True)
    (run / "last_checkpoint").write_text("big/run/epoch_1.pth")
    assert latest_checkpoint(config(run, out_dir=str(tmp_path / "big"))) == run / "epoch_1.pth"
    (tmp_path / "big" / "run" / "epoch_1.pth").touch()
    assert latest_checkpoint(config(run, out_dir=str(tmp_path / "big"))) == tmp_path / "big" / "run" / "epoch_1.pth"


def test_on_other_storage_the_name_is_looked_for_where_the_config_writes(run: Path) -> None:
    (run / "last_checkpoint").write_text("s3://stranger/epoch_1.pth")
    cfg = config(run, out_dir="s3://bucket/mine/")
    assert latest_address(cfg) == "s3://bucket/mine/run/epoch_1.pth"
    assert latest_checkpoint(cfg) is None


def test_the_first_folder_that_has_the_file_is_taken(run: Path) -> None:
    (run / "last_checkpoint").write_text("evil.pth")
    assert named_in(run, [run, run.parent]) == run.parent / "evil.pth"

"""A work dir that cannot be used is answered before the run, and looking at it leaves nothing."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from helpers.tiny_run import write_run
from mmengine.config import Config

from mmdist.cli import test, train
from mmdist.engine import overrides
from mmdist.engine.config import load_config
from mmdist.engine.preflight.work_dir import check_work_dir
from mmdist.engine.runner import build_runner
from mmdist.errors import ConfigError

needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")


def check(work_dir: Any, **more: Any) -> None:
    check_work_dir(Config(dict(work_dir=work_dir, **more)))


def everything(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if "__pycache__" not in path.parts)


@pytest.mark.parametrize("name", ["", "there", "new", "new/and/deep", "there/../new"])
def test_a_folder_that_is_there_or_can_be_made_passes_and_nothing_is_left(name: str, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "epoch_1.pth").touch()
    before = everything(tmp_path)
    check(str(tmp_path / name))
    check(tmp_path / name)
    assert everything(tmp_path) == before


def test_a_relative_folder_is_below_the_current_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check("work_dirs/name")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["file", "file/below", "file/below/it"])
def test_a_file_is_no_work_dir(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=rf"work_dir = '.*{name}'.*file: Not a directory.*--work-dir"):
        check(str(tmp_path / name))


def test_a_link_to_nowhere_is_no_work_dir(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(ConfigError, match=r"work_dir = '.*link'.*No such file or directory"):
        check(str(tmp_path / "link"))


def test_a_link_to_a_folder_is_one(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    check(str(tmp_path / "link" / "deep"))
    assert not any((tmp_path / "folder").iterdir())


@needs_proc
def test_a_folder_where_none_can_be_made_is_answered_with_the_systems_reason() -> None:
    with pytest.raises(ConfigError, match=r"work_dir = '/proc/nowhere/w'.*/proc: No such file or directory"):
        check("/proc/nowhere/w")


def test_a_read_only_file_system_is_answered_with_the_systems_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> str:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    with pytest.raises(ConfigError, match="Read-only file system"):
        check(str(tmp_path))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_the_right_to_write_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(ConfigError, match="Permission denied"):
        check(str(tmp_path))


@pytest.mark.parametrize("name", ["n" * 300, "a\0b"])
def test_a_name_that_no_folder_can_have_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="work_dir = "):
        check(str(tmp_path / "new" / name))
    assert not any(tmp_path.iterdir())


def test_a_number_is_no_folder() -> None:
    with pytest.raises(ConfigError, match="work_dir = 3: expected the path of a folder"):
        check(3)


def test_only_the_process_that_writes_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("RANK", "1")
    check(str(tmp_path / "file"), launcher="pytorch")
    with pytest.raises(ConfigError):
        check(str(tmp_path / "file"), launcher="none")


def test_a_runner_is_not_built_into_a_file(tmp_path: Path) -> None:
    cfg = load_config(str(write_run(tmp_path)))
    cfg.work_dir = cfg.filename
    with pytest.raises(ConfigError, match=r"work_dir = .*Not a directory"):
        build_runner(cfg)


@pytest.mark.parametrize("work_dir", ["file", "file/w", pytest.param("/proc/nowhere/w", marks=needs_proc)])
@pytest.mark.parametrize(
    "command", [(train, ["plain.py"]), (train, ["plain.py", "--resume"]), (test, ["plain.py", "none"])]
)
def test_an_unusable_work_dir_ends_a_command_with_one_line_and_exit_code_2(
    command: tuple[Any, list[str]], work_dir: str, tmp_path: Path, capfd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOCAL_RANK", "0")
    write_run(tmp_path)
    Path("file").touch()
    before = everything(tmp_path)
    assert command[0].main([*command[1], "--work-dir", work_dir]) == 2
    err = capfd.readouterr().err
    assert f"error: work_dir = {work_dir!r}" in err
    assert "Traceback" not in err
    assert everything(tmp_path) == before


def test_a_work_dir_that_cannot_be_looked_into_is_answered_where_a_run_is_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path) -> bool:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "is_file", refuse)
    with pytest.raises(ConfigError, match=r"work_dir = .*Permission denied"):
        overrides.set_resume(Config(dict(work_dir=str(tmp_path))), "auto")

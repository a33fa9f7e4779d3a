"""The cache of compiled wheels: nothing is installed from it that somebody else can have put there."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from environment import cache
from environment.failure import SetupFailure
from helpers.env_checkout import KEY, MISC, Checkout, one_line


@pytest.fixture
def wheel(checkout: Checkout, user_cache: Path) -> Path:
    """The wheel that a first set-up left in the cache."""
    assert checkout.set_up()[0] == 0
    return next((user_cache / "wheels" / KEY).glob("*.whl"))


def builds(tmp_path: Path) -> int:
    """How many times another checkout compiles mmcv."""
    second = Checkout(tmp_path / "second")
    assert second.set_up()[0] == 0
    return len(second.calls_with("pip wheel"))


def test_what_a_set_up_leaves_is_this_users_alone(wheel: Path) -> None:
    assert [path.stat().st_mode & 0o777 for path in (wheel.parent, wheel)] == [0o700, 0o600]
    assert cache.is_trusted(wheel)


def test_a_loose_umask_leaves_it_this_users_alone(checkout: Checkout, user_cache: Path, tmp_path: Path) -> None:
    before = os.umask(0o000)
    try:
        assert checkout.set_up()[0] == 0
    finally:
        os.umask(before)
    assert builds(tmp_path) == 0


@pytest.mark.parametrize("mode", [0o020, 0o002, 0o022])
@pytest.mark.parametrize("which", ["folder", "folder above", "file", "checksum"])
def test_what_others_can_write_is_built_again(wheel: Path, tmp_path: Path, which: str, mode: int) -> None:
    folders = {"folder": wheel.parent, "folder above": wheel.parent.parent}
    path = (folders | {"file": wheel, "checksum": cache.checksum_file(wheel)})[which]
    path.chmod(path.stat().st_mode | mode)
    assert not cache.is_trusted(wheel)
    assert builds(tmp_path) == 1
    assert cache.is_trusted(wheel)


def let_all_write(folder: Path) -> None:
    folder.chmod(0o777)


def let_a_group_write(folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can name a group that it is not in")
    os.chown(folder, -1, 12345)
    folder.chmod(0o775)


def give_away(folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give folders away")
    os.chown(folder, 12345, -1)


def deep_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with folders above it that are this user's too."""
    monkeypatch.setenv("MMDIST_CACHE", str(tmp_path / "big disk" / "people" / "cache"))
    return tmp_path / "big disk" / "people" / "cache"


@pytest.mark.parametrize("above", range(3))
@pytest.mark.parametrize("change", [let_all_write, let_a_group_write, give_away])
def test_a_cache_that_others_can_exchange_is_refused_in_one_line(
    checkout: Checkout, change, above: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    folder = deep_cache(tmp_path, monkeypatch)
    assert checkout.set_up()[0] == 0
    (wheel,) = folder.rglob("mmcv-*.whl")
    opened = [folder, *folder.parents][above]
    change(opened)
    assert not cache.is_trusted(wheel)
    second = Checkout(tmp_path / "second")
    assert second.set_up()[0] == 1
    said = one_line(capfd.readouterr().err)
    assert f"{opened}" in said and "MMDIST_CACHE" in said
    assert not second.state["calls"]


def test_a_cache_below_a_folder_like_tmp_is_fine(
    checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = deep_cache(tmp_path, monkeypatch)
    folder.parent.mkdir(parents=True)
    folder.parent.chmod(0o1777)  # there nobody can rename what belongs to others
    assert checkout.set_up()[0] == 0
    assert builds(tmp_path) == 0


def test_where_a_mode_cannot_be_changed_an_open_cache_is_refused(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    wheel.parent.chmod(0o777)
    second = Checkout(tmp_path / "second")
    monkeypatch.setattr(cache.Path, "chmod", lambda *_, **__: None)
    assert second.set_up()[0] == 1
    assert str(wheel.parent) in one_line(capfd.readouterr().err)
    assert not second.calls_with("pip wheel") and "mmcv" not in second.state["installed"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("which", ["file", "checksum"])
def test_what_belongs_to_another_user_is_built_again(wheel: Path, tmp_path: Path, which: str) -> None:
    os.chown(wheel if which == "file" else cache.checksum_file(wheel), 12345, -1)
    assert builds(tmp_path) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders away")
def test_a_folder_of_another_user_is_refused_in_one_line(
    wheel: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    os.chown(wheel.parent, 12345, -1)
    assert Checkout(tmp_path / "second").set_up()[0] == 1
    said = capfd.readouterr().err
    assert said.count("\n") == 1 and str(wheel.parent) in said and "MMDIST_CACHE" in said


@pytest.mark.parametrize("which", ["folder", "file", "checksum"])
def test_links_are_not_followed(wheel: Path, tmp_path: Path, which: str) -> None:
    path = {"folder": wheel.parent, "file": wheel, "checksum": cache.checksum_file(wheel)}[which]
    elsewhere = tmp_path / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    assert not cache.is_trusted(wheel)
    if which == "folder":
        with pytest.raises(SetupFailure, match="link"):
            cache.private_folder(f"wheels/{KEY}")
    else:
        assert builds(tmp_path) == 1


def truncate(wheel: Path) -> None:
    wheel.write_bytes(wheel.read_bytes()[:-40])


def exchange(wheel: Path) -> None:
    """A whole wheel, but not the one that was written."""
    shutil.copy(__file__, wheel.with_suffix(".tmp"))
    subprocess.run([sys.executable, "-m", "zipfile", "-c", wheel, wheel.with_suffix(".tmp")], check=True)


def flip(wheel: Path) -> None:
    content = bytearray(wheel.read_bytes())
    content[200] ^= 1
    wheel.write_bytes(content)


def lose_checksum(wheel: Path) -> None:
    cache.checksum_file(wheel).unlink()


def garble_checksum(wheel: Path) -> None:
    cache.checksum_file(wheel).write_bytes(b"\xff\xfe")


@pytest.mark.parametrize("damage", [truncate, exchange, flip, lose_checksum, garble_checksum])
def test_a_wheel_that_is_not_as_it_was_written_is_built_again(wheel: Path, tmp_path: Path, damage) -> None:
    damage(wheel)
    assert builds(tmp_path) == 1
    assert cache.is_trusted(wheel)


def test_a_wheel_for_another_torch_is_not_used(wheel: Path, checkout: Checkout, tmp_path: Path) -> None:
    second = Checkout(tmp_path / "second")
    second.change(torch="2.13.1+cpu")
    assert second.set_up()[0] == 0
    assert len(second.calls_with("pip wheel")) == 1


def test_a_lock_file_that_is_a_link_destroys_nothing(tmp_path: Path) -> None:
    precious = tmp_path / "thesis.txt"
    precious.write_text("words", "utf-8")
    (tmp_path / "one.lock").symlink_to(precious)
    with pytest.raises(OSError), cache.exclusive(tmp_path / "one.lock", lambda: None):
        pass
    assert precious.read_text("utf-8") == "words"


def test_without_locks_another_build_is_left_alone(
    checkout: Checkout, user_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(37, "No locks available")

    other = user_cache / "wheels" / KEY / ".build-other"
    other.mkdir(parents=True)
    monkeypatch.setattr(cache.fcntl, "flock", refuse)
    assert checkout.set_up()[0] == 0
    assert other.is_dir()


def test_a_killed_build_leaves_nothing_half(checkout: Checkout, user_cache: Path) -> None:
    checkout.change(build_seconds=3)
    code = "import sys, pathlib; from environment.main import main; sys.exit(main(pathlib.Path(sys.argv[1])))"
    command = [sys.executable, "-c", code, str(checkout.root)]
    process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(MISC)}, stdout=subprocess.DEVNULL)
    folder = user_cache / "wheels" / KEY
    deadline = time.monotonic() + 30
    while not list(folder.glob(".build-*/merged")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not list(folder.glob("*.whl"))
    checkout.change(build_seconds=0)
    assert checkout.set_up()[0] == 0
    assert sorted(path.suffix for path in folder.iterdir()) == [".sha256", ".whl"]

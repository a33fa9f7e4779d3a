from __future__ import annotations

from pathlib import Path

import pytest

from mmdist.engine.config import find_config, load_config
from mmdist.errors import ConfigError, MissingPackageError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "base.py").write_text("a = 1\nb = dict(c=2)\n")
    (tmp_path / "run.py").write_text("_base_ = ['base.py']\nb = dict(d=3)\n")
    return tmp_path


def test_a_config_is_read_with_its_bases(folder: Path) -> None:
    cfg = load_config(str(folder / "run.py"))
    assert cfg.a == 1
    assert cfg.b == {"c": 2, "d": 3}


def test_a_misspelt_path_is_answered_with_the_nearest_file(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"config = .*run_.py.*did you mean '.*/run\.py'"):
        load_config(str(folder / "run_.py"))


def test_a_missing_folder_is_named(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"the folder '.*nowhere' does not exist"):
        load_config(str(folder / "nowhere" / "run.py"))


def test_a_folder_and_a_checkpoint_are_no_configs(folder: Path) -> None:
    (folder / "weights.pth").touch()
    with pytest.raises(ConfigError, match="folder"):
        load_config(str(folder))
    with pytest.raises(ConfigError, match=r"ending in \.py"):
        load_config(str(folder / "weights.pth"))


def test_broken_python_is_answered_with_file_and_line(folder: Path) -> None:
    (folder / "run.py").write_text("a = 1\nb = [\n")
    with pytest.raises(ConfigError, match=r"run\.py:2.*not valid Python"):
        load_config(str(folder / "run.py"))


def test_broken_python_in_a_base_names_the_base(folder: Path) -> None:
    (folder / "base.py").write_text("a = 1\n\nb = )\n")
    with pytest.raises(ConfigError, match=r"base\.py:3.*not valid Python"):
        load_config(str(folder / "run.py"))


def test_an_exception_in_a_config_is_answered_with_file_and_line(folder: Path) -> None:
    (folder / "base.py").write_text("a = 1\nb = undefined + 1\n")
    with pytest.raises(ConfigError, match=r"base\.py:2.*NameError: name 'undefined' is not defined"):
        load_config(str(folder / "run.py"))


def test_a_missing_base_is_named_with_the_nearest_file(folder: Path) -> None:
    (folder / "run.py").write_text("_base_ = ['bse.py']\n")
    with pytest.raises(ConfigError, match=r"_base_ = .*bse\.py.*did you mean '.*base\.py'"):
        load_config(str(folder / "run.py"))


@pytest.mark.parametrize("line", ["_base_ = ['mmpose::body/a.py']", "custom_imports = dict(imports=['mmpose.models'])"])
def test_a_package_that_is_not_installed_is_named(folder: Path, line: str) -> None:
    (folder / "run.py").write_text(line)
    with pytest.raises(MissingPackageError, match="pip install mmpose"):
        load_config(str(folder / "run.py"))


def test_a_packaged_config_is_found_and_its_misspelling_corrected() -> None:
    pytest.importorskip("mmseg")
    name = "mmseg::pspnet/pspnet_r18-d8_4xb2-80k_cityscapes-512x1024.py"
    assert find_config(name).is_file()
    with pytest.raises(ConfigError, match=name):
        find_config(name.replace("r18", "r19"))


def test_a_misspelt_package_is_corrected() -> None:
    with pytest.raises(ConfigError, match="did you mean 'mmseg'"):
        find_config("mmsegg::pspnet/a.py")

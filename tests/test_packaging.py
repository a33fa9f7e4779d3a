"""The wheel, the editable install and the requirement files, from real builds without a network."""

from __future__ import annotations

import configparser
import email
import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from email.message import Message
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).resolve().parents[1]
SHIPPED = (
    "setup.py",
    "pyproject.toml",
    "MANIFEST.in",
    "LICENSE",
    "model-index.yml",
    "requirements",
    "configs",
    "tools",
)
# what these declare and the environment leaves out on purpose
LEFT_OUT = {"opencv-python", "opendatalab"}


def call(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout, whose training script only says what it was given."""
    root = tmp_path_factory.mktemp("checkout")
    for name in (*SHIPPED, "mmdist"):
        origin = PROJECT / name
        if origin.is_dir():
            shutil.copytree(origin, root / name, ignore=shutil.ignore_patterns("__pycache__", ".mim"))
        else:
            shutil.copy2(origin, root / name)
    for script in ("train", "test"):
        text = f"import sys\nprint('stub {script}', *sys.argv[1:])\n"
        (root / "tools" / f"{script}.py").write_text(text, encoding="utf-8")
    (root / "configs" / "demo" / "toy_plugin_config.py").write_text("answer = 42\n", encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built as pip builds it: from the source distribution."""
    out = tmp_path_factory.mktemp("wheel")
    call(sys.executable, "setup.py", "-q", "sdist", "-d", out, cwd=source)
    flags = ["--no-index", "--no-deps", "--no-build-isolation"]
    call(sys.executable, "-m", "pip", "wheel", *flags, "-w", out, next(out.glob("*.tar.gz")), cwd=out)
    return zipfile.ZipFile(next(out.glob("*.whl")))


@pytest.fixture(scope="module")
def editable(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with an editable install; it sees this environment's packages."""
    venv = tmp_path_factory.mktemp("venv")
    call(sys.executable, "-m", "venv", "--without-pip", venv, cwd=source)
    python = venv / "bin" / "python"
    purelib = Path(call(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=venv).strip())
    (purelib / "parent.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    flags = ["--no-index", "--no-deps", "--no-build-isolation"]
    call(python, "-m", "pip", "install", *flags, "-e", source, cwd=venv)
    return python


def metadata_of(wheel: zipfile.ZipFile) -> Message:
    name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return email.message_from_bytes(wheel.read(name))


def needs(wheel: zipfile.ZipFile, extra: str = "") -> set[str]:
    """What is installed for an extra, beyond what always is; for no extra, what always is."""
    requirements = [Requirement(line) for line in metadata_of(wheel).get_all("Requires-Dist", [])]

    def named(chosen: str) -> set[str]:
        fitting = (r for r in requirements if r.marker is None or r.marker.evaluate({"extra": chosen}))
        return {canonicalize_name(r.name) for r in fitting}

    return named(extra) - (named("") if extra else set())


def test_the_wheel_holds_the_folder_that_openmmlabs_tools_look_into(wheel: zipfile.ZipFile, source: Path) -> None:
    packed = {name.removeprefix("mmdist/.mim/") for name in wheel.namelist() if name.startswith("mmdist/.mim/")}
    patterns = ("configs/**/*.py", "configs/**/*.yml", "tools/**/*.py", "tools/**/*.sh")
    expected = {path.relative_to(source).as_posix() for pattern in patterns for path in source.glob(pattern)}
    assert {"model-index.yml", "tools/train.py", "configs/demo/metafile.yml"} <= packed
    assert expected <= packed
    assert not [name for name in packed if "__pycache__" in name]


def test_the_wheel_holds_the_package_and_no_other_top_level_folder(wheel: zipfile.ZipFile, source: Path) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert tops - {name for name in tops if name.endswith(".dist-info")} == {"mmdist"}
    modules = {
        path.relative_to(source).as_posix() for path in (source / "mmdist").rglob("*.py") if ".mim" not in path.parts
    }
    assert modules <= set(wheel.namelist())


def test_a_second_build_leaves_out_what_is_gone_from_the_source(source: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(source, copy, symlinks=True, ignore=shutil.ignore_patterns("build", "*.egg-info"))
    call(sys.executable, "setup.py", "-q", "build_py", cwd=copy)
    built = copy / "build" / "lib" / "mmdist" / ".mim" / "configs" / "demo" / "toy_plugin_config.py"
    assert built.is_file()
    (copy / "configs" / "demo" / "toy_plugin_config.py").unlink()
    call(sys.executable, "setup.py", "-q", "build_py", cwd=copy)
    assert not built.exists()


def test_the_metadata_name_the_version_the_licence_and_the_console_script(wheel: zipfile.ZipFile) -> None:
    version = re.search(r'"(.+)"', (PROJECT / "mmdist" / "version.py").read_text("utf-8").splitlines()[-1])
    metadata = metadata_of(wheel)
    assert version is not None and metadata["Version"] == version[1]
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] is not None
    scripts = configparser.ConfigParser()
    name = next(name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    scripts.read_string(wheel.read(name).decode())
    assert dict(scripts["console_scripts"]) == {"mmdist": "mmdist.cli.main:main"}


def test_every_task_library_is_an_extra_and_none_is_required(wheel: zipfile.ZipFile) -> None:
    libraries = {"det": {"mmdet"}, "seg": {"mmsegmentation", "ftfy", "regex"}, "cls": {"mmpretrain"}}
    for extra, names in libraries.items():
        assert needs(wheel, extra) == names
    assert needs(wheel, "all") == set().union(*libraries.values())
    assert not needs(wheel) & {"mmdet", "mmsegmentation", "mmpretrain"}
    assert {"torch", "mmengine", "mmcv", "mmrazor", "joblib", "scikit-learn", "setuptools"} <= needs(wheel)
    assert {"pytest", "triton"} <= needs(wheel, "tests")
    assert set(metadata_of(wheel).get_all("Provides-Extra")) == {*libraries, "all", "analysis", "demo", "tests", "docs"}


def test_an_editable_install_links_the_folder_to_the_source(editable: Path, source: Path) -> None:
    mim = source / "mmdist" / ".mim"
    for name in ("configs", "tools", "model-index.yml"):
        assert (mim / name).resolve() == source / name
    where = call(editable, "-c", "import importlib.util as u; print(u.find_spec('mmdist').origin)", cwd=source.parent)
    assert Path(where.strip()) == source / "mmdist" / "__init__.py"


@pytest.mark.parametrize("script", ["train", "test"])
def test_mim_runs_the_scripts_of_an_editable_install(editable: Path, source: Path, tmp_path: Path, script: str) -> None:
    if importlib.util.find_spec("mim") is None:
        pytest.skip("openmim is not installed here")
    rest = ["--work-dir", "here"] if script == "train" else ["--checkpoint", "some.pth"]
    said = call(editable, "-W", "ignore", "-m", "mim", script, "mmdist", "toy_plugin_config.py", *rest, cwd=tmp_path)
    config = source / "configs" / "demo" / "toy_plugin_config.py"
    assert f"stub {script} {config}" in said


def test_mmengine_finds_the_configs_of_an_editable_install(editable: Path, source: Path, tmp_path: Path) -> None:
    pytest.importorskip("mmengine")
    code = (
        "from mmengine.utils import get_installed_path as where\n"
        "from mmengine.config.utils import _get_external_cfg_base_path as find, _get_cfg_metainfo as read\n"
        "print(find(where('mmdist'), 'demo/toy_plugin_config.py'))\n"
        "try: read(where('mmdist'), 'demo/nothing')\n"
        "except ValueError as error: print('index read')\n"
    )
    found = call(editable, "-W", "ignore", "-c", code, cwd=tmp_path).splitlines()
    assert Path(found[0]).resolve() == source / "configs" / "demo" / "toy_plugin_config.py"
    assert found[1] == "index read"


def test_where_links_are_impossible_the_folder_is_copied(source: Path, tmp_path: Path) -> None:
    code = (
        "import pathlib, sys, setuptools\n"
        "def refuse(*_, **__): raise OSError('no links here')\n"
        "pathlib.Path.symlink_to = refuse\n"
        "setuptools.setup = lambda **_: None\n"
        "import setup\n"
        "setup.link_mim(pathlib.Path(sys.argv[1]))\n"
    )
    call(sys.executable, "-c", code, tmp_path / ".mim", cwd=source)
    train = tmp_path / ".mim" / "tools" / "train.py"
    assert train.is_file() and not train.parent.is_symlink()
    assert (tmp_path / ".mim" / "model-index.yml").is_file()


def test_every_metafile_of_the_model_index_exists() -> None:
    yaml = pytest.importorskip("yaml")
    index = yaml.safe_load((PROJECT / "model-index.yml").read_text("utf-8"))
    assert index["Import"]
    for path in index["Import"]:
        metafile = yaml.safe_load((PROJECT / path).read_text("utf-8"))
        for model in metafile["Models"] or []:
            assert (PROJECT / model["Config"]).is_file(), f"{path}: {model['Config']}"


def requirement_lines(name: str) -> list[str]:
    lines = (PROJECT / "requirements" / f"{name}.txt").read_text("utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def pins() -> dict[str, Requirement]:
    """The pins that hold for this interpreter, by name."""
    lines = [line for name in ("constraints", "cpu") for line in requirement_lines(name)]
    requirements = map(Requirement, lines)
    return {canonicalize_name(r.name): r for r in requirements if r.marker is None or r.marker.evaluate()}


def test_every_requirement_is_pinned_within_its_range() -> None:
    pinned = pins()
    for name in ("build", "runtime", "openmmlab", "analysis", "demo", "tests"):
        for wanted in map(Requirement, requirement_lines(name)):
            version = next(iter(pinned[canonicalize_name(wanted.name)].specifier)).version
            assert wanted.specifier.contains(version), wanted


def test_the_pins_hold_all_that_the_pinned_packages_need() -> None:
    pinned = pins()
    for name in pinned:
        try:
            requirements = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            pytest.skip(f"{name} is not installed here")
        for requirement in map(Requirement, requirements):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                needed = canonicalize_name(requirement.name)
                assert needed in pinned or needed in LEFT_OUT, f"{name} needs {requirement}"

"""Packaging of mmdist: what it needs, and the ``.mim`` folder that OpenMMLab's tools look into.

``mim train mmdist CONFIG`` and mmengine look for ``.mim/configs``, ``.mim/tools`` and
``.mim/model-index.yml`` beside the installed package. The setuptools commands below put
them there: copies in a wheel, links to the source tree in an editable install.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py
from setuptools.command.editable_wheel import editable_wheel

ROOT = Path(__file__).resolve().parent
MIM_ENTRIES = ("configs", "tools", "model-index.yml")
TASK_LIBRARIES = {"det": ["mmdet"], "seg": ["mmsegmentation", "ftfy", "regex"], "cls": ["mmpretrain"]}


def read_version() -> str:
    """The version, read as text: importing mmdist would need torch."""
    text = (ROOT / "mmdist" / "version.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"', text, re.MULTILINE)
    if found is None:
        raise RuntimeError('mmdist/version.py: no line __version__ = "..."')
    return found.group(1)


def requirements(name: str) -> list[str]:
    """The requirements in ``requirements/<name>.txt``, without the comments."""
    lines = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def task_extras() -> tuple[list[str], dict[str, list[str]]]:
    """Split ``openmmlab.txt`` into what mmdist always needs and what each task adds."""
    by_name = {re.match(r"[\w.-]+", line).group().lower(): line for line in requirements("openmmlab")}
    extras = {extra: [by_name.pop(name) for name in names] for extra, names in TASK_LIBRARIES.items()}
    return list(by_name.values()), extras


def remove(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)


def copy_mim(target: Path) -> None:
    """Copy the ``.mim`` entries; what an earlier build left there goes first."""
    remove(target)
    target.mkdir(parents=True)
    for entry in MIM_ENTRIES:
        source = ROOT / entry
        if source.is_dir():
            shutil.copytree(source, target / entry, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        else:
            shutil.copy2(source, target / entry)


def link_mim(target: Path) -> None:
    """Link the ``.mim`` entries to the source tree; copy them where links are not possible."""
    remove(target)
    target.mkdir(parents=True)
    try:
        for entry in MIM_ENTRIES:
            (target / entry).symlink_to(Path("..", "..", entry), target_is_directory=(ROOT / entry).is_dir())
    except OSError:
        copy_mim(target)


class BuildPy(build_py):
    """Add the ``.mim`` folder to what a wheel is made of."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            copy_mim(Path(self.build_lib, "mmdist", ".mim"))


class EditableWheel(editable_wheel):
    """Make the ``.mim`` folder in the source tree, and let OpenMMLab's tools find it.

    They look for a package in ``<site-packages>/<first line of top_level.txt>``, where an
    editable install (PEP 660) has nothing. Joined with an absolute path that expression is
    the absolute path, so the first line names the package's folder in the source tree.
    """

    def run(self) -> None:
        link_mim(ROOT / "mmdist" / ".mim")
        super().run()

    def _ensure_dist_info(self) -> None:
        super()._ensure_dist_info()
        Path(self.dist_info_dir, "top_level.txt").write_text(f"{ROOT / 'mmdist'}\nmmdist\n", encoding="utf-8")


always, extras = task_extras()
extras["all"] = [line for lines in extras.values() for line in lines]
for optional in ("analysis", "demo", "tests", "docs"):
    extras[optional] = requirements(optional)
readme = ROOT / "README.md"

setup(
    name="mmdist",
    version=read_version(),
    description="Knowledge distillation for OpenMMLab, for dense prediction first",
    long_description=readme.read_text(encoding="utf-8") if readme.is_file() else "",
    long_description_content_type="text/markdown",
    license_expression="Apache-2.0",
    license_files=["LICENSE"],
    keywords="computer vision, knowledge distillation, object detection, semantic segmentation",
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Operating System :: POSIX :: Linux",
        *(f"Programming Language :: Python :: {version}" for version in ("3", "3.10", "3.11", "3.12")),
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
    python_requires=">=3.10,<3.13",
    packages=find_packages(include=["mmdist", "mmdist.*"]),
    package_data={"mmdist.functional": ["*.c", "*.h"]},
    install_requires=requirements("runtime") + always,
    extras_require=extras,
    entry_points={"console_scripts": ["mmdist = mmdist.cli.main:main"]},
    cmdclass={"build_py": BuildPy, "editable_wheel": EditableWheel},
    zip_safe=False,
)

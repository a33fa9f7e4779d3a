"""Fix 13: a broken optional package."""

from __future__ import annotations

import pickle
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from mmdist.compat import optional_packages, versions

_spec = spec_from_file_location("stub_packages", Path(__file__).with_name("stub_packages.py"))
stubs = module_from_spec(_spec)
_spec.loader.exec_module(stubs)

TRY = """
import sys, mmdist
for line in sys.argv[1:]:
    try:
        exec(line)
    except ImportError as error:
        print(error, "|", mmdist.compat.optional_packages.active())
"""

BROKEN = {
    "albumentations": "raise ValueError('numpy.dtype size changed')",
    "imagecorruptions": "import math; math.no_such_function",
    "skimage": "raise RuntimeError('operator torchvision::nms does not exist')",
    "lvis": "assert False, 'numpy 1'",
}

LAZY = """
import sys, types
class LazyModule(types.ModuleType):
    def __getattr__(self, name):
        if name == "Bert":
            raise RuntimeError("Failed to import transformers.models.bert:\\nno such kernel")
        raise AttributeError(name)
    def __reduce__(self):
        return (self.__class__, (self.__name__,))
sys.modules[__name__] = LazyModule(__name__)
sys.modules[__name__].here = 1
"""


def test_every_error_of_an_optional_package_becomes_an_import_error_and_nothing_else_changes(run_python, tmp_path):
    site = stubs.write_package(tmp_path / "site", "timm", "1.0", "import no_such_package")
    stubs.write_package(site, "lap", "1.0", "here = 1")
    for package, text in BROKEN.items():
        stubs.write_package(site, package, "1.0", text)
    works = "import lap, inspect; print(lap.here, inspect.getsource(lap).strip(), type(lap.__loader__).__name__)"
    done = run_python(TRY, "import timm", works, *(f"import {package}" for package in BROKEN), path=site)
    unchanged, *broken = done.stdout.splitlines()
    assert unchanged == "No module named 'no_such_package' | False", done.stderr
    assert broken.pop(0) == "1 here = 1 SourceFileLoader"
    assert [line.split(" is installed, but broken: ")[0] for line in broken] == list(BROKEN)
    assert all(line.endswith("| True") for line in broken)


def test_a_part_that_is_imported_when_asked_for_is_covered_too(run_python, tmp_path: Path) -> None:
    site = stubs.write_package(tmp_path / "site", "transformers", "4.40.0", LAZY)
    lines = [f"from transformers import {name}" for name in ("Gone", "Bert")]
    done = run_python(TRY, "from transformers import here; print(here)", *lines, path=site)
    here, gone, bert = done.stdout.splitlines()
    assert here == "1"
    assert "cannot import name 'Gone'" in gone and gone.endswith("| False")
    assert bert == "transformers is installed, but broken: RuntimeError: no such kernel | True"


def test_mmdet_imports_beside_a_broken_albumentations(run_python, tmp_path: Path) -> None:
    pytest.importorskip("mmcv")
    if versions.installed("mmdet") is None:
        pytest.skip("needs mmdet")
    site = stubs.write_package(
        tmp_path / "site", "albumentations", "1.0", "raise ValueError('numpy.dtype size changed')"
    )
    done = run_python("import mmdist, mmdet.datasets.transforms.transforms as t; print(t.albumentations)", path=site)
    assert done.stdout == "None\n", done.stderr


def test_a_module_made_by_hand_does_not_disturb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", type(pickle)("timm"))
    assert optional_packages.needed()

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
try:
    exec(sys.argv[1])
except ImportError as error:
    print(error, "|", mmdist.compat.optional_packages.active())
"""

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


@pytest.mark.parametrize(
    ("package", "text"),
    [
        ("albumentations", "raise ValueError('numpy.dtype size changed')"),
        ("imagecorruptions", "import math; math.no_such_function"),
        ("timm", "raise RuntimeError('operator torchvision::nms does not exist')"),
        ("lap", "assert False, 'numpy 1'"),
    ],
)
def test_every_error_of_an_optional_package_becomes_an_import_error(run_python, tmp_path, package, text) -> None:
    site = stubs.write_package(tmp_path / "site", package, "1.0", text)
    done = run_python(TRY, f"import {package}", path=site)
    assert done.stdout.startswith(f"{package} is installed, but broken: "), done.stderr
    assert done.stdout.endswith("| True\n")


def test_an_import_error_and_a_package_that_works_stay_as_they_are(run_python, tmp_path: Path) -> None:
    site = stubs.write_package(tmp_path / "site", "timm", "1.0", "import no_such_package")
    stubs.write_package(site, "lap", "1.0", "here = 1")
    done = run_python(TRY, "import timm", path=site)
    assert done.stdout == "No module named 'no_such_package' | False\n", done.stderr
    done = run_python(
        TRY, "import lap, inspect; print(lap.here, inspect.getsource(lap), type(lap.__loader__))", path=site
    )
    assert done.stdout.startswith("1 here = 1") and "SourceFileLoader" in done.stdout, done.stderr


def test_a_part_that_is_imported_when_asked_for_is_covered_too(run_python, tmp_path: Path) -> None:
    site = stubs.write_package(tmp_path / "site", "transformers", "4.40.0", LAZY)
    done = run_python(TRY, "from transformers import here; print(here); from transformers import Bert", path=site)
    assert done.stdout == "1\ntransformers is installed, but broken: RuntimeError: no such kernel | True\n", done.stderr
    done = run_python(TRY, "from transformers import Gone", path=site)
    assert "cannot import name 'Gone'" in done.stdout and done.stdout.endswith("| False\n"), done.stderr


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

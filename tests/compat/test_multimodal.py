"""Fix 12: MMPretrain's multimodal models beside another transformers."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from mmdist.compat import multimodal, versions

_spec = spec_from_file_location("stub_packages", Path(__file__).with_name("stub_packages.py"))
stubs = module_from_spec(_spec)
_spec.loader.exec_module(stubs)

BUILD = """
import sys, mmdist
assert not {"mmpretrain", "transformers"} & set(sys.modules)
import mmpretrain.models, mmpretrain.datasets
from mmpretrain.registry import DATASETS, MODELS
from mmpretrain.utils import dependency
print(dependency.WITH_MULTIMODAL, mmdist.compat.multimodal.active(), mmdist.compat.multimodal.needed())
MODELS.build(dict(type="ResNet", depth=18))
assert DATASETS.get("CIFAR10").__module__ == "mmpretrain.datasets.cifar"
off = dict(BlipCaption=MODELS, RAM=MODELS, COCOCaption=DATASETS, MiniGPT4Dataset=DATASETS)
for name, registry in off.items():
    try:
        registry.build(dict(type=name))
    except Exception as error:
        print(type(error).__name__, error)
"""


@pytest.fixture(autouse=True)
def _stack() -> None:
    pytest.importorskip("mmcv")
    if None in (versions.installed("mmpretrain"), versions.installed("pycocotools")):
        pytest.skip("needs mmpretrain and pycocotools")


def test_beside_a_transformers_that_lacks_names_all_three_libraries_import(run_python, tmp_path: Path) -> None:
    site = stubs.write_transformers(tmp_path / "site", "5.0.0", gone=("apply_chunking_to_forward",))
    done = run_python(BUILD + "import mmdet.models, mmseg.models; print('imported')", path=site)
    assert done.returncode == 0, done.stderr
    state, blip, ram, *datasets, imported = done.stdout.splitlines()
    assert state == "False True True"
    assert blip.startswith("UnusablePackageError") and "BlipCaption" in blip and ram.count("RAM") == 1
    assert "apply_chunking_to_forward" in blip and "5.0.0" in blip and "pip install transformers==" in blip
    assert [line.split()[0] for line in datasets] == 2 * ["UnusablePackageError"]
    assert "COCOCaption" in datasets[0] and "MiniGPT4Dataset" in datasets[1] and "5.0.0" in datasets[1]
    assert imported == "imported"


def test_a_transformers_that_raises_at_import_takes_no_library_along(run_python, tmp_path: Path) -> None:
    text = "raise RuntimeError('built for another torch')"
    site = stubs.write_package(tmp_path / "site", "transformers", "4.40.0", text)
    done = run_python(BUILD + "import mmdet.models, mmseg.models; print('imported')", path=site)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "False True True"
    assert "built for another torch" in done.stdout.splitlines()[1]
    assert done.stdout.splitlines()[-1] == "imported"


WHOLE = """
import mmdist, mmpretrain.models
from mmpretrain.registry import MODELS
from mmpretrain.utils import dependency
print(dependency.WITH_MULTIMODAL, mmdist.compat.multimodal.active(), mmdist.compat.multimodal.needed())
print(MODELS.get("BlipCaption").__module__, MODELS.get("OFA").__module__)
"""


def test_where_the_names_are_there_nothing_changes(run_python, tmp_path: Path) -> None:
    site = stubs.write_transformers(tmp_path / "site", "4.30.0")
    done = run_python(WHOLE, path=site)
    assert done.returncode == 0, done.stderr
    state, modules = done.stdout.splitlines()
    assert state == "True False False"
    folder = "mmpretrain.models.multimodal"
    assert modules.split() == [f"{folder}.blip.blip_caption", f"{folder}.ofa.ofa"]


def test_names_that_are_there_and_do_not_fit_switch_the_part_off_too(run_python, tmp_path: Path) -> None:
    site = stubs.write_transformers(tmp_path / "site", "5.0.0", unfit=("GenerationMixin",))
    done = run_python(WHOLE, path=site)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["False", "True", "True", *2 * ["mmdist.compat.multimodal"]]


@pytest.mark.parametrize(
    ("installed", "expected"),
    [
        ({"mmpretrain": "1.2.0", "pycocotools": "2.0", "transformers": "5.24.0"}, True),
        ({"mmpretrain": "1.2.0", "pycocotools": "2.0", "transformers": "4.27.4"}, False),
        ({"mmpretrain": "1.2.0", "pycocotools": "2.0"}, False),
        ({"mmpretrain": "1.2.0", "transformers": "5.24.0"}, False),
        ({"pycocotools": "2.0", "transformers": "5.24.0"}, False),
    ],
)
def test_it_is_needed_where_mmpretrain_would_switch_the_part_on(monkeypatch, installed, expected: bool) -> None:
    monkeypatch.setattr(
        versions, "installed", lambda *names: next((installed[n] for n in names if n in installed), None)
    )
    monkeypatch.setattr(multimodal, "_reason", None)
    assert multimodal.needed() is expected


def test_a_name_that_cannot_be_imported_is_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "lazy_stub.py").write_text(
        "def __getattr__(name):\n"
        "    if name == 'Bert': raise RuntimeError('Failed to import:\\nno such kernel')\n"
        "    raise AttributeError(name)\n"
    )
    (tmp_path / "broken_stub.py").write_text("1 / 0")
    assert multimodal.missing(iter([("os", "path")])) == ""
    assert multimodal.missing(iter([("lazy_stub", "Gone")])) == "lazy_stub has no Gone"
    assert "RuntimeError: no such kernel" in multimodal.missing(iter([("lazy_stub", "Bert")]))
    assert "ZeroDivisionError" in multimodal.missing(iter([("os", "path"), ("broken_stub", "anything")]))
    assert "no_such_package" in multimodal.missing(iter([("no_such_package.part", "anything")]))
    monkeypatch.delitem(sys.modules, "lazy_stub")

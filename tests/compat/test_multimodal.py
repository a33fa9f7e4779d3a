"""Fix 12: MMPretrain's multimodal models beside another transformers."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from helpers.forked import Done, Job, run_forked

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


WHOLE = """
import mmdist, mmpretrain.models
from mmpretrain.registry import MODELS
from mmpretrain.utils import dependency
print(dependency.WITH_MULTIMODAL, mmdist.compat.multimodal.active(), mmdist.compat.multimodal.needed())
print(MODELS.get("BlipCaption").__module__, MODELS.get("OFA").__module__)
"""
ALL_THREE = BUILD + "import mmdet.models, mmseg.models; print('imported')"


@pytest.fixture(autouse=True)
def _stack() -> None:
    pytest.importorskip("mmcv")
    if None in (versions.installed("mmpretrain"), versions.installed("pycocotools")):
        pytest.skip("needs mmpretrain and pycocotools")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Done]:
    """Processes beside several versions of transformers, by what is the matter with these."""
    folder = tmp_path_factory.mktemp("sites")
    text = "raise RuntimeError('built for another torch')"
    sites = {
        "lacks a name": stubs.write_transformers(folder / "a", "5.0.0", gone=("apply_chunking_to_forward",)),
        "raises": stubs.write_package(folder / "b", "transformers", "4.40.0", text),
        "whole": stubs.write_transformers(folder / "c", "4.30.0"),
        "unfit": stubs.write_transformers(folder / "d", "5.0.0", unfit=("GenerationMixin",)),
    }
    codes = {"lacks a name": ALL_THREE, "raises": ALL_THREE}
    jobs = {name: Job(codes.get(name, WHOLE), str(site)) for name, site in sites.items()}
    return run_forked(jobs, tmp_path_factory.mktemp("forked"))


def lines(done: Done) -> list[str]:
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_beside_a_transformers_that_lacks_names_all_three_libraries_import(done: dict[str, Done]) -> None:
    state, blip, ram, *datasets, imported = lines(done["lacks a name"])
    assert state == "False True True"
    assert blip.startswith("UnusablePackageError") and "BlipCaption" in blip and ram.count("RAM") == 1
    assert "apply_chunking_to_forward" in blip and "5.0.0" in blip and "pip install transformers==" in blip
    assert [line.split()[0] for line in datasets] == 2 * ["UnusablePackageError"]
    assert "COCOCaption" in datasets[0] and "MiniGPT4Dataset" in datasets[1] and "5.0.0" in datasets[1]
    assert imported == "imported"


def test_a_transformers_that_raises_at_import_takes_no_library_along(done: dict[str, Done]) -> None:
    said = lines(done["raises"])
    assert said[0] == "False True True"
    assert "built for another torch" in said[1]
    assert said[-1] == "imported"


def test_where_the_names_are_there_nothing_changes(done: dict[str, Done]) -> None:
    state, modules = lines(done["whole"])
    assert state == "True False False"
    folder = "mmpretrain.models.multimodal"
    assert modules.split() == [f"{folder}.blip.blip_caption", f"{folder}.ofa.ofa"]


def test_names_that_are_there_and_do_not_fit_switch_the_part_off_too(done: dict[str, Done]) -> None:
    assert " ".join(lines(done["unfit"])).split() == ["False", "True", "True", *2 * ["mmdist.compat.multimodal"]]


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

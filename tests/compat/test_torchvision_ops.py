"""Fix 3: a torchvision built for another torch."""

from __future__ import annotations

import sys
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec

import pytest
import torch

from mmdist.compat import torchvision_ops

unfit = pytest.mark.skipif(not torchvision_ops.needed(), reason="torchvision's library loads beside this torch")


@unfit
def test_torchvision_does_not_import_without_the_fix(run_python) -> None:
    done = run_python("import torchvision")
    assert done.returncode != 0
    assert "operator torchvision::nms does not exist" in done.stderr


@unfit
def test_torchvision_imports_with_the_fix_and_its_models_work(run_python) -> None:
    # An operator that is missing is refused by torchvision itself.
    done = run_python("""
        import mmdist, torch, torchvision, torchvision.transforms
        mmdist.compat.apply()
        print(torchvision.models.squeezenet1_1(num_classes=3).eval()(torch.zeros(1, 3, 64, 64)).shape)
        print(torchvision.transforms.Resize(4)(torch.zeros(3, 8, 8)).shape)
        torchvision.ops.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
    """)
    assert done.stdout.splitlines() == ["torch.Size([1, 3])", "torch.Size([3, 4, 4])"], done.stderr
    assert "RuntimeError: Couldn't load custom C++ ops" in done.stderr


@unfit
@pytest.mark.skipif(find_spec("mmengine") is None, reason="needs mmengine")
def test_mmengine_reports_the_environment_with_the_fix(run_python) -> None:
    done = run_python("""
        import mmdist
        from mmengine.utils.dl_utils import collect_env
        print(collect_env()["TorchVision"])
    """)
    assert done.stdout[:1].isdigit(), done.stderr


def test_a_library_that_loads_needs_no_fix(run_python, tmp_path) -> None:
    package = tmp_path / "site" / "torchvision"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    # torch's own library stands for one that was built for this torch.
    (package / f"_C{EXTENSION_SUFFIXES[0]}").symlink_to(torch._C.__file__)
    done = run_python(
        "from mmdist.compat import torchvision_ops as fix; print(fix.needed(), fix.active())", path=package.parent
    )
    assert done.stdout.strip() == "False False", done.stderr


def test_an_imported_torchvision_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision_ops, "_library", None)
    monkeypatch.setitem(sys.modules, "torchvision", object())
    torchvision_ops.apply()
    assert not torchvision_ops.active()


def test_it_is_not_needed_without_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    monkeypatch.setattr(torchvision_ops, "find_spec", lambda name: find_spec("torch") if name == "torch" else None)
    assert torchvision_ops._c_library_fails.__wrapped__() is False

"""Fix 1: MMRazor's quantisation."""

from __future__ import annotations

import sys

import pytest

from mmdist.compat import quantization, versions
from mmdist.errors import MMDistError

MODULE = "mmrazor.structures.quantization.backend_config"


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if nothing had been applied or imported; put back afterwards."""
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    monkeypatch.setitem(sys.modules, MODULE, None)
    del sys.modules[MODULE]


def test_mmrazor_does_not_import_without_the_fix(run_python) -> None:
    pytest.importorskip("mmcv")
    if not quantization.needed():
        pytest.skip("this MMRazor works beside this torch")
    done = run_python(f"import sys, mmdist; del sys.modules[{MODULE!r}]; import mmrazor.structures")
    assert done.returncode != 0
    assert "torch>=1.13" in done.stderr


def test_mmrazor_imports_with_the_fix(run_python) -> None:
    pytest.importorskip("mmcv")
    if not quantization.needed():
        pytest.skip("this MMRazor works beside this torch")
    done = run_python("""
        import mmdist, mmrazor.models
        from mmrazor.structures.quantization import BackendConfigs, get_native_backend_config
        from mmrazor.registry import MODELS
        print("SingleTeacherDistill" in MODELS.module_dict)
    """)
    assert done.stdout.strip() == "True", done.stderr


def test_using_quantisation_says_that_it_is_off(fresh) -> None:
    quantization.apply()
    stub = sys.modules[MODULE]
    with pytest.raises(MMDistError, match="quantisation is off, because torch"):
        stub.BackendConfigs["native"]
    with pytest.raises(MMDistError, match="quantisation is off"):
        stub.get_openvino_backend_config_dict()


def test_every_name_that_mmrazor_exports_is_there(fresh) -> None:
    from importlib.util import find_spec
    from pathlib import Path

    spec = find_spec("mmrazor")
    if spec is None:
        pytest.skip("mmrazor is not installed")
    source = Path(spec.origin).parent / "structures" / "quantization" / "backend_config" / "__init__.py"
    text = source.read_text()
    exported: dict = {}
    exec(text[text.index("__all__") :], exported)
    quantization.apply()
    names: dict = {}
    exec(f"from {MODULE} import *", names)
    assert set(exported["__all__"]) <= names.keys()


def test_a_module_that_is_imported_already_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    real = object()
    monkeypatch.setitem(sys.modules, MODULE, real)
    quantization.apply()
    assert sys.modules[MODULE] is real
    assert not quantization.active()


@pytest.mark.parametrize(("torch", "mmrazor", "expected"), [("1.13.1", "1.0.0", False), ("2.13.0", None, False)])
def test_it_is_not_needed_with_an_old_torch_or_without_mmrazor(monkeypatch, torch, mmrazor, expected) -> None:
    monkeypatch.setattr(versions, "installed", lambda name, *_: {"torch": torch, "mmrazor": mmrazor}[name])
    assert quantization.needed() is expected

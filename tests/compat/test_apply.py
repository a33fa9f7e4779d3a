"""``mmdist.compat.apply`` and ``status``."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mmdist import compat


def test_importing_mmdist_imports_nothing_heavy(run_python) -> None:
    done = run_python("import sys, mmdist; print(*sorted(sys.modules))")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    heavy = {"mmcv", "mmdet", "mmseg", "mmpretrain", "mmrazor.models", "mmengine.runner", "torchvision", "transformers"}
    assert heavy.isdisjoint(done.stdout.split())


def test_mmdist_works_where_only_torch_is_installed(torch_alone) -> None:
    code = (
        "import mmdist, torch; from mmdist import compat; compat.apply()\n"
        "from importlib.util import find_spec\n"
        "print(find_spec('mmengine'), find_spec('torchvision'), [fix.active for fix in compat.status()])"
    )
    done = subprocess.run([*torch_alone[:-1], torch_alone[-1] + code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split(maxsplit=2)[:2] == ["None", "None"]
    assert "True" not in done.stdout


def test_a_checkpoint_loads_where_only_torch_is_installed(torch_alone, tmp_path) -> None:
    code = (
        "import torch; from mmdist.compat.checkpoint import load_checkpoint_file\n"
        f"torch.save({{'w': torch.ones(2)}}, {str(tmp_path / 'a.pth')!r})\n"
        f"print(load_checkpoint_file({str(tmp_path / 'a.pth')!r}))"
    )
    done = subprocess.run([*torch_alone[:-1], torch_alone[-1] + code], capture_output=True, text=True, timeout=120)
    assert done.stdout == "{'w': tensor([1., 1.])}\n", done.stderr


def test_applying_again_changes_nothing() -> None:
    compat.apply()
    before = compat.status(), [name for name in sys.modules if name.startswith(("mmcls", "mmrazor.structures"))]
    compat.apply()
    assert before == (compat.status(), [n for n in sys.modules if n.startswith(("mmcls", "mmrazor.structures"))])


def test_only_what_is_needed_is_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    applied = []
    for fix in compat.FIXES:
        monkeypatch.setattr(fix, "needed", lambda fix=fix: fix.NUMBER == 2)
        monkeypatch.setattr(fix, "apply", lambda fix=fix: applied.append(fix.NUMBER))
    compat.apply()
    assert applied == [2]


def test_the_status_lists_the_thirteen_fixes_in_order() -> None:
    fixes = compat.status()
    assert [fix.number for fix in fixes] == list(range(1, 14))
    assert all(fix.name and fix.reason and fix.window and fix.when for fix in fixes)

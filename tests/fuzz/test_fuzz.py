"""Hostile and damaged files: no signal, no trace outside the work dir, no memory in an output, one printable line.

A fixed tenth of the files is tried by default, all of them with ``MMDIST_FUZZ=all``; ``MMDIST_FUZZ=SEED`` tries all of
another series.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fuzz.files import FORMS, fuzzed
from helpers.attacks import ATTACKS, write_attack

pytest.importorskip("safetensors")
pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of memory and time are those of Linux"),
    pytest.mark.timeout(3000),
]
ASKED = os.environ.get("MMDIST_FUZZ", "")
STEP, SEED = (1 if ASKED else 10), (int(ASKED) if ASKED.isdigit() else 0)


Report = dict[str, tuple[int | None, list[str]]]


def try_all(cases: list[dict[str, Any]], folder: Path) -> Report:
    """The exit code of each case, and what went wrong, by its name."""
    (folder / "cases.json").write_text(json.dumps(cases))
    sandbox, tests = Path(__file__).with_name("sandbox.py"), Path(__file__).parents[1]
    path = os.pathsep.join([str(tests.parent), str(tests)])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run([sys.executable, sandbox, folder], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((folder / "report.json").read_text())


def case(name: str, form: str, data: bytes, number: int, refused: bool = False) -> dict[str, Any]:
    """What the sandbox is told of a file: its content, what to do with it, and whether that must be an error."""
    out = (".pth", ".safetensors")[number % 2]
    kind = FORMS[form]
    more = {key: getattr(kind, key) for key in ("suffix", "command", "program", "beside", "writes")}
    return dict(name=name, data=data.hex(), out=out, refused=refused, **more)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """All cases, by name; one process imports what all children need."""
    folder, cases = tmp_path_factory.mktemp("fuzz"), []
    for form, kind in FORMS.items():
        for number in range(0, kind.files, STEP):
            cases.append(case(f"file {form} {number}", form, fuzzed(form, number, SEED), number // STEP))
    (folder / "files").mkdir()
    for number, (attack, form) in enumerate(ATTACKS[:: STEP // 2 or 1]):
        data = write_attack(folder / "files", attack, form).read_bytes()
        cases.append(case(f"attack {form} {attack}", form, data, number, refused=True))
    fine = [case(f"fine {form}", form, FORMS[form].write(), number) for number, form in enumerate(FORMS)]
    wrong = {**fine[0], "name": "wrong option", "command": ["export", "--no-such-option"]}
    return try_all([*cases, *fine, wrong], folder)


@pytest.mark.parametrize("kind", ["file", "attack"])
def test_no_file_does_harm(report: Report, kind: str) -> None:
    assert {name: problems for name, (_, problems) in report.items() if name.startswith(kind) and problems} == {}


@pytest.mark.parametrize("form", FORMS)
def test_the_files_of_each_format_differ_enough_to_be_refused(report: Report, form: str) -> None:
    codes = [code for name, (code, _) in report.items() if name.startswith(f"file {form} ")]
    assert len(codes) == len(range(0, FORMS[form].files, STEP)) and codes.count(2) > 0.3 * len(codes)


def test_the_sandbox_passes_what_is_whole_and_reports_what_is_not(report: Report) -> None:
    whole = {name: outcome for name, outcome in report.items() if name.startswith(("fine", "wrong"))}
    assert [name for name, (_, problems) in whole.items() if problems] == ["wrong option"]
    assert all(code == 0 for name, (code, _) in whole.items() if name.startswith("fine"))

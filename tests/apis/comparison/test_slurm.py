"""What goes to slurm: jobs by file and environment, never through a shell; with stubs of ``sbatch`` and ``squeue``."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from mmdist.apis.comparison import slurm
from mmdist.apis.comparison.cells import Cell
from mmdist.apis.comparison.schedule import Batch
from mmdist.errors import ConfigError, MMDistError

# Notes its arguments, its standard input and what the job would find in its environment.
SBATCH = """#!/usr/bin/env python3
import json, os, sys
note = dict(arguments=sys.argv[1:], script=sys.stdin.read(), job=os.environ["MMDIST_JOB"])
with open(os.environ["STUB_NOTES"], "a") as file:
    file.write(json.dumps(note) + "\\n")
number = sum(1 for _ in open(os.environ["STUB_NOTES"]))
print(f"{number};cluster")
"""
SQUEUE = """#!/usr/bin/env python3
import os, sys
job = sys.argv[sys.argv.index("--jobs") + 1]
if job not in os.environ.get("STUB_QUEUE", "").split(","):
    sys.exit(1)
print("PENDING")
"""
CELLS = (Cell("final", "plain", 0, 800), Cell("final", "dist", 0, 800, 2.0, 0.5))
HOSTILE = ["a b", "it's", "$(touch gone)", "`touch gone`", 'qu"ote', "%j", "a;b"]


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, text in (("sbatch", SBATCH), ("squeue", SQUEUE)):
        (tools / name).write_text(text)
        (tools / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("STUB_NOTES", str(tmp_path / "notes"))
    return tmp_path / "notes"


def calls(notes: Path) -> list[dict]:
    return [json.loads(line) for line in notes.read_text().splitlines()]


def test_an_array_has_a_job_for_each_cell_and_one_goes_on_after_them(notes: Path, tmp_path: Path) -> None:
    jobs = slurm.submit(tmp_path / "work", Batch("it", CELLS), {"student": "s.py"}, ["--partition=gpu"])
    array, after = calls(notes)
    assert jobs == ["1", "2"]
    assert "--array=0-1" in array["arguments"] and "--partition=gpu" in array["arguments"]
    assert "--dependency=afterany:1" in after["arguments"] and "--partition=gpu" in after["arguments"]
    content = json.loads(Path(array["job"]).read_text())
    assert [slurm.cells_of(content, index) for index in range(2)] == [[cell] for cell in CELLS]
    assert "cells" not in json.loads(Path(after["job"]).read_text())


def test_what_must_not_run_beside_each_other_is_one_job(notes: Path, tmp_path: Path) -> None:
    slurm.submit(tmp_path / "work", Batch("it", CELLS, alone=True), {}, [])
    array = calls(notes)[0]
    assert "--array=0-0" in array["arguments"]
    assert slurm.cells_of(json.loads(Path(array["job"]).read_text()), 0) == list(CELLS)


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_reaches_a_shell(name: str, notes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / name
    folder.mkdir()
    monkeypatch.chdir(folder)
    slurm.submit(folder / "work", Batch("it", CELLS), {"student": f"{name}.py"}, [])
    for call in calls(notes):
        assert call["script"] == slurm.SCRIPT and name not in call["script"]
        assert f"--chdir={folder}" in call["arguments"]
        output = next(each for each in call["arguments"] if each.startswith("--output="))
        assert output.replace("%%", "%").startswith(f"--output={folder}")
        assert json.loads(Path(call["job"]).read_text())["arguments"] == {"student": f"{name}.py"}
    assert not list(tmp_path.rglob("gone"))


def test_jobs_in_the_queue_are_waited_for_but_not_the_one_that_asks(
    notes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slurm.submit(tmp_path / "work", Batch("it", CELLS), {}, [])
    assert slurm.waiting(tmp_path / "work") == []
    monkeypatch.setenv("STUB_QUEUE", "1,2")
    assert slurm.waiting(tmp_path / "work") == ["1", "2"]
    monkeypatch.setenv("SLURM_JOB_ID", "2")
    assert slurm.waiting(tmp_path / "work") == ["1"]


def test_a_job_that_slurm_does_not_take_is_an_error(notes: Path, tmp_path: Path) -> None:
    (tmp_path / "bin" / "sbatch").write_text("#!/bin/sh\necho 'no such partition' >&2\nexit 1\n")
    with pytest.raises(MMDistError, match="no such partition"):
        slurm.submit(tmp_path / "work", Batch("it", CELLS), {}, [])


def test_without_slurm_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="--submit"):
        slurm.submit(tmp_path / "work", Batch("it", CELLS), {}, [])


@pytest.mark.parametrize("option", ["array=0-3", "--partition=gpu", "wrap=rm", "", "a b=c", "export=NONE", "Gres=gpu"])
def test_options_that_are_ours_or_none_are_refused(option: str) -> None:
    with pytest.raises(ConfigError, match="--sbatch"):
        slurm.check_options([option])

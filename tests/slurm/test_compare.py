"""``mmdist compare --submit slurm`` on a real cluster of two nodes."""

from __future__ import annotations

import sys

import pytest
from helpers.comparison_project import write_project

from mmdist.apis.comparison import results

HOSTILE = 'it\'s $(touch gone) "here" %j'


@pytest.mark.timeout(1200)
def test_cells_are_jobs_and_the_report_comes_by_itself(slurm) -> None:
    folder = slurm.folder / HOSTILE
    folder.mkdir()
    write_project(folder)
    slurm.folder = folder
    options = ["--methods", "kd", "--seeds", "2", "--search-lr", "none", "--equal", "both", "--work-dir", "work"]
    teacher = ["--teacher", "student.py", "--teacher-ckpt", "teacher.pth"]
    words = [sys.executable, "-m", "mmdist.cli.main", "compare", "student.py", *teacher, *options]
    command = [*words, "--submit", "slurm", "--sbatch", "partition=gpu", "ntasks=1"]
    first = slurm.ask(*command)
    assert "job" in first
    assert "queue" in slurm.ask(*command)
    slurm.wait(lambda: (folder / "work" / "report.html").is_file(), seconds=900)
    rows = results.read(folder / "work" / "results.csv")
    assert not [row for row in rows if row.failed]
    timed = [row.device for row in rows if row.purpose == "timing"]
    assert len(timed) == 4 and len(set(timed)) == 1
    finals = {(row.arm, row.seed) for row in rows if row.purpose == "final" and row.length == 6}
    assert finals == {("plain", 0), ("plain", 1), ("kd", 0), ("kd", 1)}
    assert not list(slurm.folder.parent.rglob("gone"))

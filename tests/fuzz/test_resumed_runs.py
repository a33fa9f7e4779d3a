"""Going on from any file ends well or in one line, and touches nothing but the run's folder. MMDIST_FUZZ=N: N files."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.tiny_run import ROOT, environment

COUNT, SEED = int(os.environ.get("MMDIST_FUZZ", "60")), int(os.environ.get("MMDIST_FUZZ_SEED", "18"))
LONGEST = 1500  # characters of a line that a person reads

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits are set as Linux has them")


def outside(folder: Path) -> dict[str, bytes]:
    """Everything that is not the run's."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.relative_to(folder).parts[0] != "work"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths if path.name != "changed.pth"}


def go_on(folder: Path, start: int, count: int) -> dict[int, list[tuple[str, str]]]:
    """What a process says of some files; one that ends by itself before the last is no end."""
    env = environment(PYTHONPATH=os.pathsep.join([str(ROOT), str(ROOT / "tests")]))
    command = [sys.executable, "-W", "ignore", "-m", "helpers.resume_files", str(folder), str(SEED)]
    done = subprocess.run(
        [*command, str(start), str(count)],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=600 + 60 * count,
    )
    said: dict[int, list[tuple[str, str]]] = {}
    for line in done.stdout.splitlines():
        number, _, rest = line.partition("\t")
        if number.isdigit() and "\t" in rest:
            outcome, _, text = rest.partition("\t")
            said.setdefault(int(number), []).append((outcome, text))
    last = said.get(max(said, default=-1))
    assert done.returncode == 0, (done.returncode, last, done.stderr[-2000:])
    return said


def test_no_file_to_go_on_from_does_more_than_a_run_does(tmp_path: Path) -> None:
    go_on(tmp_path, 0, 0)
    before, begun, refused = outside(tmp_path), 0, 0
    for start in range(0, COUNT, 50):
        said = go_on(tmp_path, start, min(50, COUNT - start))
        assert outside(tmp_path) == before
        for number, parts in said.items():
            if parts[0][0] == "unwritten":
                continue
            begun += 1
            (_, how), (outcome, text) = parts
            line = ast.literal_eval(text)
            assert outcome in ("refused", "went on"), (number, how, line)
            assert line.isprintable() and len(line) < LONGEST, (number, how, line)
            refused += outcome == "refused"
    assert begun > 0.7 * COUNT and refused > 0.3 * begun

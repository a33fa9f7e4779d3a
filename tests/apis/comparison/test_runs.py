"""``mmdist compare`` itself, on written images: killed and called again, it ends as an undisturbed one does."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.comparison_project import write_project

from mmdist.apis.comparison import results
from mmdist.apis.comparison.results import Row
from mmdist.cli import compare

KILLS = (4.0, 14.0, 19.0, 9.0)  # seconds after which it is killed: before a training, and at different places in some
pytestmark = pytest.mark.timeout(1200)  # a dozen trainings, each in a process of its own


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder."""
    folder = tmp_path_factory.mktemp("a project's folder")
    write_project(folder)
    return folder


def command(folder: str) -> list[str]:
    options = ["--methods", "kd", "--seeds", "2", "--search-lr", "none", "--equal", "iterations", "--work-dir", folder]
    return ["student.py", "--teacher", "student.py", "--teacher-ckpt", "teacher.pth", *options]


def facts(rows: list[Row]) -> list[tuple]:
    """What does not depend on the clock."""
    return [(row.cell, row.metric, row.iterations, row.parameters, row.failed) for row in rows]


def test_killed_again_and_again_it_ends_with_the_same_numbers(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    assert compare.main(command("undisturbed")) == 0
    expected = results.read(project / "undisturbed" / "results.csv")
    assert [(row.arm, row.seed) for row in expected] == [("kd", 0), ("kd", 1), ("plain", 0), ("plain", 1)]
    assert all(row.metric is not None and row.iterations == 6 for row in expected)
    tool = [sys.executable, "-m", "mmdist.cli.main", "compare", *command("killed")]
    for seconds in KILLS:
        process = subprocess.Popen(tool, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert compare.main(command("killed")) == 0
    assert facts(results.read(project / "killed" / "results.csv")) == facts(expected)
    before = (project / "killed" / "results.csv").read_bytes()
    assert compare.main(command("killed")) == 0  # nothing is left to do
    assert (project / "killed" / "results.csv").read_bytes() == before
    for name in ("report.md", "report.html"):
        assert "plain student" in (project / "killed" / name).read_text()


def test_a_training_that_fails_is_reported_and_the_others_are_finished(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)
    text = "_base_ = 'student.py'\ntrain_dataloader = dict(dataset=dict(pipeline=[dict(type='LoadImageFromFile')]))\n"
    Path("broken.py").write_text(text)
    arguments = ["student.py", "--arms", "broken=broken.py", "--seeds", "1", "--search-lr", "none"]
    assert compare.main([*arguments, "--equal", "iterations", "--work-dir", "broken"]) == 1
    rows = {row.arm: row for row in results.read(project / "broken" / "results.csv")}
    assert rows["plain"].metric is not None and rows["broken"].failed and rows["broken"].metric is None
    assert "broken" in capsys.readouterr().out


def test_the_plan_is_printed_and_nothing_is_trained(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)
    assert compare.main([*command("planned"), "--plan"]) == 0
    said = capsys.readouterr().out
    assert "predicted" in said and " 4 " in said  # trainings
    assert not list(Path("planned").rglob("*.pth")) and not list(Path("planned").rglob("done.json"))


def test_a_metric_that_is_not_computed_ends_it_at_once_and_those_that_are_are_named(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)
    assert compare.main([*command("misspelt"), "--metric", "mIou"]) == 2
    assert "mIoU" in capsys.readouterr().err
    assert len(list(Path("misspelt").rglob("last_checkpoint"))) == 1


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (["--teacher-ckpt", "none.pth"], "none.pth"),
        (["--metric", ""], "--metric"),
        (["--workers", "0"], "--workers"),
        (["--cfg-options", "train_cfg.max_iters=0"], "train_cfg"),
    ],
)
def test_a_mistake_is_answered_before_anything_is_trained(
    change: list[str], key: str, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)
    folder = f"mistaken {key.strip('-')}"
    assert compare.main([*command(folder), *change]) == 2
    error = capsys.readouterr().err
    assert key in error and error.count("error:") == 1
    assert not list(Path(folder).rglob("*.pth"))

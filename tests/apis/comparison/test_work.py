"""A comparison at work: what came of every training is said and kept, whatever comes after."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config

from mmdist.apis.comparison import results, trainings
from mmdist.apis.comparison.cells import FINAL, PLAIN, SEARCH, Cell
from mmdist.apis.comparison.execution import Worker
from mmdist.apis.comparison.plan import Arm, Plan, Taught
from mmdist.apis.comparison.process import StageFailed
from mmdist.apis.comparison.progress import Display
from mmdist.apis.comparison.results import Metric
from mmdist.apis.comparison.schedule import Lengths
from mmdist.apis.comparison.trainings import Place, Training, failed
from mmdist.apis.comparison.work import RESULTS, Work

METRIC = Metric("mIoU", "mIoU")


def at_work(folder: Path, checkpoint: str | None = None) -> tuple[Work, io.StringIO]:
    plan = Plan("s.py", (Arm(PLAIN, "s.py", taught=False), Arm("dist", "d.py")), Taught("t.py", checkpoint))
    prepared = SimpleNamespace(plan=plan, lengths=Lengths(800, 600, 60), config_of=lambda cell: Config(dict(a=1)))
    said = io.StringIO()
    return Work(prepared, Place(folder, -1, METRIC), [Worker("one", {})], Display.on(METRIC, said)), said


def test_how_the_last_training_failed_is_said_even_where_nothing_can_go_on(tmp_path: Path) -> None:
    work, said = at_work(tmp_path, "t.pth")
    for rate in work.prepared.plan.rates:
        cell = Cell(SEARCH, PLAIN, 100, 800, rate)
        work._keep(cell, failed(cell, f"the reason at {rate}"))
    assert all(f"the reason at {rate}" in said.getvalue() for rate in work.prepared.plan.rates)
    assert len(results.read(tmp_path / RESULTS)) == len(work.prepared.plan.rates)


def test_other_weights_of_the_teacher_are_another_training(tmp_path: Path) -> None:
    weights = tmp_path / "t.pth"
    work, _ = at_work(tmp_path, str(weights))
    cell, keys = Cell(FINAL, "dist", 0, 800), []
    for content in ("one", "another"):
        weights.write_text(content)
        training = work._training(cell)
        assert isinstance(training, Training)
        keys.append(training.stage(work.place).key)
    assert keys[0] != keys[1]


def test_an_address_of_weights_is_handed_on_as_it_is(tmp_path: Path) -> None:
    work, _ = at_work(tmp_path, "https://host/t.pth")
    training = work._training(Cell(FINAL, "dist", 0, 800))
    assert isinstance(training, Training) and training.teacher == "https://host/t.pth"


def test_what_a_training_says_does_not_move_the_cursor() -> None:
    failure = StageFailed("it", 1, Path("log"), ["ValueError: \x1b[2Jnone\x07"])
    assert trainings.reason(failure).isprintable() and "none" in trainings.reason(failure)


@pytest.mark.parametrize(
    ("train", "meta", "complete"),
    [
        (dict(max_iters=6, max_epochs=None), dict(iter=6, epoch=0), True),
        (dict(max_iters=6), dict(iter=4, epoch=0), False),
        (dict(max_epochs=2), dict(iter=60, epoch=1), False),
    ],
)
def test_a_training_that_ended_early_is_not_complete(train: dict, meta: dict, complete: bool, tmp_path: Path) -> None:
    torch.save(dict(meta=meta, state_dict={}), tmp_path / "last.pth")
    assert trainings._complete(tmp_path / "last.pth", Config(dict(train_cfg=train))) is complete

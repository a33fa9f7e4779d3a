"""``benchmarks/few_labels.py``: its plan, the configs of its cells, and what the documentation says of its results."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))  # as `python -m benchmarks.few_labels` does in the project's folder

# isort: split
from benchmarks import few_labels
from benchmarks._few_labels import stages, tables
from benchmarks._few_labels.configs import WITH_UNLABELED, config_of
from benchmarks._few_labels.plan import (
    ALL,
    BATCH,
    CHOOSING,
    FINAL,
    JUDGING,
    LABELED,
    NAMES,
    OTHER,
    OWN,
    PLAIN,
    PSEUDO,
    SEARCH,
    SEARCH_SEED,
    SEEDS,
    TAUGHT,
    TEACHER,
    TIMING,
    Cell,
)
from benchmarks._few_labels.running import Bench, Sizes
from benchmarks._few_labels.store import Row
from benchmarks.accuracy import store
from benchmarks.accuracy.tables import insert

DATA = Path("/data")


def row(cell: Cell, metric: float, ms: float = 100.0) -> Row:
    return Row(**vars(cell), metric=metric, iteration_ms=ms, parameters=7, finished="2026-01-01T00:00:00", torch="2.13")


def peak(cell: Cell) -> float:
    """A made-up result: best at 8 times the rate, twice the weight and two schedules."""
    loss = abs(cell.rate - 8) + abs(cell.weight - 2) + abs(cell.iterations / 800 - 2)
    return 50 - loss + (10 if cell.arm != PLAIN else 0)


class Made(Bench):
    """A benchmark that trains nothing."""

    def _train_all(self, cells: Any, teachers: dict[Cell, Cell], workers: int) -> None:
        for cell in cells:
            self.rows.setdefault(cell, row(cell, peak(cell), 200.0 if cell.arm == "dist" else 100.0))


@pytest.fixture
def bench(tmp_path: Path) -> Made:
    return Made(tmp_path, DATA, tmp_path / "few.csv", 1, print, Sizes(), 0)


def test_the_plain_student_is_the_best_of_at_least_five_rates_and_four_lengths(bench: Made) -> None:
    plain, best = stages.search_plain(bench)
    tried = [cell for cell in bench.rows if cell.arm == PLAIN]
    rates = sorted({cell.rate for cell in tried if cell.iterations == 800})
    assert len(rates) >= 5 and rates[0] < plain.rate < rates[-1]
    assert {cell.iterations for cell in tried} == {400, 800, 1600, 3200}
    assert (best.rate, best.iterations) == (8.0, 1600)


def test_a_rate_at_the_end_of_the_range_widens_it(bench: Made) -> None:
    start = Cell(SEARCH, ALL, PLAIN, SEARCH_SEED, 800, 1.0)
    best = stages.searched(bench, lambda rate: replace(start, rate=rate), (0.5, 1.0, 2.0), {})
    assert best.rate == 8.0 and replace(start, rate=16.0) in bench.rows


def test_every_arm_is_searched_and_reported_in_both_settings_with_every_seed(bench: Made) -> None:
    chosen = stages.run_all(bench, (OTHER, OWN), TAUGHT, lambda cell: True)
    finals = [cell for cell in bench.rows if cell.purpose == FINAL]
    for setting in (OTHER, OWN):
        for arm in TAUGHT:
            found = [cell for cell in finals if (cell.setting, cell.arm, cell.iterations) == (setting, arm, 800)]
            assert {cell.seed for cell in found} == set(SEEDS)
            assert {(cell.rate, cell.weight) for cell in found} == {(8.0, 2.0)}
    assert chosen.pseudo[OWN].iterations == 1600
    assert all(cell.seed == SEARCH_SEED for cell in bench.rows if cell.purpose == SEARCH and cell.arm != TEACHER)


def test_the_plain_student_trains_for_as_long_as_the_slowest_arm_takes(bench: Made) -> None:
    chosen = stages.run_all(bench, (OTHER,), ("dist",), lambda cell: True)
    assert stages.ratio(bench) == 2.0
    assert 1600 in {cell.iterations for cell in stages.finals(bench, chosen) if cell.arm == PLAIN}


@pytest.mark.parametrize("arm", TAUGHT)
def test_every_batch_has_as_many_images_and_only_the_subset_has_labels(arm: str) -> None:
    train = config_of(Cell(FINAL, OTHER, arm, 1, 800, 2.0), DATA).train_dataloader
    if arm in WITH_UNLABELED:
        assert train.batch_sampler.labeled == train.batch_size == LABELED
        assert train.batch_sampler.labeled + train.batch_sampler.unlabeled == BATCH
        assert train.dataset.unlabeled == "/data/student/train_150_seed1_unlabeled_images.txt"
    else:
        assert train.batch_size == BATCH
    labeled = train.dataset.get("labeled", train.dataset)
    assert labeled.ann_file == "splits/train_150_seed1_labeled.txt" and labeled.data_root == "/data/student"


def test_what_chooses_does_not_judge() -> None:
    chooses = config_of(Cell(SEARCH, OTHER, "dist", 1, 800, 2.0), DATA).val_dataloader.dataset.indices
    judges = config_of(Cell(FINAL, OTHER, "dist", 1, 800, 2.0), DATA).val_dataloader.dataset.indices
    assert len(chooses) == CHOOSING and len(judges) == JUDGING and not set(chooses) & set(judges)


def test_somebody_elses_teacher_has_other_data_and_the_own_one_the_students_labels() -> None:
    other, own = (config_of(Cell(SEARCH, setting, TEACHER, 1, 800, 1.0), DATA) for setting in (OTHER, OWN))
    assert other.train_dataloader.dataset.data_root == "/data/teacher"
    assert "ann_file" not in other.train_dataloader.dataset
    assert own.train_dataloader.dataset.ann_file == "splits/train_150_seed1_labeled.txt"
    assert other.val_dataloader.dataset.data_root == own.val_dataloader.dataset.data_root == "/data/student"


def test_weights_scale_what_the_teacher_says_alone() -> None:
    base, double = (config_of(Cell(FINAL, OWN, "pseudo-kd", 0, 800, 1.0, weight), DATA).model for weight in (1, 2))
    losses = [model.distiller.distill_losses.loss_kd.loss_weight for model in (base, double)]
    assert losses[1] == 2 * losses[0] and base.pseudo_labels == double.pseudo_labels
    alone = config_of(Cell(FINAL, OWN, PSEUDO, 0, 800, 1.0, 2.0), DATA).model
    assert alone.distiller is None and alone.pseudo_labels.loss_weight == 2.0


def test_results_survive_their_file(tmp_path: Path) -> None:
    rows = [row(Cell(FINAL, OWN, arm, 0, 800, 1.0), 50.0) for arm in TAUGHT]
    store.write(tmp_path / "a.csv", rows, Row)
    assert sorted(store.read(tmp_path / "a.csv", Row), key=lambda r: r.arm) == sorted(rows, key=lambda r: r.arm)


def test_the_table_compares_with_the_best_plain_student_of_any_length() -> None:
    rows = [
        row(Cell(FINAL, ALL, PLAIN, seed, length, 8.0), value)
        for length, value in ((800, 30.0), (1600, 40.0))
        for seed in SEEDS
    ]
    rows += [row(Cell(FINAL, OTHER, "dist", seed, 800, 8.0), 65.0 + seed) for seed in SEEDS]
    rows += [row(Cell(FINAL, OTHER, PSEUDO, seed, 800, 8.0), 60.0) for seed in SEEDS]
    rows += [row(Cell(TIMING, OTHER, "dist", 200, 60, 8.0), 1.0, 150.0)]
    line = next(line for line in tables.comparison(rows, OTHER).splitlines() if line.startswith(f"| {NAMES['dist']} |"))
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[2].startswith("+26.0") and cells[3].startswith("+6.0") and cells[4] == "2.0"


def test_the_page_says_what_the_results_say() -> None:
    page = few_labels.PAGE.read_text(encoding="utf-8")
    for name, text in tables.sections(store.read(few_labels.RESULTS, Row)).items():
        assert insert(page, name, text) == page


def test_an_unknown_arm_is_answered(capsys: pytest.CaptureFixture) -> None:
    assert few_labels.main(["run", "--arm", "dits"]) == 2
    assert "dist" in capsys.readouterr().err

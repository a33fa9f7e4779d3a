"""``benchmarks/accuracy``: its statistics, its plan, its file, and what the documentation says of them."""

from __future__ import annotations

import math
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))  # as `python -m benchmarks.accuracy` does in the project's folder

# isort: split
from benchmarks.accuracy import __main__ as benchmark
from benchmarks.accuracy import store, tables
from benchmarks.accuracy.__main__ import PAGE, RESULTS, build_parser, run, search
from benchmarks.accuracy.comparing import best_factor, discoveries, lines, paired, teacher_row, time_ratios
from benchmarks.accuracy.plan import (
    EPOCHS,
    NAMES,
    PLAIN,
    ROOT,
    SEARCH,
    SEARCH_SEEDS,
    TASKS,
    TEACHER,
    TEACHER_SEED,
    TIME,
    TIMING,
    Cell,
    epoch_cells,
    longer,
    search_cells,
    time_cells,
    timing_cells,
)
from benchmarks.accuracy.running import Bench, TaskBench, options_of
from benchmarks.accuracy.store import Row
from mmdist.apis.comparison.schedule import wider
from mmdist.cli.demo.training import Place
from mmdist.engine.config import load_config
from mmdist.errors import ConfigError

TASK = TASKS[0]
T_975 = 4.303  # quantile of Student's t with two degrees of freedom, from a printed table


def row(purpose=EPOCHS, method=PLAIN, seed=0, iterations=500, factor=1.0, metric=50.0, ms=10.0, **other):
    known = dict(teacher_metric=None, parameters=7, finished="2026-01-01T00:00:00+00:00", torch="2.13.0") | other
    return Row(TASK.name, purpose, method, seed, iterations, factor, metric, iteration_ms=ms, **known)


def test_a_paired_difference_has_the_interval_of_a_t_test():
    differences = [1.0, 2.0, 4.5]
    found = paired([10 + difference for difference in differences], [10.0] * 3)
    mean = sum(differences) / 3
    spread = math.sqrt(sum((value - mean) ** 2 for value in differences) / 2)
    assert found.mean == pytest.approx(mean)
    assert found.high - found.mean == pytest.approx(T_975 * spread / math.sqrt(3), rel=1e-3)
    assert found.mean - found.low == pytest.approx(found.high - found.mean)


def test_differences_without_spread_are_certain_and_none_at_all_is_nothing():
    assert paired([2.0, 3.0], [1.0, 2.0]).p == 0.0
    assert paired([2.0, 3.0], [2.0, 3.0]).p == 1.0


def test_one_seed_is_no_comparison():
    with pytest.raises(ValueError, match="two pairs"):
        paired([1.0], [2.0])


def test_a_difference_that_is_one_of_many_has_to_be_surer():
    few = paired([1.0, 2.0, 3.1, 1.5, 0.4], [0.0] * 5)
    assert few.p < 0.05
    noise = {str(i): replace(few, p=0.9) for i in range(20)}
    assert discoveries({"few": few})["few"].significant
    assert not discoveries({"few": few, **noise})["few"].significant
    assert discoveries({"few": few})["few"].verdict() == "better"
    assert discoveries({"few": replace(few, mean=-1.0)})["few"].verdict() == "worse"


def test_the_learning_rate_is_that_with_the_best_mean():
    values = {0.5: (50, 52), 1.0: (60, 40), 2.0: (52, 51)}
    rows = [row(SEARCH, seed=100 + i, factor=f, metric=v) for f, both in values.items() for i, v in enumerate(both)]
    assert best_factor(rows, TASK.name) == 2.0
    with pytest.raises(ValueError, match="searched"):
        best_factor([], TASK.name)


def some_rows():
    """Two seeds: KD takes 1.6 times as long as the plain student and is 3 and 5 points better at equal epochs."""
    rows = [row(seed=seed, metric=50.0 + seed, ms=77.0) for seed in (0, 1)]
    rows += [row(method="kd", seed=seed, metric=53.0 + 3 * seed, ms=88.0) for seed in (0, 1)]
    rows += [row(TIMING, method, seed=200, iterations=60, ms=ms) for method, ms in ((PLAIN, 10.0), ("kd", 16.0))]
    rows += [row(TIME, seed=seed, iterations=750, metric=54.0 + seed, ms=10.0) for seed in (0, 1)]
    rows += [row(SEARCH, seed=100, metric=49.0), row(SEARCH, TEACHER, metric=90.0, parameters=99)]
    return rows


def test_a_method_stands_beside_the_plain_student_of_the_same_seed_at_equal_epochs_and_at_equal_time():
    assert time_ratios(some_rows(), TASK.name) == {"kd": pytest.approx(1.6)}
    plain, kd = lines(some_rows(), TASK, 1.0, 500)
    assert plain.values == (50.0, 51.0) and plain.epochs is None
    assert kd.epochs.mean == pytest.approx(4.0)
    assert kd.time.mean == pytest.approx(0.0)
    assert kd.minutes == pytest.approx(500 * 16 / 60_000)
    assert kd.long_minutes == pytest.approx(750 * 10 / 60_000)


def test_a_method_that_was_not_timed_alone_is_not_compared_yet():
    rows = [r for r in some_rows() if not (r.purpose == TIMING and r.method == "kd")]
    assert [line.method for line in lines(rows, TASK, 1.0, 500)] == [PLAIN]


def test_everything_is_timed_and_the_teacher_too():
    assert {cell.method for cell in timing_cells(TASK, 500)} == {TEACHER, PLAIN, *TASK.methods}


def test_a_comparison_at_equal_time_waits_until_the_longer_trainings_are_there():
    rows = [r for r in some_rows() if not (r.purpose == TIME and r.seed == 1)]
    assert lines(rows, TASK, 1.0, 500)[1].time is None


def test_trainings_at_another_learning_rate_are_not_compared():
    other = [row(method="dist", seed=seed, factor=2.0) for seed in (0, 1)]
    other.append(row(TIMING, "dist", seed=200, iterations=60))
    assert [line.method for line in lines(some_rows() + other, TASK, 1.0, 500)] == [PLAIN, "kd"]


TUNED = replace(TASK, tuned=("kd",))


def tuned_rows(best=0.25):
    """KD's own learning rate is searched, and with it KD is a point better than with the plain student's."""
    found = [row(SEARCH, "kd", seed=100, factor=f, metric=60.0 if f == best else 40.0) for f in (0.25, 0.5, 1.0)]
    return some_rows() + found + [row(method="kd", seed=seed, factor=0.25, metric=54.0 + 3 * seed) for seed in (0, 1)]


def test_a_method_at_its_own_learning_rate_stands_beside_the_plain_student_at_the_plain_student_s():
    _, kd, tuned = lines(tuned_rows(), TUNED, 1.0, 500)
    assert (kd.name, tuned.name) == ("KD", "KD, own rate")
    assert tuned.values == (54.0, 57.0)
    assert tuned.epochs.mean == pytest.approx(5.0) and kd.epochs.mean == pytest.approx(4.0)
    assert tuned.time.mean == pytest.approx(1.0)
    text = tables.section(TUNED, tuned_rows(), 500)
    assert "| KD, own rate | 2 |" in text and "| KD: learning rate |" in text


def test_a_method_whose_best_learning_rate_is_the_plain_student_s_stands_there_once():
    assert [line.name for line in lines(tuned_rows(best=1.0), TUNED, 1.0, 500)] == ["plain student", "KD"]


def test_the_search_of_a_method_begins_around_the_plain_student_s_learning_rate(tmp_path):
    bench, trained = Bench(tmp_path, tmp_path / "results.csv", 1, print), []

    class Work:
        task = TASK

        def train(self, cells):
            for cell in bench.missing(cells):
                trained.append((cell.method, cell.lr_factor))
                bench.keep(row(SEARCH, "kd", seed=cell.seed, factor=cell.lr_factor, metric=50 - cell.lr_factor))

    Work.bench = bench
    assert search(Work(), 500, "kd", start=8.0) < 4.0
    assert trained[:3] == [("kd", 4.0), ("kd", 8.0), ("kd", 16.0)] and {name for name, _ in trained} == {"kd"}


def test_the_teacher_is_trained_when_a_method_is_and_not_before(tmp_path, monkeypatch):
    store.write(tmp_path / "results.csv", some_rows())
    bench, asked = Bench(tmp_path, tmp_path / "results.csv", 1, print), []
    work = TaskBench(bench, TASK, None, 500)
    monkeypatch.setattr(TaskBench, "_train", lambda self, cell, progress: asked.append(cell) or cell)
    monkeypatch.setattr(TaskBench, "_row", lambda self, cell, trained: row(cell.purpose, cell.method, cell.seed))
    work.train([Cell(TASK.name, EPOCHS, PLAIN, 3, 500)])
    assert work.teacher is None and [cell.method for cell in asked] == [PLAIN]
    work.train([Cell(TASK.name, EPOCHS, "kd", 3, 500)])
    assert [cell.method for cell in asked[1:]] == [TEACHER, "kd"]
    assert asked[1] == Cell(TASK.name, SEARCH, TEACHER, TEACHER_SEED, 500)


def test_the_section_of_a_task_has_a_negative_result_too():
    rows = [replace(r, metric=40.0 + r.seed / 10) if r.method == "kd" else r for r in some_rows()]
    text = tables.section(TASK, rows, 500)
    assert "| KD | 2 | 40.05 ± 0.07 |" in text
    assert "-10.45 [" in text
    assert "Teacher: top-1 90.00, 99 parameters" in text


def test_a_section_says_how_long_its_trainings_took_and_when_and_with_which_version_they_were_made():
    newest = row(method="dist", ms=14_000, finished="2026-01-03T00:00:00+00:00", torch="2.14.0")  # 7,000 of 7,192 s
    rows = [*some_rows(), newest]
    expected = f"{len(rows)} trainings, 2.0 hours of one thread, 2026-01-01 to 2026-01-03, torch 2.13.0, 2.14.0."
    assert expected in tables.section(TASK, rows, 500)


def test_longer_trainings_are_halves_of_the_schedule_and_never_shorter_than_it():
    assert [longer(800, ratio) for ratio in (0.5, 1.24, 1.25, 2.0)] == [800, 800, 1200, 1600]


def test_the_search_goes_on_while_the_best_learning_rate_is_at_an_end():
    assert wider((0.5, 1.0, 2.0), 2.0) == (0.5, 1.0, 2.0, 4.0)
    assert wider((0.5, 1.0, 2.0), 0.5) == (0.25, 0.5, 1.0, 2.0)
    assert wider((0.5, 1.0, 2.0), 1.0) == (0.5, 1.0, 2.0)


def test_a_search_that_was_interrupted_goes_on_from_the_learning_rates_that_it_had_reached(tmp_path):
    rows = [row(SEARCH, seed=seed, factor=f, metric=40 + 10 * f) for seed in SEARCH_SEEDS for f in (0.5, 1.0, 2.0, 4.0)]
    store.write(tmp_path / "results.csv", rows)
    bench, trained = Bench(tmp_path, tmp_path / "results.csv", 1, print), []

    class Work:
        task = TASK

        def train(self, cells):
            for cell in bench.missing(cells):
                trained.append(cell.lr_factor)
                bench.keep(row(SEARCH, seed=cell.seed, factor=cell.lr_factor, metric=30.0))

    Work.bench = bench
    assert search(Work(), 500) == 4.0
    assert trained == [8.0, 8.0]


def test_the_teacher_is_the_best_of_its_own_search_which_is_not_the_plain_student_s():
    rows = [*some_rows(), row(SEARCH, TEACHER, factor=4.0, metric=95.0), row(SEARCH, TEACHER, factor=8.0, metric=93.0)]
    assert teacher_row(rows, TASK.name).lr_factor == 4.0
    assert best_factor(rows, TASK.name) == 1.0
    assert best_factor(rows, TASK.name, TEACHER) == 4.0
    text = tables.section(TASK, rows, 500)
    assert "Teacher: top-1 95.00" in text
    assert "teacher: learning rate" in text and "**95.00**" in text
    assert {cell.seed for cell in search_cells(TASK, 500, method=TEACHER)} == {TEACHER_SEED}


def test_every_method_is_trained_with_the_plain_student_s_seeds():
    cells = list(epoch_cells(TASK, 500, 2.0))
    seeds = {method: [cell.seed for cell in cells if cell.method == method] for method in (PLAIN, *TASK.methods)}
    assert all(found == list(range(TASK.seeds)) for found in seeds.values())
    assert {cell.seed for cell in search_cells(TASK, 500)}.isdisjoint(range(TASK.seeds))
    assert {cell.iterations for cell in time_cells(TASK, 500, 1.0, {"kd": 1.6, "dist": 1.0})} == {750}


def test_another_learning_rate_is_the_student_s_and_not_the_acclimated_teacher_s():
    cfg = load_config(str(ROOT / "configs" / "demo" / TASK.config("distplus")))
    rate, factor = cfg.optim_wrapper.optimizer.lr, cfg.optim_wrapper.paramwise_cfg.custom_keys.acclimated.lr_mult
    cfg.merge_from_dict(options_of(Cell(TASK.name, EPOCHS, "distplus", 0, 500, 8.0), cfg))
    found = cfg.optim_wrapper
    assert found.optimizer.lr == pytest.approx(8 * rate)
    assert found.optimizer.lr * found.paramwise_cfg.custom_keys.acclimated.lr_mult == pytest.approx(rate * factor)


def test_no_pictures_are_drawn_in_what_is_timed():
    cfg = load_config(str(ROOT / "configs" / "demo" / TASKS[1].config("rdd")))
    assert cfg.custom_hooks[0].interval == 200
    cfg.merge_from_dict(options_of(Cell(TASKS[1].name, EPOCHS, "rdd", 0, 800), cfg))
    assert cfg.custom_hooks[0].interval > cfg.train_cfg.max_iters


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_every_config_of_the_plan_is_there_and_has_a_name(task):
    for method in (TEACHER, PLAIN, *task.methods):
        assert (ROOT / "configs" / "demo" / task.config(method)).is_file()
    assert set(task.methods) <= set(NAMES)


def test_the_file_is_read_as_it_was_written(tmp_path):
    rows = [*some_rows(), row(method="distplus", teacher_metric=90.5)]
    store.write(tmp_path / "results.csv", rows)
    assert sorted(store.read(tmp_path / "results.csv"), key=str) == sorted(rows, key=str)
    assert store.read(tmp_path / "none.csv") == []


def test_a_file_with_other_columns_is_refused(tmp_path):
    (tmp_path / "results.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="expected the columns"):
        store.read(tmp_path / "results.csv")


def test_what_the_file_has_is_not_trained_again_unless_asked_for(tmp_path):
    rows = some_rows()
    store.write(tmp_path / "results.csv", rows)
    new = Cell(TASK.name, EPOCHS, "dist", 0, 500)
    bench = Bench(tmp_path, tmp_path / "results.csv", 1, print)
    assert bench.missing([rows[0].cell, new]) == [new]
    again = Bench(tmp_path, tmp_path / "results.csv", 1, print, again=lambda cell: cell.seed == 0)
    assert again.missing([rows[0].cell, rows[1].cell]) == [rows[0].cell]


@pytest.mark.parametrize("again", [False, True])
def test_asked_for_again_a_finished_training_is_made_once_more(tmp_path, monkeypatch, again):
    store.write(tmp_path / "results.csv", some_rows())
    cell, made = some_rows()[0].cell, []
    bench = Bench(tmp_path, tmp_path / "results.csv", 1, print, again=lambda cell: again)
    folder = tmp_path / TASK.name / cell.folder
    folder.mkdir(parents=True)
    (folder / "finished").touch()
    place = Place(ROOT, tmp_path / TASK.name, TASK.demo, "data", {}, 0, None)
    monkeypatch.setattr("benchmarks.accuracy.running.train", lambda *_: made.append((folder / "finished").exists()))
    monkeypatch.setattr(TaskBench, "_row", lambda self, cell, trained: row(cell.purpose, cell.method, cell.seed))
    TaskBench(bench, TASK, place, 500).train([cell])
    assert made == ([False] if again else [])


@pytest.mark.parametrize(
    ("arguments", "key"),
    [(["--task", "cls-mnits"], "--task"), (["--method", "dits"], "--method"), (["--workers", "0"], "--workers")],
)
def test_a_name_that_is_not_known_is_refused_before_anything_runs(arguments, key, tmp_path):
    with pytest.raises(ConfigError, match=key):
        run(build_parser().parse_args(["run", "--work-dir", str(tmp_path / "new"), *arguments]))
    assert not (tmp_path / "new").exists()


def test_the_documentation_has_the_tables_of_the_committed_results():
    page, rows = PAGE.read_text(), store.read(RESULTS)
    assert rows
    for task in TASKS:
        text = tables.section(task, rows) or "Not measured yet."
        assert tables.insert(page, task.name, text) == page


def test_figures_are_drawn_and_the_same_results_give_the_same_files(tmp_path):
    from benchmarks.accuracy import plots

    rows = some_rows()
    first = {path.name: path.read_bytes() for path in plots.write(TASK, rows, tmp_path / "a")}
    second = {path.name: path.read_bytes() for path in plots.write(TASK, rows, tmp_path / "b")}
    assert first == second
    assert set(first) == {f"accuracy-{TASK.name}-{name}.svg" for name in ("minutes", "differences")}
    assert all(b"<svg" in content for content in first.values())


def test_pages_without_marks_are_refused(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("nothing")
    with pytest.raises(ValueError, match="begin"):
        tables.update(page, {"a": "text"})
    assert page.read_text() == "nothing"


@pytest.mark.parametrize("again", [False, True])
def test_an_interruption_names_the_command_that_goes_on(monkeypatch, capsys, again):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(benchmark, "run", interrupted)
    monkeypatch.setattr(benchmark.signal, "signal", lambda *_: None)
    monkeypatch.delenv("MMDIST_AGAIN", raising=False)
    arguments = ["run", "--task", "seg-digits", *(["--again"] if again else [])]
    assert benchmark.main(arguments) == 130
    error = capsys.readouterr().err
    command = shlex.join([sys.executable, "-m", "benchmarks.accuracy", *arguments])
    # with --again it would make what is finished once more
    assert ("go on from here with: " + command in error) is not again

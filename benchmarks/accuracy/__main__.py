"""Methods and seeds on the demo's data sets, beside a tuned student by itself.

    python -m benchmarks.accuracy run                                   # all that is missing in the results
    python -m benchmarks.accuracy run --task seg-digits --method dist --seed 3 --again
    python -m benchmarks.accuracy tables                                # tables and figures from the results

``run`` searches the learning rates of the plain student and of the teacher, measures the time of an iteration in a
short training of each method that nothing runs beside, trains every method with every seed at equal epochs, and then
the plain student for as long as the methods take. Methods that the plan has as tuned are searched a learning rate of
their own at last, and trained at it where it is another one. Interrupted and run again, it goes on where it was.
``tables`` takes seconds: it reads the results and writes docs/en/benchmarks/accuracy.md and its figures.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.accuracy import plots, store, tables
from benchmarks.accuracy.comparing import best_factor, search_table, time_ratios
from benchmarks.accuracy.plan import (
    PLAIN,
    ROOT,
    SEARCH,
    SEARCH_FACTORS,
    TASKS,
    TEACHER,
    Cell,
    Task,
    epoch_cells,
    search_cells,
    time_cells,
    timing_cells,
    tuned_cells,
)
from benchmarks.accuracy.running import Bench, TaskBench, task_at_work
from mmdist.apis.comparison.process import StageFailed
from mmdist.apis.comparison.schedule import wider
from mmdist.cli.report import INTERRUPTED, run_reported
from mmdist.engine.command import AGAIN, typed
from mmdist.errors import ConfigError

RESULTS = Path(__file__).parent / "results" / "accuracy.csv"
PAGE = ROOT / "docs" / "en" / "benchmarks" / "accuracy.md"
MOST_FACTORS = 8  # of a search
QUICK_METHODS = ("kd", "dist")
QUICK_ITERATIONS = 12


def build_parser() -> argparse.ArgumentParser:
    """The script's arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="train what is missing")
    run.add_argument("--task", action="append", metavar="NAME", help=f"one of {', '.join(task.name for task in TASKS)}")
    run.add_argument("--method", action="append", metavar="NAME", help="only this one; may be repeated")
    run.add_argument("--seed", action="append", type=int, metavar="N", help="only this one; may be repeated")
    run.add_argument("--again", action="store_true", help="also what the results have already")
    run.add_argument("--workers", type=int, default=2, metavar="N", help="trainings at a time, one thread each (2)")
    run.add_argument("--work-dir", type=Path, metavar="DIR", help="default: work_dirs/accuracy")
    run.add_argument("--quick", action="store_true", help="a few iterations and methods, to see that it runs")
    for command in (run, commands.add_parser("tables", help="write tables and figures")):
        command.add_argument("--results", type=Path, metavar="CSV", help=f"default: {RESULTS.relative_to(ROOT)}")
    return parser


def chosen(names: Sequence[str] | None) -> list[Task]:
    """The tasks of some names; all by default.

    Raises:
        ConfigError: An unknown name.
    """
    known = {task.name: task for task in TASKS}
    for name in names or ():
        if name not in known:
            raise ConfigError("--task", name, list(known))
    return [known[name] for name in names or known]


def wanted(args: argparse.Namespace, cell: Cell) -> bool:
    """Whether ``--method`` and ``--seed`` leave a cell."""
    return (not args.method or cell.method in args.method) and (not args.seed or cell.seed in args.seed)


def search(work: TaskBench, iterations: int, method: str = PLAIN, start: float = 1.0) -> float:
    """Search the learning rate of a method, the plain student or the teacher as far as the results do not have it.

    Args:
        work (TaskBench): The task at work.
        iterations (int): Of its schedule.
        method (str): Whose rate.
        start (float): The factor that the search begins around.

    Returns:
        float: The best factor.
    """
    before = search_table(list(work.bench.rows.values()), work.task.name, method).index
    factors: tuple[float, ...] = ()
    following = tuple(sorted({*(start * factor for factor in SEARCH_FACTORS), *before}))
    while following != factors and len(following) <= MOST_FACTORS:
        factors = following
        work.train(search_cells(work.task, iterations, factors, method))
        following = wider(factors, best_factor(list(work.bench.rows.values()), work.task.name, method))
    return best_factor(list(work.bench.rows.values()), work.task.name, method)


def run_task(args: argparse.Namespace, bench: Bench, task: Task) -> None:
    """All trainings of a task that are missing."""
    methods = tuple(method for method in task.methods if not args.quick or method in QUICK_METHODS)
    task = replace(task, methods=methods, seeds=min(task.seeds, 2) if args.quick else task.seeds)
    iterations = bench.iterations or tables.schedule(task)
    with task_at_work(bench, task, iterations) as work:
        factor = search(work, iterations)
        search(work, iterations, TEACHER)
        timing = timing_cells(task, iterations)
        work.train([cell for cell in timing if not args.method or cell.method in args.method], alone=True)
        work.train(cell for cell in epoch_cells(task, iterations, factor) if wanted(args, cell))
        ratios = time_ratios(list(bench.rows.values()), task.name)
        work.train(cell for cell in time_cells(task, iterations, factor, ratios) if wanted(args, cell))
        for method in task.tuned:
            if not args.quick and (not args.method or method in args.method):
                own = search(work, iterations, method, start=factor)
                work.train(cell for cell in tuned_cells(task, method, iterations, own) if wanted(args, cell))


def run(args: argparse.Namespace) -> None:
    """``run``."""
    tasks = chosen(args.task)
    for name in args.method or ():
        if name not in (known := {PLAIN, *(method for task in tasks for method in task.methods)}):
            raise ConfigError("--method", name, sorted(known))
    if args.workers < 1:
        raise ConfigError("--workers", args.workers, "a number above 0")
    threads = os.environ.setdefault("OMP_NUM_THREADS", "1")  # so that trainings beside each other do not share cores
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # should it be more than one: see mmdist/engine/threads.py
    print(f"trainings at a time: {args.workers}; OMP_NUM_THREADS={threads} for each", flush=True)
    folder = (args.work_dir or ROOT / "work_dirs" / ("accuracy-quick" if args.quick else "accuracy")).resolve()
    results = args.results or (folder / "accuracy.csv" if args.quick else RESULTS)
    bench = Bench(
        *(folder, results, args.workers, lambda line: print(line, flush=True)),
        iterations=QUICK_ITERATIONS if args.quick else None,
        few=args.quick,
        again=lambda cell: args.again and cell.purpose != SEARCH and wanted(args, cell),
    )
    for task in tasks:
        run_task(args, bench, task)
    for task in tasks:
        print(f"\n{task.name}\n{tables.section(task, list(bench.rows.values()), bench.iterations)}")


def write_tables(args: argparse.Namespace) -> None:
    """``tables``."""
    rows = store.read(args.results or RESULTS)
    sections = {}
    for task in TASKS:
        text = tables.section(task, rows)
        if not text:
            print(f"{task.name}: not enough results")
            text = "Not measured yet."
        else:
            for path in plots.write(task, rows, PAGE.parent):
                print(path.relative_to(ROOT))
            print(f"\n{task.name}\n{text}\n")
        sections[task.name] = text
    tables.update(PAGE, sections)


def main(argv: Sequence[str] | None = None) -> int:
    """Run; 1 after a training that failed, 2 after a mistake of the user's, 130 after an interruption."""
    argv = list(sys.argv[1:] if argv is None else argv)
    args = build_parser().parse_args(argv)
    # as an interrupt, so that the trainings that are at work end too
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    status = 0
    try:
        status = run_reported(lambda: (run if args.command == "run" else write_tables)(args))
    except StageFailed as failure:
        print("\n".join(failure.tail), file=sys.stderr)
        print(f"error: {failure}; all that it wrote: {failure.log}", file=sys.stderr)
        return 1
    if status == INTERRUPTED and args.command == "run":
        if args.again:  # the command would make what is finished once more
            print("what is finished is kept in the results", file=sys.stderr)
        else:
            command = os.environ.get(AGAIN) or shlex.join(typed(argv, [sys.executable, "-m", "benchmarks.accuracy"]))
            print(f"what is finished is kept; go on from here with: {command}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())

"""Few labels, many images: digit scenes of which 150 of 3,000 have labels.

    python -m benchmarks.few_labels run                                     # all that is missing in the results
    python -m benchmarks.few_labels run --setting own --arm dist --seed 1 --again
    python -m benchmarks.few_labels tables                                  # the page's tables, from the results

``run`` searches with one seed: the plain student's learning rate and length, both teachers' rate, each arm's rate and
loss weight, the length of pseudo-labels. It then measures the time of an iteration, and trains every arm with three
seeds, each with a labelled subset of its own. Interrupted and run again, it goes on where it was. ``tables`` takes
seconds: it reads the results and writes docs/en/benchmarks/few_labels.md.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if not __package__:  # as a script
    sys.path.insert(0, str(Path(__file__).parents[1]))

if TYPE_CHECKING:
    from benchmarks._few_labels.plan import Cell

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "_few_labels" / "results.csv"
PAGE = ROOT / "docs" / "en" / "benchmarks" / "few_labels.md"


def build_parser() -> argparse.ArgumentParser:
    """The script's arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.few_labels",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="train what is missing")
    run.add_argument("--setting", action="append", metavar="NAME", help="other or own; both by default")
    run.add_argument("--arm", action="append", metavar="NAME", help="only this one; may be repeated")
    run.add_argument("--seed", action="append", type=int, metavar="N", help="only this one; may be repeated")
    run.add_argument("--again", action="store_true", help="also what the results have already, but for the searches")
    run.add_argument("--workers", type=int, default=2, metavar="N", help="trainings at a time, one thread each (2)")
    run.add_argument("--work-dir", type=Path, metavar="DIR", help="default: work_dirs/few_labels")
    run.add_argument("--quick", action="store_true", help="few scenes and iterations, to see that it runs")
    for command in (run, commands.add_parser("tables", help="write the tables")):
        command.add_argument("--results", type=Path, metavar="CSV", help=f"default: {RESULTS.relative_to(ROOT)}")
    return parser


def run(args: argparse.Namespace) -> None:
    """``run``."""
    from benchmarks._few_labels import tables
    from benchmarks._few_labels.plan import FINAL, PLAIN, SETTINGS, TAUGHT, TIMING
    from benchmarks._few_labels.running import Bench, Sizes, make_data
    from benchmarks._few_labels.stages import run_all
    from benchmarks.accuracy.running import Silent
    from mmdist.apis.comparison.stages import lock
    from mmdist.errors import ConfigError

    for option, values, known in (("--setting", args.setting, SETTINGS), ("--arm", args.arm, (PLAIN, *TAUGHT))):
        for value in values or ():
            if value not in known:
                raise ConfigError(option, value, list(known))
    if args.workers < 1:
        raise ConfigError("--workers", args.workers, "a number above 0")
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # so that trainings beside each other do not share cores
    folder = (args.work_dir or ROOT / "work_dirs" / ("few_labels-quick" if args.quick else "few_labels")).resolve()
    results = args.results or (folder / "few_labels.csv" if args.quick else RESULTS)
    sizes = Sizes(48, 16, 8, 8, 10) if args.quick else Sizes()

    def keep(cell: Cell) -> bool:
        return (not args.arm or cell.arm in args.arm) and (not args.seed or cell.seed in args.seed)

    def again(cell: Cell) -> bool:
        return args.again and cell.purpose in (FINAL, TIMING) and keep(cell)

    settings = [SETTINGS[name] for name in args.setting or SETTINGS]
    arms = [arm for arm in TAUGHT if not args.arm or arm in args.arm]
    with lock(folder) as held:
        data = make_data(folder, sizes, Silent("data", threading.Event()))
        bench = Bench(folder, data, results, args.workers, _say, sizes, held, again)
        run_all(bench, settings, arms, keep)
    for name, text in tables.sections(list(bench.rows.values())).items():
        _say(f"\n{name}\n{text}")


def _say(line: str) -> None:
    print(line, flush=True)


def write_tables(args: argparse.Namespace) -> None:
    """``tables``."""
    from benchmarks._few_labels.store import Row
    from benchmarks._few_labels.tables import sections
    from benchmarks.accuracy import store
    from benchmarks.accuracy.tables import update

    found = sections(store.read(args.results or RESULTS, Row))
    for name, text in found.items():
        _say(f"{name}\n{text}\n")
    update(PAGE, found)


def main(argv: Sequence[str] | None = None) -> int:
    """Run; 1 after a training that failed, 2 after a mistake of the user's, 130 after an interruption."""
    from mmdist.apis.comparison.process import StageFailed
    from mmdist.cli.report import INTERRUPTED, run_reported
    from mmdist.engine.command import AGAIN, typed

    argv = list(sys.argv[1:] if argv is None else argv)
    args = build_parser().parse_args(argv)
    # as an interrupt, so that the trainings that are at work end too
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        status = run_reported(lambda: (run if args.command == "run" else write_tables)(args))
    except StageFailed as failure:
        print("\n".join(failure.tail), file=sys.stderr)
        print(f"error: {failure}; all that it wrote: {failure.log}", file=sys.stderr)
        return 1
    if status == INTERRUPTED and args.command == "run" and not args.again:
        command = os.environ.get(AGAIN) or shlex.join(typed(argv, [sys.executable, "-m", "benchmarks.few_labels"]))
        print(f"what is finished is kept; go on from here with: {command}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())

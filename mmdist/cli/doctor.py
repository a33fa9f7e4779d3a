"""``mmdist doctor``: can what is installed here work, and which fixes are in force? With a config: can that work?"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

from mmdist import compat
from mmdist.compat import import_trials
from mmdist.compat.fix import FixStatus
from mmdist.compat.import_trials import Trial
from mmdist.compat.verdicts import OPERATORS, Verdict, judge, judge_import, judge_python
from mmdist.compat.versions import TABLE

DESCRIPTION = """\
Without CONFIG: say which packages are installed, which are supported, and what to do.
With CONFIG: look at a distillation before its long training, in minutes. Do teacher and student have their weights,
does the teacher see these images and classes as it learnt them, how hard does each loss pull, does the student move,
where does the time of an iteration go? Nothing is written."""

LIBRARIES = ("mmdet", "mmseg", "mmpretrain", "mmrazor")


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Run the command.

    Args:
        argv (Sequence[str], optional): Arguments; those of the process by default.
        prog (str, optional): How the command was called, for the usage line.

    Returns:
        int: 0; 1 if something installed, or something in the config, cannot work; 2 for a mistake of the user's; 130
        after an interruption.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv:
        return run()
    args = build_parser(prog).parse_args(argv)
    if find_spec("mmengine") is None:
        print("error: a config needs mmengine, which is not installed: see mmdist doctor", file=sys.stderr)
        return 2
    if args.config is None:
        print("error: these options go with a config: mmdist doctor CONFIG ...", file=sys.stderr)
        return 2
    return _diagnose(args)


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    """The options of a diagnosis."""
    style = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog=prog, description=DESCRIPTION, formatter_class=style)
    parser.add_argument("config", nargs="?", metavar="CONFIG", help="a distillation config, a plain one, or pkg::path")
    parser.add_argument("--teacher-ckpt", metavar="CKPT", help="weights of the teacher (model.teacher_ckpt)")
    parser.add_argument("--student-ckpt", metavar="CKPT", help="weights that the student starts from")
    parser.add_argument(
        "--images",
        type=int,
        default=32,
        metavar="N",
        help="validation images that teacher and student predict, spread over the data; 0: none (default: 32)",
    )
    parser.add_argument(
        "--iterations",
        type=int,
        default=4,
        metavar="N",
        help="training batches that losses, gradients and times are taken of (default: 4)",
    )
    action: Any = "store"
    if find_spec("mmengine") is not None:  # which may be what is missing
        from mmdist.cli.options import KeyValueAction

        action = KeyValueAction
    parser.add_argument("--cfg-options", nargs="+", action=action, metavar="KEY=VALUE", help="as in mmdist train")
    return parser


def _diagnose(args: argparse.Namespace) -> int:
    from mmdist.cli.report import run_reported

    serious = []

    def command() -> None:
        from mmdist.apis import doctor

        with redirect_stdout(sys.stderr):  # of what libraries print meanwhile
            found = doctor(
                args.config,
                args.teacher_ckpt,
                args.student_ckpt,
                images=args.images,
                iterations=args.iterations,
                cfg_options=args.cfg_options,
                say=lambda line: print(f"{line} ...", file=sys.stderr, flush=True),
            )
        print(found)
        serious.append(found.serious)

    return run_reported(command) or int(any(serious))


def run() -> int:
    """Import what is installed, and print the table of packages and the table of fixes.

    Returns:
        int: 1 if something installed here cannot work, else 0.
    """
    verdicts = [judge_python(), *(judge(row) for row in TABLE)]
    trials = _try_imports()
    verdicts += map(judge_import, trials)
    print(_table(("package", "installed", "supported", "verdict"), [_cells(verdict) for verdict in verdicts]))
    print()
    print(_table(("", "fix", "state", "why"), [_fix_cells(fix) for fix in _fixes(trials)]))
    print()
    print(f"relation losses on the CPU: {_kernels()}")
    print(f"relation losses on a GPU: {_gpu_kernels()}")
    for note in dict.fromkeys(note for trial in trials for note in trial.notes):
        print(f"note: {note}")
    problems = [verdict for verdict in verdicts if verdict.problem]
    for verdict in problems:
        print(f"error: {verdict.problem}\n       {verdict.remedy}")
    if not problems:
        print("Everything that is installed works together.")
    return 1 if problems else 0


def _try_imports() -> list[Trial]:
    modules = [name for name in LIBRARIES if _installed(name)]
    if _installed("mmcv"):
        modules.insert(0, OPERATORS)
    if not modules:
        return []
    print(f"importing {', '.join(modules)}, each in a process of its own ...", file=sys.stderr, flush=True)
    return import_trials.run(modules)


def _installed(module: str) -> bool:
    # A module that was made by hand and has no spec makes find_spec raise.
    try:
        return find_spec(module) is not None
    except ValueError:
        return True


def _fixes(trials: Iterable[Trial]) -> list[FixStatus]:
    """The fixes as they are once the libraries are imported."""
    found = [trial.fixes for trial in trials if not trial.module]
    return [
        replace(
            fix,
            needed=fix.needed and all(fix.number in fixes for fixes in found),
            active=fix.active or any(fixes.get(fix.number, False) for fixes in found),
        )
        for fix in compat.status()
    ]


def _kernels() -> str:
    if find_spec("torch") is None:
        return "-"
    from mmdist.functional import _cpu_build

    reason = _cpu_build.kernels().reason
    return f"PyTorch operations, slower, same results ({reason})" if reason else "C kernels"


def _gpu_kernels() -> str:
    if find_spec("torch") is None:
        return "-"
    from mmdist.functional import _triton_check

    return _triton_check.describe()


def _cells(verdict: Verdict) -> tuple[str, ...]:
    return verdict.package, verdict.installed, verdict.window, verdict.text


def _fix_cells(fix: FixStatus) -> tuple[str, ...]:
    if not fix.needed:
        return str(fix.number), fix.name, "not needed", f"only with {fix.window}"
    state = "active" if fix.active else "when used"
    return str(fix.number), fix.name, state, fix.reason if fix.active else f"{fix.when}: {fix.reason}"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [tuple(header), *(tuple(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    lines.insert(1, tuple("-" * width for width in widths))
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines)

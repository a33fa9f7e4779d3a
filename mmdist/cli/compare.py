"""``mmdist compare``."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from typing import Any

from mmdist.cli.options import KeyValueAction, add_image_options
from mmdist.cli.report import INTERRUPTED, run_reported
from mmdist.engine.command import AGAIN, mmdist_command, typed
from mmdist.errors import ConfigError


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Did it help? Train a student by itself and under a teacher, with tuned learning rates, seeds and "
        "equal time, and report the differences. Interrupted and called again, it goes on where it was.",
    )
    parser.add_argument("student", nargs="?", metavar="STUDENT", help="config of the student by itself, or pkg::path")
    parser.add_argument("--plan-file", metavar="FILE", help="a Python file that says all of this, and more")
    parser.add_argument("--teacher", metavar="CONFIG", help="config of the teacher")
    parser.add_argument("--teacher-ckpt", metavar="CKPT", help="its weights; without them it is trained first")
    parser.add_argument("--methods", nargs="+", default=[], metavar="NAME", help="methods of `mmdist new`")
    parser.add_argument("--arms", nargs="+", action=KeyValueAction, metavar="NAME=CONFIG", help="configs of your own")
    parser.add_argument("--seeds", type=int, nargs="+", default=[3], metavar="N", help="how many (3), or which")
    parser.add_argument("--equal", default="both", metavar="iterations|time|both", help="default: %(default)s")
    parser.add_argument(
        "--search-lr", default="all", metavar="all|plain|none", help="whose learning rate is searched (%(default)s)"
    )
    parser.add_argument("--metric", metavar="KEY", help="what is compared, as the log has it")
    add_image_options(parser)
    parser.add_argument("--workers", type=int, metavar="N", help="trainings at a time (one a GPU, or one)")
    parser.add_argument("--submit", metavar="slurm", help="trainings are jobs of slurm's, and a job after them goes on")
    parser.add_argument("--sbatch", nargs="+", default=[], metavar="NAME=VALUE", help="options of these jobs")
    parser.add_argument("--work-dir", metavar="DIR", help="default: work_dirs/compare_STUDENT")
    parser.add_argument("--plan", action="store_true", help="print what would be trained, and how long it takes")
    parser.add_argument(
        "--cfg-options", nargs="+", action=KeyValueAction, metavar="KEY=VALUE", help="settings of all trainings"
    )
    return parser


def arguments(args: argparse.Namespace) -> dict[str, Any]:
    """What :func:`mmdist.apis.compare` takes, from what was typed.

    Raises:
        ConfigError: An arm that is no config's name.
    """
    arms = dict(args.arms or {})
    for name, config in arms.items():
        if not isinstance(config, str):
            raise ConfigError("--arms", f"{name}={config}", "NAME=CONFIG")
    return dict(
        student=args.student,
        teacher=args.teacher,
        teacher_ckpt=args.teacher_ckpt,
        methods=args.methods,
        arms=arms,
        seeds=args.seeds[0] if len(args.seeds) == 1 else args.seeds,
        equal=args.equal,
        search_lr=args.search_lr,
        metric=args.metric,
        unlabeled=args.unlabeled,
        unlabeled_per_batch=args.unlabeled_per_batch,
        labels=args.labels,
        cfg_options=args.cfg_options,
        plan_file=args.plan_file,
        workers=args.workers,
        work_dir=args.work_dir,
        submit=args.submit,
        sbatch=args.sbatch,
        plan_only=args.plan,
    )


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Run the command.

    Args:
        argv (Sequence[str], optional): Arguments; those of the process by default.
        prog (str, optional): How the command was called, for the usage line.

    Returns:
        int: 0, 2 after a mistake of the user's, 130 after an interruption; 1 where trainings failed.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    args = build_parser(prog).parse_args(argv)
    command = os.environ.get(AGAIN) or shlex.join(typed(argv, [*mmdist_command(), "compare"]))
    # as an interrupt, so that the trainings that are at work end too
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    failed: list[str] = []
    status = run_reported(lambda: failed.extend(_run(args, command)))
    if status == INTERRUPTED:
        print(f"what is finished is kept; go on from here with: {command}", file=sys.stderr)
    return status or int(bool(failed))


def _run(args: argparse.Namespace, command: str) -> list[str]:
    from mmdist.apis import compare
    from mmdist.apis.comparison.report import terminal_summary

    done = compare(**arguments(args), command=command)
    if done is None:
        return []
    print(f"\n{terminal_summary(done.rows, done.setting)}\n", flush=True)
    print("\n".join(str(path) for path in done.report if path.suffix in (".md", ".html")), flush=True)
    return [row.failed for row in done.rows if row.failed]

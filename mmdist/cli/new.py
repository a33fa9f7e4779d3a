"""``mmdist new``: a distillation config for a student and a teacher of the user's own."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from mmdist.cli.options import add_image_options
from mmdist.cli.report import run_reported
from mmdist.engine.command import mmdist_command

if TYPE_CHECKING:
    from mmdist.engine.new import Written


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    """The arguments of the command."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Write a config that distils a teacher into a student: both are built and run once to find what is "
        "compared, and the config trains one iteration on random pictures before the file gets its name.",
    )
    what = "config file of the {}, or pkg::path for one that an installed package brings"
    parser.add_argument("--student", required=True, metavar="CONFIG", help=what.format("student"))
    parser.add_argument("--teacher", required=True, metavar="CONFIG", help=what.format("teacher"))
    parser.add_argument(
        "--method",
        required=True,
        help="kd, dkd, nkd, dist, distplus, rdd, rdd-dist, sdd, dckd, cwd (segmenters), pkd (detectors), mimic; with "
        "--unlabeled also pseudo, pseudo-kd and pseudo-dist",
    )
    parser.add_argument("-o", "--out", required=True, metavar="OUT", help="config file to write")
    parser.add_argument("--teacher-ckpt", metavar="CKPT", help="weights of the teacher; file or URL")
    parser.add_argument("--student-ckpt", metavar="CKPT", help="weights that the student starts from; file or URL")
    add_image_options(parser)
    parser.add_argument(
        "--input-size",
        nargs=2,
        type=int,
        metavar=("H", "W"),
        help="height and width of the random pictures (default: those of training, halved while large)",
    )
    parser.add_argument("--force", action="store_true", help="replace OUT if it exists")
    return parser


def run(args: argparse.Namespace) -> None:
    """Write the config and say what was done."""
    from mmdist.engine.new import new_config

    written = new_config(
        args.student,
        args.teacher,
        args.method,
        args.out,
        teacher_ckpt=args.teacher_ckpt,
        student_ckpt=args.student_ckpt,
        unlabeled=args.unlabeled,
        unlabeled_per_batch=args.unlabeled_per_batch,
        labels=args.labels,
        size=tuple(args.input_size) if args.input_size else None,
        force=args.force,
    )
    print("\n".join(lines(written)))


def lines(written: Written) -> Iterator[str]:
    """What the command prints.

    Args:
        written (Written): What was done.

    Yields:
        str: A line.
    """
    yield from findings(written)
    missing = "" if written.has_weights else " --teacher-ckpt CKPT"
    yield f"train: {shlex.join([*mmdist_command(), 'train', str(written.out)])}{missing}"
    if missing:
        yield "note: the teacher's checkpoint is missing, and training needs it (model.teacher_ckpt of the config)"


def findings(written: Written) -> Iterator[str]:
    """What was written and found, line by line."""
    yield f"{written.out}: {written.title}"
    yield f"pair: {written.pair}"
    for line in written.compared:
        yield f"compared: {line}"
    for note in written.notes:
        yield f"note: {note}"
    losses = ", ".join(
        f"{name} {value:.4g}" for name, value in written.losses.items() if name.startswith(("distill.", "pseudo."))
    )
    yield f"checked: one iteration on random pictures, random weights where no file was given; {losses}"


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Run the command; see :func:`mmdist.cli.train.main`."""
    args = build_parser(prog).parse_args(argv)
    return run_reported(lambda: run(args))

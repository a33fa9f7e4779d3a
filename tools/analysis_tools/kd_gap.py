"""What a student has not learnt from its teacher, and whether its two losses pull together. `--help` has options."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

try:
    from mmdist.cli.options import KeyValueAction
    from mmdist.cli.report import run_reported
    from mmdist.engine.gap import GapOptions, gap_report
    from mmdist.engine.gap.checks import SPLITS
    from mmdist.engine.threads import use_threads
except ModuleNotFoundError as error:
    sys.exit(f"error: {error.name} is not installed; in mmdist's folder: {sys.executable} -m pip install -e .")


def build_parser() -> argparse.ArgumentParser:
    """The script's arguments."""
    usual = GapOptions("", "")
    parser = argparse.ArgumentParser(
        description="Compare the student of a distillation run with its teacher on the validation data: agreement, gap "
        "of each class, edges or sizes, calibration, and the gradients of distillation and task losses. Writes "
        "report.md, figures and gap.json."
    )
    parser.add_argument("config", help="distillation config, or pkg::path for one that an installed package brings")
    parser.add_argument("checkpoint", help="what its training wrote, or the student's weights alone")
    parser.add_argument(
        "--teacher-ckpt", metavar="CKPT", help="weights of the teacher (model.teacher_ckpt of the config)"
    )
    parser.add_argument("--out", metavar="DIR", help="folder to write to (default: gap in the work dir of the config)")
    parser.add_argument("--batches", type=int, metavar="N", help="look at N batches alone (default: all)")
    parser.add_argument(
        "--gradient-batches",
        type=int,
        default=usual.gradient_batches,
        metavar="N",
        help="training batches that the gradients are taken of; 0: none (default: %(default)s)",
    )
    parser.add_argument("--split", choices=SPLITS, default=usual.split, help="whose pictures (default: %(default)s)")
    parser.add_argument(
        "--score-thr",
        type=float,
        default=usual.score_threshold,
        metavar="S",
        help="detectors: score from which a detection counts (default: %(default)s)",
    )
    parser.add_argument(
        "--boundary",
        type=int,
        default=usual.boundary,
        metavar="PIXELS",
        help="segmenters: width of the zone beside the edges of labels (default: %(default)s)",
    )
    parser.add_argument(
        "--cfg-options", nargs="+", action=KeyValueAction, metavar="KEY=VALUE", help="override settings of the config"
    )
    return parser


def run(args: argparse.Namespace) -> None:
    """Measure, write, and print the short form."""
    asked = GapOptions(
        config=args.config,
        checkpoint=args.checkpoint,
        teacher=args.teacher_ckpt,
        out=args.out,
        batches=args.batches,
        gradient_batches=args.gradient_batches,
        split=args.split,
        score_threshold=args.score_thr,
        boundary=args.boundary,
        options=args.cfg_options,
    )
    use_threads(workers=0)
    report, files = gap_report(asked)
    print(report.markdown(short=True))
    print(f"written: {', '.join(str(file) for file in files)}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script; its exit code is 2 after a mistake of the user's."""
    args = build_parser().parse_args(argv)
    return run_reported(lambda: run(args))


if __name__ == "__main__":
    sys.exit(main())

"""One training step: ``mmdist.SingleTeacherDistill`` beside MMRazor's class, and with a method beside without it.

    python benchmarks/step.py [--case pspnet-logits] [--json results.json] [--markdown table.md]
    python benchmarks/step.py --weighting

All contenders of a case get the same weights and the same batches, and take turns step by step: median step time,
median of the paired ratios to the last contender, which is the reference. The parts of a step are timed in steps of
their own, so that the whole is not disturbed. Peak memory is what two steps allocate beyond weights and optimizer
state. The cases of both classes also compare the losses; exit code 1: they differ by more than 1e-5. As rounding grows
from step to step, both get the same weights again in every tenth.

``--weighting`` measures RDD's weighting of two pictures of 512x1024 alone.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from _step import weighting
from _step.cases import CASES
from _step.measuring import COLUMNS, measure
from mmengine.logging import MMLogger

from mmdist.errors import MissingPackageError

TOLERANCE = 1e-5


def table(lines: list[dict[str, Any]]) -> str:
    """The lines as a Markdown table."""
    rows = [
        f"| case | class | step, ms | x reference | {' | '.join(COLUMNS)} | peak, MiB | in optimizer, M | state, MB "
        "| student's, MB | losses differ by |",
        "|---|---|" + "--:|" * (len(COLUMNS) + 7),
    ]
    for line in lines:
        parts = " | ".join(f"{line['parts_ms'][name]:.1f}" for name in COLUMNS)
        differ = "" if line["loss_difference"] is None else f"{line['loss_difference']:.1e}"
        rows.append(
            f"| {line['case']} | {line['class']} | {line['ms']:.1f} | {line['ratio']:.2f} | {parts} "
            f"| {line['peak_mib']:.0f} | {line['optimizer_parameters'] / 1e6:.2f} | {line['state_mb']:.1f} "
            f"| {line['student_state_mb']:.1f} | {differ} |"
        )
    return "\n".join(rows)


def summary(lines: list[dict[str, Any]]) -> str:
    """What one case's ratios are, and what they should be."""
    *contenders, reference = lines
    most = CASES[reference["case"]].most
    wanted = f", wanted: at most {most}" if most else ""
    return "\n".join(
        f"{line['case']}: {line['class']} takes {line['ms']:.1f} ms a step, {line['ratio']:.3f} times "
        f"{reference['class']}{wanted}"
        for line in contenders
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, measure, print; 1 if losses differ that should be the same."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--case", action="append", choices=list(CASES), help="only this one; may be repeated")
    parser.add_argument("--weighting", action="store_true", help="RDD's weighting alone, and no case")
    parser.add_argument("--repeats", type=int, default=15, help="timed steps of each contender (default: 15)")
    parser.add_argument("--quick", action="store_true", help="tiny models, to see that it runs")
    parser.add_argument("--json", type=Path, help="write the results here")
    parser.add_argument("--markdown", type=Path, help="write the table here")
    args = parser.parse_args(argv)
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: no CUDA device is available here")
    if args.repeats < 1:
        parser.error(f"--repeats {args.repeats}: expected a number above 0")
    if args.weighting and args.case:
        parser.error("--weighting and --case: expected one of the two")
    lines = weighting.measure(args.device, args.repeats, args.quick) if args.weighting else []
    for key in [] if args.weighting else dict.fromkeys(args.case or CASES):
        try:
            found = measure(key, args.device, args.repeats, args.quick)
        except MissingPackageError as error:
            parser.error(f"--case {key}: {error}")
        print(summary(found), flush=True)
        lines += found
    markdown = weighting.table(lines) if args.weighting else table(lines)
    print(markdown)
    device = torch.cuda.get_device_name() if args.device == "cuda" else platform.processor() or platform.machine()
    setting = dict(torch=torch.__version__, device=device, threads=torch.get_num_threads(), repeats=args.repeats)
    print(", ".join(f"{key} {value}" for key, value in setting.items()))
    if args.json:
        args.json.write_text(json.dumps({"setting": setting, "results": lines}, indent=1) + "\n")
    if args.markdown:
        args.markdown.write_text(markdown + "\n")
    found = {line["case"]: line["loss_difference"] for line in lines if line.get("loss_difference") is not None}
    differing = {key: largest for key, largest in found.items() if largest > TOLERANCE}
    for key, largest in differing.items():
        print(f"{key}: the losses of the two classes differ by {largest:.1e}, more than {TOLERANCE}", file=sys.stderr)
    return 1 if differing else 0


if __name__ == "__main__":
    MMLogger.get_instance("step", log_level="WARNING")  # not a line for each weight that is initialised
    sys.exit(main())

"""``mmdist export`` and ``tools/model_converters/export_student.py``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from mmdist.cli.report import run_reported
from mmdist.errors import LONGEST_MESSAGE, printable

if TYPE_CHECKING:
    from mmdist.engine.export import Report

# How each library loads a config and a checkpoint.
LOADERS = {
    "mmdet": "mmdet.apis.init_detector(CONFIG, {!r})",
    "mmseg": "mmseg.apis.init_model(CONFIG, {!r})",
    "mmpretrain": "mmpretrain.ImageClassificationInferencer(CONFIG, pretrained={!r})",
}


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    """The arguments of the command."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Write the student of a distillation run into a file of its own, which its plain config loads.",
    )
    parser.add_argument("checkpoint", metavar="CKPT", help="checkpoint of a distillation run")
    parser.add_argument("out", metavar="OUT", help="file to write: .pth for OpenMMLab's tools, or .safetensors")
    parser.add_argument(
        "--config",
        metavar="CONFIG",
        help="config of the run, or the plain one of its student: builds the student to verify the file",
    )
    parser.add_argument(
        "--trust-config",
        action="store_true",
        help="build the student from the config in the checkpoint; only where you trust whoever made it (default: "
        "nothing that a checkpoint says is built)",
    )
    parser.add_argument(
        "--ema",
        action=argparse.BooleanOptionalAction,
        help="the average that EMAHook keeps, or the weights under training (default: the average if there is one)",
    )
    parser.add_argument(
        "--verify",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="read the file back and compare it bit for bit with the run, and with a config the outputs of the student "
        "too, before the file gets its name (default: yes)",
    )
    return parser


def run(args: argparse.Namespace) -> None:
    """Export and say what was done."""
    from mmdist.engine.export import export_student

    report = export_student(
        args.checkpoint,
        args.out,
        config=args.config,
        ema=args.ema,
        verify=args.verify,
        trust_config=args.trust_config,
    )
    # Names in a file can be long, and hold what moves the cursor or begins a line.
    print("\n".join(printable(line, LONGEST_MESSAGE) for line in lines(report)))


def lines(report: Report) -> Iterator[str]:
    """What the command prints.

    Args:
        report (Report): What was done.

    Yields:
        str: A line.
    """
    meta = report.meta
    count = f"{report.numbers:,} numbers" if report.parameters is None else f"{report.parameters:,} parameters"
    yield f"{report.out}: {count}, {report.tensors} tensors"
    yield f"size: {_megabytes(report.bytes_after)} MB; the checkpoint: {_megabytes(report.bytes_before)} MB"
    which = {"ema": "the moving average (EMA)", "trained": "as trained"}[meta["weights"]]
    when = "".join(f", {name} {meta[name]}" for name in ("epoch", "iter") if name in meta)
    classes = meta.get("dataset_meta", {}).get("classes")
    named = len(classes) if isinstance(classes, list | tuple) and classes else "not named in the checkpoint"
    yield f"weights: {which}{when}; classes: {named}"
    other = {"ema": "the trained weights", "trained": "the moving average"}[meta["weights"]]
    dropped = [f"{printable(name)} ({count} tensors)" for name, count in sorted(report.dropped.items())]
    dropped += [*map(printable, report.left_out), *([other] if report.averaged else [])]
    yield f"dropped: {', '.join(dropped) or 'nothing'}"
    yield f"verified: {'; '.join(_verified(report))}"
    if report.out.suffix == ".safetensors":
        loaded = f"; without mmdist: model.load_state_dict(safetensors.torch.load_file({str(report.out)!r}))"
    else:
        loader = LOADERS.get(report.library)
        loaded = f", or {loader.format(str(report.out))}" if loader else ""
    yield f"use, with the plain config of the student: python tools/test.py CONFIG {report.out}{loaded}"


def _verified(report: Report) -> Iterator[str]:
    yield report.verified or "no"
    source = {"": "no model was built", "--trust-config": "built from the config in the checkpoint (--trust-config)"}
    yield source.get(report.built_from, f"built from {report.built_from}")
    if report.verified and not report.built_from:
        yield "--config CONFIG compares outputs as well"
    yield f"the checkpoint is whole by its {report.checksum}" if report.checksum else "the checkpoint has no checksum"


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.2f}" if count < 1e7 else f"{count / 1e6:.1f}"


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Run the command; see :func:`mmdist.cli.train.main`."""
    args = build_parser(prog).parse_args(argv)
    return run_reported(lambda: run(args))

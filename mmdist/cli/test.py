"""``mmdist test`` and ``tools/test.py``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from mmengine.config import Config

from mmdist.cli.options import add_run_options
from mmdist.cli.report import run_reported
from mmdist.compat.local_rank import export_local_rank
from mmdist.engine import overrides, testing
from mmdist.engine.config import load_config
from mmdist.engine.cpu import adapt_to_cpu
from mmdist.engine.launch import end_launch, prepare_launch
from mmdist.engine.threads import use_threads, workers_of

OUT_HELP = """\
keep results: FILE.pkl takes the predictions (as MMDetection and MMPretrain), any other name is a folder that takes
the predicted label maps (as MMSegmentation, whose configs alone can do that); with --out-item metrics, FILE.json,
FILE.yaml or FILE.pkl takes the metrics"""


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    """The union of the flags of the task libraries' ``tools/test.py``."""
    parser = argparse.ArgumentParser(prog=prog, description="Evaluate a model on the test data of its config.")
    parser.add_argument("config", help="config file, or pkg::path for one that an installed package brings")
    parser.add_argument("checkpoint", help="weights; `none` for those that the config itself loads")
    parser.add_argument("--out", metavar="PATH", help=OUT_HELP)
    parser.add_argument("--out-item", choices=["metrics", "pred"], help="what --out keeps (default: pred)")
    parser.add_argument("--show", action="store_true", help="show the predictions in a window")
    parser.add_argument(
        "--show-dir", metavar="DIR", help="folder for painted predictions (MMDetection puts it below the log folder)"
    )
    parser.add_argument("--wait-time", type=float, default=2, metavar="SEC", help="how long --show shows an image")
    parser.add_argument("--interval", type=int, default=None, metavar="N", help="show or save every N-th image only")
    parser.add_argument(
        "--tta", action="store_true", help="test time augmentation (tta_model, tta_pipeline; else flip)"
    )
    parser.add_argument("--amp", action="store_true", help="evaluate in mixed precision")
    parser.add_argument("--no-pin-memory", action="store_true", help="switch pin_memory off in the dataloaders")
    add_run_options(parser)
    return parser


def configure(args: argparse.Namespace) -> Config:
    """The config as it will run, short of ``--tta`` and the weights; see :func:`mmdist.cli.train.configure`."""
    cfg = load_config(args.config)
    overrides.merge_options(cfg, args.cfg_options)
    cfg.launcher = args.launcher
    overrides.set_work_dir(cfg, args.work_dir, args.config)
    overrides.set_loader_options(cfg, pin_memory=not args.no_pin_memory)
    cfg.resume, cfg.load_from = False, None
    testing.drop_teacher_weights(cfg)
    if args.show or args.show_dir:
        testing.enable_visualization(
            cfg, show=args.show, show_dir=args.show_dir, wait_time=args.wait_time, interval=args.interval
        )
    if args.amp:
        testing.enable_amp(cfg)
    testing.check_output(cfg, args.out, args.out_item)
    return cfg


def run(args: argparse.Namespace) -> None:
    """Test."""
    export_local_rank(args)
    cfg = configure(args)
    # These bring mmengine's runner: seconds that a misspelt path need not wait for.
    from mmdist.engine.preflight import preflight
    from mmdist.engine.preflight.checkpoints import check_checkpoint

    if args.checkpoint != "none":
        content = check_checkpoint(args.checkpoint, "checkpoint")
        if content is not None:
            testing.fit_model(cfg, content, args.checkpoint)
    preflight(cfg, ("test",))
    cfg.load_from = None if args.checkpoint == "none" else args.checkpoint
    if args.tta:
        testing.enable_tta(cfg)
    adapt_to_cpu(cfg)
    prepare_launch(cfg)
    use_threads(workers_of(cfg.get("test_dataloader")))
    from mmdist.engine.runner import build_runner, explained

    testing.keep_label_maps(cfg, args.out, args.out_item)
    runner = build_runner(cfg)
    testing.keep_predictions(runner, args.out, args.out_item)
    with explained(cfg):
        metrics = runner.test()
    testing.write_metrics(metrics, args.out, args.out_item)
    end_launch()


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Run the command; see :func:`mmdist.cli.train.main`."""
    args = build_parser(prog).parse_args(argv)
    return run_reported(lambda: run(args))

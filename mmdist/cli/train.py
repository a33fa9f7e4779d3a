"""``mmdist train`` and ``tools/train.py``."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config

from mmdist.cli.options import add_image_options, add_run_options
from mmdist.cli.report import run_reported
from mmdist.compat.local_rank import export_local_rank
from mmdist.engine import overrides
from mmdist.engine.command import how_to_go_on, mmdist_command, typed
from mmdist.engine.config import load_config
from mmdist.engine.cpu import adapt_to_cpu
from mmdist.engine.launch import end_launch, prepare_launch
from mmdist.engine.threads import use_threads, workers_of
from mmdist.engine.weights import set_student_checkpoint, set_teacher_checkpoint
from mmdist.errors import ConfigError, MMDistError

WITH_TEACHER = ("method", "unlabeled", "unlabeled_per_batch", "labels")  # what a distillation config is written from


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    """The union of the flags of MMDetection's, MMSegmentation's, MMPretrain's and MMRazor's ``tools/train.py``."""
    parser = argparse.ArgumentParser(prog=prog, description="Train a model: a plain one, or a student under a teacher.")
    parser.add_argument(
        "config",
        help="config file, or pkg::path for one that an installed package brings; with --teacher the student's",
    )
    parser.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        metavar="CKPT",
        help="go on from this checkpoint; without a value from the latest one in the work dir, if there is one",
    )
    parser.add_argument(
        "--teacher",
        metavar="CONFIG",
        help="config of a teacher: a distillation config for it and for the student's plain config is written into the "
        "work dir, and trained",
    )
    parser.add_argument(
        "--method", metavar="NAME", help="with --teacher: what is written (default: dist); see `mmdist new`"
    )
    add_image_options(parser)
    parser.add_argument(
        "--teacher-ckpt", metavar="CKPT", help="weights of the teacher (model.teacher_ckpt); file or URL"
    )
    parser.add_argument(
        "--student-ckpt", metavar="CKPT", help="weights that the student, or a model without teacher, starts from"
    )
    parser.add_argument("--amp", action="store_true", help="train in mixed precision")
    parser.add_argument("--no-validate", action="store_true", help="do not evaluate during training")
    parser.add_argument(
        "--auto-scale-lr", action="store_true", help="scale the learning rate with the batch size (auto_scale_lr)"
    )
    parser.add_argument("--no-pin-memory", action="store_true", help="switch pin_memory off in the dataloaders")
    parser.add_argument(
        "--no-persistent-workers", action="store_true", help="switch persistent_workers off in the dataloaders"
    )
    add_run_options(parser)
    return parser


def configure(args: argparse.Namespace) -> Config:
    """The config as it will run.

    Args:
        args (argparse.Namespace): Of :func:`build_parser`.

    Returns:
        Config: With everything that the command line changes. Nothing is built and nothing written.

    Raises:
        MMDistError: A file that cannot be read, or arguments that do not go with the config.
    """
    if not args.teacher:
        for name in WITH_TEACHER:
            _refuse_without_teacher(name, getattr(args, name))
    config = distillation(args) if args.teacher else args.config
    cfg = load_config(config)
    if args.teacher:
        cfg = overrides.keep_written(cfg)
    overrides.merge_options(cfg, args.cfg_options)
    cfg.launcher = args.launcher
    overrides.set_work_dir(cfg, args.work_dir, config)
    if args.no_validate:
        overrides.disable_validation(cfg)
    if args.amp:
        overrides.enable_amp(cfg)
    if args.auto_scale_lr:
        overrides.enable_auto_scale_lr(cfg)
    overrides.set_resume(cfg, args.resume)
    overrides.set_loader_options(
        cfg, pin_memory=not args.no_pin_memory, persistent_workers=not args.no_persistent_workers
    )
    if args.teacher:
        return cfg  # which names the weights
    if args.teacher_ckpt:
        set_teacher_checkpoint(cfg, args.teacher_ckpt)
    if args.student_ckpt:
        set_student_checkpoint(cfg, args.student_ckpt)
    return cfg


def _refuse_without_teacher(name: str, value: object) -> None:
    if value is not None:
        option = f"--{name.replace('_', '-')}"
        hint = "it goes with --teacher CONFIG, the teacher's config"
        if name != "method":
            hint += "; a distillation config has it in `train_dataloader`"
        raise ConfigError(option, value, hint=hint)


def distillation(args: argparse.Namespace) -> str:
    """Write the config of a student under a teacher into the work dir, and say what was done.

    Args:
        args (argparse.Namespace): With ``teacher``.

    Returns:
        str: The config.

    Raises:
        MMDistError: A pair that the method does not suit, or arguments that do not go together.
    """
    from mmdist.cli.new import findings
    from mmdist.engine.new.images import images_of_options
    from mmdist.engine.new.work_dir import Asked, config_in_work_dir, default_method

    images = images_of_options(args.unlabeled, args.unlabeled_per_batch, args.labels)
    random = (args.cfg_options or {}).get("model.random_teacher") is True
    asked = Asked(
        args.config,
        args.teacher,
        args.method or default_method(images),
        args.teacher_ckpt,
        args.student_ckpt,
        args.work_dir,
        random,
        images,
    )
    path, written = config_in_work_dir(asked, args.launcher, resume=bool(args.resume))
    if written is not None:
        print("\n".join(findings(written)), flush=True)
    return str(path)


def run(args: argparse.Namespace, command: Sequence[str] | None = None) -> None:
    """Train.

    Args:
        args (argparse.Namespace): Of :func:`build_parser`.
        command (Sequence[str], optional): What the user typed; this process's command line by default.

    Raises:
        KeyboardInterrupt: With a hint how to go on, where training had begun.
    """
    command = list(sys.orig_argv if command is None else command)
    export_local_rank(args)
    cfg = configure(args)
    # These bring mmengine's runner: seconds that a misspelt path need not wait for.
    from mmdist.engine.preflight import preflight
    from mmdist.engine.preflight.work_dir import check_work_dir

    check_work_dir(cfg)
    if cfg.get("resume"):
        from mmdist.engine.hooks.fallback import fall_back

        fall_back(cfg)
    preflight(cfg, ("train", "val") if cfg.get("val_cfg") is not None else ("train",))
    adapt_to_cpu(cfg)
    prepare_launch(cfg)
    use_threads(workers_of(cfg.get("train_dataloader")))
    from mmdist.engine.hooks import Preempted
    from mmdist.engine.runner import train

    before = _noted(cfg)
    try:
        train(cfg)
    except Preempted:
        end_launch()
        raise
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_after_interruption(cfg, before, command)) from None
    end_launch()


def _noted(cfg: Config) -> tuple[int, int] | None:
    """What changes whenever a checkpoint is saved."""
    try:
        note = (Path(cfg.work_dir) / "last_checkpoint").stat()
    except OSError:
        return None
    return note.st_ino, note.st_mtime_ns


def _after_interruption(cfg: Config, before: tuple[int, int] | None, command: Sequence[str]) -> str:
    """Where an interrupted training can go on from: this run's checkpoint, or what it had started from itself."""
    try:
        latest = overrides.latest_checkpoint(cfg)
    except MMDistError:
        latest = None
    there = latest is not None and latest.is_file()
    if _noted(cfg) != before and there:
        return how_to_go_on(cfg.launcher, command)
    if not cfg.get("resume") or not (cfg.get("load_from") or there):
        return "no checkpoint had been saved: nothing to go on from"
    again = shlex.join(command) if cfg.launcher == "none" else "the same command"
    return f"nothing new had been saved; go on from where it started with: {again}"


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Run the command.

    Args:
        argv (Sequence[str], optional): Arguments; those of the process by default.
        prog (str, optional): How the command was called, for the usage line.

    Returns:
        int: Exit code.

    Raises:
        SystemExit: With code 75, after a signal has ended the run early and a checkpoint has been saved.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    args = build_parser(prog).parse_args(argv)
    return run_reported(lambda: run(args, typed(argv, [*mmdist_command(), "train"])))

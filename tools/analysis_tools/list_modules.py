"""What can be recorded: modules of teacher and student, how often they run, what they return. `--help` has options."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

try:
    from mmdist.cli.options import KeyValueAction
    from mmdist.cli.report import run_reported
    from mmdist.engine.modules import MODES, list_modules
    from mmdist.engine.modules.listing import write_json
except ModuleNotFoundError as error:
    sys.exit(f"error: {error.name} is not installed; in mmdist's folder: {sys.executable} -m pip install -e .")


def build_parser() -> argparse.ArgumentParser:
    """The script's arguments."""
    parser = argparse.ArgumentParser(
        description="List the modules of a config's teacher and student, or plain model: how often each runs in one "
        "pass, the shapes that it returns, and their strides. The names are what a recorder takes as source."
    )
    parser.add_argument("config", help="config file, or pkg::path for one that an installed package brings")
    parser.add_argument("--filter", metavar="PATTERN", help="part of a name, or a pattern with * and ?")
    parser.add_argument("--depth", type=int, metavar="N", help="names of at most N parts")
    parser.add_argument(
        "--input-size", type=int, nargs=2, metavar=("H", "W"), help="random pictures of this size, instead of real data"
    )
    parser.add_argument("--batch-size", type=int, default=2, metavar="N", help="default: %(default)s")
    parser.add_argument("--mode", choices=MODES, help="default: loss on real data, tensor on random pictures")
    parser.add_argument(
        "--cfg-options", nargs="+", action=KeyValueAction, metavar="KEY=VALUE", help="override settings of the config"
    )
    parser.add_argument("--json", metavar="FILE", help="write it there, too")
    return parser


def run(args: argparse.Namespace) -> None:
    """List, print and write."""
    size = tuple(args.input_size) if args.input_size else None
    listing = list_modules(
        args.config,
        pattern=args.filter,
        depth=args.depth,
        size=size,
        batch_size=args.batch_size,
        mode=args.mode,
        options=args.cfg_options,
    )
    print(listing.text())
    if args.json:
        write_json(listing, args.json)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script; its exit code is 2 after a mistake of the user's."""
    args = build_parser().parse_args(argv)
    return run_reported(lambda: run(args))


if __name__ == "__main__":
    sys.exit(main())

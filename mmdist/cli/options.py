"""Arguments that the commands share."""

from __future__ import annotations

import argparse
from typing import Any

from mmengine.config import DictAction

from mmdist.compat.local_rank import add_local_rank_argument
from mmdist.engine.launch import LAUNCHERS


class KeyValueAction(DictAction):
    """mmengine's ``key=value`` arguments, with an answer to one that has no ``=``."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        for value in values or ():
            if "=" not in value or value.startswith("="):
                parser.error(f"{option}: {value!r} is not of the form key=value")
        super().__call__(parser, namespace, values, option)


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """What training and testing both take."""
    parser.add_argument("--work-dir", metavar="DIR", help="where logs and checkpoints go (default: work_dirs/CONFIG)")
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=KeyValueAction,
        metavar="KEY=VALUE",
        help='override settings of the config, such as model.backbone.depth=50; lists as key="[a,b]" or key=a,b, '
        'nested ones as key="[(a,b),(c,d)]", without spaces',
    )
    parser.add_argument("--launcher", choices=LAUNCHERS, default="none", help="what started the processes")
    add_local_rank_argument(parser)


def add_image_options(parser: argparse.ArgumentParser) -> None:
    """What a student learns from, of the commands that write a distillation config."""
    parser.add_argument(
        "--unlabeled",
        metavar="DIR",
        help="learn from images without labels too: a folder, or a text file with the path of an image in each line",
    )
    parser.add_argument(
        "--unlabeled-per-batch",
        type=int,
        metavar="N",
        help="how many of them are in a batch, beside the labelled ones (default: three for each labelled one)",
    )
    parser.add_argument("--labels", metavar="none", help="none: use no label, and learn from the teacher alone")

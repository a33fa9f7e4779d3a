"""RDD's weighting alone: what it allocates beyond the logits, and how long it takes."""

from __future__ import annotations

import functools
import statistics
from typing import Any

import torch
from torch import Tensor, nn

from _step.clocks import now, peak_bytes
from mmdist.models.weightings.answers import Answers
from mmdist.models.weightings.calls import LossCall
from mmdist.models.weightings.maps import Maps, Options
from mmdist.models.weightings.targets import PIXELS, Target

CLASSES = (19, 150)
SIZE = (512, 1024)
SAMPLES = 2
OPTIONS = Options("xor", 0.7, 100_000, None, "aux_main", True)
TARGET = Target("decode_head.loss_decode", "decode_head", "decode_head.forward", PIXELS, 255, main=True)


def measure(device: str, repeats: int, quick: bool) -> list[dict[str, Any]]:
    """Both stages, for each number of classes.

    Args:
        device (str): cpu or cuda.
        repeats (int): Timed calls.
        quick (bool): Small pictures.

    Returns:
        list[dict[str, Any]]: One line a stage; time in ms, memory in MiB.
    """
    loss, (height, width) = nn.CrossEntropyLoss(), (64, 128) if quick else SIZE
    lines = []
    for classes in CLASSES:
        generator = torch.Generator(device).manual_seed(0)
        draw = dict(generator=generator, device=device)
        main, auxiliary, student = (
            3 * torch.randn(SAMPLES, classes, height // scale, width // scale, **draw) for scale in (8, 8, 1)
        )
        label = torch.randint(0, classes, (SAMPLES, height, width), **draw)
        for stage, share in ((1, 1.0), (2, 0.0)):
            weigh = functools.partial(once, share, main, auxiliary, LossCall(loss, (student, label), {}))
            weigh()
            times = []
            for _ in range(repeats):
                begin = now(device)
                weigh()
                times.append(now(device) - begin)
            lines.append(
                {
                    "classes": classes,
                    "stage": stage,
                    "ms": 1000 * statistics.median(times),
                    "peak_mib": peak_bytes(weigh, device) / 2**20,
                    "logits_mib": student.numel() * student.element_size() / 2**20,
                }
            )
    return lines


def once(share: float, main: Tensor, auxiliary: Tensor, call: LossCall) -> None:
    """The weights of one call of the student's loss."""
    maps = Maps(OPTIONS, share, Answers({"main": [main], "aux": [auxiliary]}), ("main", "aux"))
    maps.weight(TARGET, "main", call)


def table(lines: list[dict[str, Any]]) -> str:
    """The lines as a Markdown table."""
    rows = ["| classes | stage | ms | peak, MiB | the student's logits, MiB |", "|--:|--:|--:|--:|--:|"]
    for line in lines:
        rows.append(
            f"| {line['classes']} | {line['stage']} | {line['ms']:.1f} | {line['peak_mib']:.1f} "
            f"| {line['logits_mib']:.1f} |"
        )
    return "\n".join(rows)

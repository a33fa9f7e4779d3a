"""Hostile and damaged checkpoints of runs, and a program that goes on from one."""

from __future__ import annotations

import copy
import functools
import io
import math
import random
import tempfile
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from helpers.toy_runner import toy

from mmdist.cli.report import run_reported

RUN: dict[str, Any] = dict(
    iters=5,
    seed=3,
    val_interval=2,
    checkpoint=dict(interval=2, by_epoch=False, max_keep_ckpts=1, save_best="score", rule="greater"),
)
OUTSIDE = "/proc/self/cwd/../outside"  # beside the work dir of whoever goes on, by an absolute path


class Raw:
    """Writes what a pickle can say but no object of Python's says itself."""

    def __init__(self, *parts: Any) -> None:
        self.parts = parts

    def __reduce__(self) -> tuple:
        return self.parts


def values(rng: random.Random) -> Any:
    """A value that no run writes at the place where it goes."""
    outside = f"{OUTSIDE}/thesis.txt"
    paths = [outside, "../outside/thesis.txt", "../../outside/thesis.txt", OUTSIDE, "/", "", "\0"]
    numbers = [-1, 0, 1, 3, 625, 700, -50, 2**30, 2**31, 2**32, 2**62, 2**63, 10**18, 10**400, -(10**30)]
    numbers += [0.5, -0.5, 1e308, math.inf, -math.inf, math.nan]
    code = f"open('{OUTSIDE}/ran', 'w')"
    cyclic: list[Any] = []
    cyclic.append(cyclic)
    nested: list[Any] = []
    for _ in range(90):
        nested = [nested]
    tensors = [torch.zeros(shape) for shape in ((), (0,), (3,), (2, 2))]
    tensors += [torch.zeros(624, dtype=torch.int64), torch.full((625,), 2**40), torch.zeros(5056, dtype=torch.uint8)]
    tensors += [torch.zeros(8, 4).to_sparse(), torch.zeros(8, 4, device="meta"), torch.full((8, 4), math.nan)]
    tensors += [torch.zeros(8, 4, dtype=torch.complex64), torch.zeros(8, 4, dtype=torch.bool)]
    tensors += [torch.zeros(1).expand(2**40), torch.randint(0, 256, (5056,), dtype=torch.uint8)]
    other = [None, True, False, "", "\x1b[2J", "a\nerror: forged", "x" * 10_000, b"bytes", code, [], {}, (), set()]
    other += [{"a": {"b": 1}}, [1, 2], ["../x"], [outside], cyclic, nested, {1: 2}, np.zeros(3), np.float64("nan")]
    other += [Raw(OrderedDict, ([("a", 1)],), {"items": 7, "_metadata": 3}), torch.Size([3]), torch.float32]
    return copy.copy(rng.choice(rng.choice([paths, numbers, tensors, other])))


def places(node: Any, way: tuple = ()) -> list[tuple]:
    """Ways to everything in nested dictionaries and lists."""
    found = [way] if way else []
    entries = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list | tuple) else ()
    for key, value in entries:
        found += places(value, (*way, key))
    if type(node).__name__ == "HistoryBuffer":
        found += [(*way, name) for name in vars(node)]
    return found


def change(content: dict[str, Any], rng: random.Random) -> None:
    """Change one place."""
    # The parts that say where the run was are small: every part is as likely.
    parts: dict[Any, list[tuple]] = {}
    for way in places(content):
        parts.setdefault(way[:2] if way[0] in ("message_hub", "mmdist", "meta") else way[:1], []).append(way)
    *way, last = rng.choice(parts[rng.choice(list(parts))])
    holders = [content]
    for key in way:
        holders.append(holders[-1][key])
    node, kind = holders[-1], rng.choice(["value"] * 4 + ["drop", "add"])
    if not isinstance(node, dict | list | tuple):
        setattr(node, last, values(rng))
        return
    mutable = list(node) if isinstance(node, tuple) else node
    if kind == "drop":
        del mutable[last]
    elif kind == "add" and isinstance(mutable, dict):
        mutable[rng.choice(["step", "params", "config", "best_ckpt", "__class__", "\x1b[2J", 7, "optimizer"])] = values(
            rng
        )
    else:
        mutable[last] = values(rng)
    if isinstance(node, tuple) and len(holders) > 1:
        holders[-2][way[-1]] = tuple(mutable)


@functools.cache
def write_run() -> bytes:
    """What a run has left after four of its five iterations; its best checkpoint is a file that is not this run's."""
    with tempfile.TemporaryDirectory() as folder:
        toy(Path(folder), **RUN | dict(iters=4)).train()
        content = torch.load(Path(folder, "iter_4.pth"), weights_only=False)
    content["message_hub"]["runtime_info"]["best_ckpt"] = f"{OUTSIDE}/thesis.txt"
    return saved(content)


def change_run(data: bytes, rng: random.Random) -> bytes:
    """Some of what the run remembers becomes something else."""
    whole = torch.load(io.BytesIO(data), weights_only=False)
    while True:
        content = copy.deepcopy(whole)
        try:
            for _ in range(rng.choice([1, 1, 1, 2, 4])):
                change(content, rng)
            return saved(content)
        except Exception:  # one that torch cannot write is none
            continue


def saved(content: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def prepare() -> None:
    """Go on from the whole file once, so that what a run imports on its way is there for all that come after."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "whole.pth")
        path.write_bytes(write_run())
        toy(Path(folder, "run"), **RUN, resume=True, load_from=str(path)).train()


def main(argv: Sequence[str]) -> int:
    """Go on from a file in the folder ``run``, as `mmdist train` does; the exit code."""
    (path,) = argv
    return run_reported(lambda: toy(Path("run"), **RUN, resume=True, load_from=path).train())

"""Hostile and damaged checkpoints of runs, and a program that goes on from them."""

from __future__ import annotations

import copy
import math
import random
import resource
import signal
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from helpers.toy_runner import toy

RUN: dict[str, Any] = dict(
    iters=5,
    seed=3,
    val_interval=2,
    checkpoint=dict(interval=2, by_epoch=False, max_keep_ckpts=1, save_best="score", rule="greater"),
)
MEMORY, SECONDS = 3 << 30, 60  # above what the process has, and for each file


class Raw:
    """Writes what a pickle can say but no object of Python's says itself."""

    def __init__(self, *parts: Any) -> None:
        self.parts = parts

    def __reduce__(self) -> tuple:
        return self.parts


def values(rng: random.Random, folder: Path) -> Any:
    """A value that no run writes at the place where it goes."""
    outside = str(folder / "outside" / "thesis.txt")
    paths = [outside, "../outside/thesis.txt", "../../outside/thesis.txt", str(folder / "outside"), "/", "", "\0"]
    numbers = [-1, 0, 1, 3, 625, 700, -50, 2**30, 2**31, 2**32, 2**62, 2**63, 10**18, 10**400, -(10**30)]
    numbers += [0.5, -0.5, 1e308, math.inf, -math.inf, math.nan]
    code = f"open({str(folder / 'outside' / 'ran')!r}, 'w')"
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


def change(content: dict[str, Any], rng: random.Random, folder: Path) -> str:
    """Change one place; what was done."""
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
        setattr(node, last, values(rng, folder))
        return f"{kind} {way} {last}"
    mutable = list(node) if isinstance(node, tuple) else node
    if kind == "drop":
        del mutable[last]
    elif kind == "add" and isinstance(mutable, dict):
        mutable[rng.choice(["step", "params", "config", "best_ckpt", "__class__", "\x1b[2J", 7, "optimizer"])] = values(
            rng, folder
        )
    else:
        mutable[last] = values(rng, folder)
    if isinstance(node, tuple) and len(holders) > 1:
        holders[-2][way[-1]] = tuple(mutable)
    return f"{kind} {way} {last}"


def damage(data: bytes, rng: random.Random) -> bytes:
    """Change bytes of a file."""
    changed = bytearray(data)
    kind = rng.choice(["flip", "flip", "zeros", "cut", "pickle"])
    if kind == "cut":
        return bytes(changed[: rng.randrange(len(changed))])
    if kind == "zeros":
        start = rng.randrange(len(changed))
        changed[start : start + 64] = bytes(len(changed[start : start + 64]))
    for _ in range(rng.randint(1, 4)):
        first = changed.find(b"PK", 4) if kind == "pickle" else len(changed)  # the pickle is the first record
        changed[rng.randrange(first)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def write(number: int, seed: int, folder: Path, whole: dict[str, Any], data: bytes) -> tuple[Path, str]:
    """A file by its number."""
    rng = random.Random(f"{seed}.{number}")
    path = folder / "files" / "changed.pth"
    if rng.random() < 0.2:
        path.write_bytes(damage(data, rng))
        return path, "bytes"
    content = copy.deepcopy(whole)
    done = [change(content, rng, folder) for _ in range(rng.choice([1, 1, 1, 2, 4]))]
    torch.save(content, path)
    return path, "; ".join(done)


def main(folder: Path, seed: int, start: int, count: int) -> None:
    """Go on from files, and print what came of each in a line: its number, an outcome, and what was done or said."""
    from mmdist.compat.checkpoint import load_checkpoint_file
    from mmdist.errors import MMDistError

    source = folder / "source" / "iter_4.pth"
    if not source.exists():
        toy(folder / "source", **RUN | dict(iters=4)).train()
        for name in ("files", "outside", "work"):
            (folder / name).mkdir(exist_ok=True)
        (folder / "outside" / "thesis.txt").write_text("mine")
    whole, data = load_checkpoint_file(source), source.read_bytes()
    soft = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (soft, soft))
    for number in range(start, start + count):
        try:
            path, done = write(number, seed, folder, whole, data)
        except Exception as error:  # one that torch cannot write is none
            print(f"{number}\tunwritten\t{type(error).__name__}", flush=True)
            continue
        print(f"{number}\tbegun\t{done!a}", flush=True)
        signal.alarm(SECONDS)
        try:
            toy(folder / "work" / "run", **RUN, resume=True, load_from=str(path)).train()
            outcome, text = "went on", ""
        except MMDistError as error:
            outcome, text = "refused", str(error)
        except BaseException as error:
            outcome, text = "raw", f"{type(error).__name__}: {error}"
        signal.alarm(0)
        print(f"{number}\t{outcome}\t{text!a}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))

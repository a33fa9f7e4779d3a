"""What checksums cost on a checkpoint of 105 MB: ``python -m benchmarks.checksum``.

Times in seconds, the median of several rounds, beside those of ``torch.save`` and ``torch.load``.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from mmdist.compat import _checkpoint_integrity as integrity
from mmdist.compat.checkpoint import check_content, load_checkpoint_file
from mmdist.engine import atomic


def seconds(action: Callable[[], object]) -> float:
    """How long an action takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def measure(path: Path, layers: int) -> dict[str, float]:
    """One round.

    Args:
        path (Path): Where the checkpoint goes.
        layers (int): Matrices of 512 x 512 numbers in it.
    """
    content = {"state_dict": {f"layer{i}.weight": torch.randn(512, 512) for i in range(layers)}, "meta": {}}
    times = {"torch.save": seconds(lambda: torch.save(content, path))}
    times["add SHA-256"] = seconds(lambda: atomic.stamp(path))
    times["torch.load"] = seconds(lambda: torch.load(path, map_location="cpu", weights_only=True))
    integrity._checked.clear()
    times["check SHA-256 (once a process)"] = seconds(lambda: check_content(path))
    times["load, checked before"] = seconds(lambda: load_checkpoint_file(path))
    torch.save(content, path)
    times["check CRC-32 (once a process)"] = seconds(lambda: check_content(path))
    return times


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=100, help="of 1 MB each (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=7, help="default: %(default)s")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "checkpoint.pth")
        rounds = [measure(path, args.layers) for _ in range(args.rounds)]
        print(f"{path.stat().st_size / 1e6:.0f} MB")
    for name in rounds[0]:
        print(f"{statistics.median(times[name] for times in rounds):8.2f} s  {name}")


if __name__ == "__main__":
    main()

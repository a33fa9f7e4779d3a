"""The DIST loss side by side with what it could be replaced by, on the same tensors in one run.

    python benchmarks/relation.py [--device cuda] [--json results.json] [--markdown table.md]

Each line is one forward and backward pass: median time over runs that take turns, peak memory beyond the inputs in
units of one input map, and the error of the gradient against the official formula in float64 (norm of the difference
over norm of the gradient; largest difference over largest gradient).
"""

from __future__ import annotations

import argparse
import ctypes
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mmdist.functional import dist_loss

Loss = Callable[[Tensor, Tensor], Tensor]
TRIM = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it


class Case(NamedTuple):
    """Logits of one task.

    Args:
        shape (tuple[int, ...]): (N, C) or (N, C, H, W).
        activation (str): softmax or sigmoid.
        dtype (torch.dtype): Of both networks' logits.
        exact (bool): Whether the gradient is compared with float64, which takes some memory.
    """

    shape: tuple[int, ...]
    activation: str = "softmax"
    dtype: torch.dtype = torch.float32
    exact: bool = True

    def __str__(self) -> str:
        return f"{'x'.join(map(str, self.shape))} {str(self.dtype).removeprefix('torch.')} {self.activation}"


SHAPES = [
    ((2, 19, 256, 512), "softmax"),
    ((1, 150, 256, 256), "softmax"),
    ((4, 720, 80, 80), "sigmoid"),
    ((32, 1000), "softmax"),
    ((256, 100), "softmax"),
]
CASES = [Case(shape, activation, dtype) for shape, activation in SHAPES for dtype in (torch.float32, torch.bfloat16)]
CUDA_CASES = [*CASES, Case((8, 150, 512, 512), dtype=torch.bfloat16, exact=False)]
QUICK_CASES = [Case((1, 5, 16, 16)), Case((8, 10))]


def official(z_s: Tensor, z_t: Tensor, activation: str = "softmax") -> Tensor:
    """DIST as its authors' code computes it: rows, then correlations over rows and columns."""
    if z_s.ndim == 4:
        z_s, z_t = (z.permute(0, 2, 3, 1).reshape(-1, z.shape[1]) for z in (z_s, z_t))
    y_s, y_t = (z.softmax(1) if activation == "softmax" else z.sigmoid() for z in (z_s, z_t.detach()))

    def distance(a: Tensor, b: Tensor) -> Tensor:
        a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
        return 1 - ((a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1) + 1e-8)).mean()

    return distance(y_s, y_t) + distance(y_s.t(), y_t.t())


def kl(z_s: Tensor, z_t: Tensor) -> Tensor:
    """Pixel-wise knowledge distillation, for scale: a loss that does much less."""
    return F.kl_div(z_s.log_softmax(1), z_t.detach().softmax(1), reduction="sum") / (z_s.numel() / z_s.shape[1])


def contenders(case: Case, compiled: bool) -> dict[str, Loss]:
    """What is measured, by name."""
    losses: dict[str, Loss] = {
        "mmdist": lambda s, t: dist_loss(s, t, activation=case.activation),
        "official": lambda s, t: official(s, t, case.activation),
    }
    if compiled:
        optimised = torch.compile(official)
        losses["official, compiled"] = lambda s, t: optimised(s, t, case.activation)
    if case.activation == "softmax":
        try:
            from mmrazor.models.losses import DISTLoss
        except ImportError:
            print("mmrazor is not installed: its loss is left out", file=sys.stderr)
        else:
            losses["MMRazor" if len(case.shape) == 2 else "MMRazor (another result)"] = DISTLoss()
        losses["KL (another loss)"] = kl
    return losses


def step(loss: Loss, student: Tensor, teacher: Tensor) -> Tensor:
    """One forward and backward pass; the gradient."""
    return torch.autograd.grad(loss(student, teacher), student)[0]


def seconds(loss: Loss, student: Tensor, teacher: Tensor) -> float:
    """Wall-clock time of one pass, from an allocator that holds nothing back: none pays for what another left."""
    if TRIM:
        TRIM(0)
    if student.is_cuda:
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        step(loss, student, teacher)
        end.record()
        torch.cuda.synchronize()
        return start.elapsed_time(end) / 1000
    begin = time.perf_counter()
    step(loss, student, teacher)
    return time.perf_counter() - begin


def peak_maps(loss: Loss, student: Tensor, teacher: Tensor) -> float:
    """Peak of the memory allocated in one pass, the gradient included, in units of one input."""
    size = student.numel() * student.element_size()
    if student.is_cuda:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step(loss, student, teacher)
        torch.cuda.synchronize()
        return (torch.cuda.max_memory_allocated() - before) / size
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        step(loss, student, teacher)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profile.export_chrome_trace(str(path))
        events = json.loads(path.read_text())["traceEvents"]
    changes = sorted((event["ts"], event["args"]["Bytes"]) for event in events if event.get("name") == "[memory]")
    held = peak = 0
    for _, change in changes:
        held += change
        peak = max(peak, held)
    return peak / size


def measure(case: Case, device: str, repeats: int, compiled: bool) -> list[dict[str, Any]]:
    """All contenders on one case.

    Args:
        case (Case): The logits.
        device (str): cpu or cuda.
        repeats (int): Runs of each contender; they take turns.
        compiled (bool): Whether to measure the compiled formula too.

    Returns:
        list[dict[str, Any]]: One line a contender.
    """
    generator = torch.Generator(device).manual_seed(0)
    student, teacher = (
        (3 * torch.randn(case.shape, device=device, generator=generator)).to(case.dtype) for _ in range(2)
    )
    student.requires_grad_()
    losses = contenders(case, compiled)
    exact = None
    if case.exact:
        leaf = student.detach().double().requires_grad_()
        exact = step(lambda s, t: official(s, t, case.activation), leaf, teacher.double())
    lines = []
    times: dict[str, list[float]] = {name: [] for name in losses}
    for loss in losses.values():  # warm up, compile
        step(loss, student, teacher)
        step(loss, student, teacher)
    for _ in range(repeats):
        for name, loss in losses.items():
            times[name].append(seconds(loss, student, teacher))
    for name, loss in losses.items():
        line = {
            "case": str(case),
            "loss": name,
            "ms": 1000 * statistics.median(times[name]),
            "speedup": statistics.median(a / b for a, b in zip(times["official"], times[name], strict=True)),
            "peak_maps": peak_maps(loss, student, teacher),
        }
        if exact is not None and "another" not in name:
            error = step(loss, student, teacher).double() - exact
            line["error_norm"] = float(error.norm() / exact.norm())
            line["error_max"] = float(error.abs().max() / exact.abs().max())
        lines.append(line)
    passes = 5 * copy_seconds(student.detach(), repeats)
    lines[0]["floor_ms"] = 1000 * passes
    return lines


def copy_seconds(tensor: Tensor, repeats: int) -> float:
    """Time of one map pass: half of that of a copy, which reads and writes."""
    other = torch.empty_like(tensor)
    times = []
    for _ in range(repeats + 2):
        if tensor.is_cuda:
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            other.copy_(tensor)
            end.record()
            torch.cuda.synchronize()
            times.append(start.elapsed_time(end) / 1000)
        else:
            begin = time.perf_counter()
            other.copy_(tensor)
            times.append(time.perf_counter() - begin)
    return statistics.median(times[2:]) / 2


def table(lines: list[dict[str, Any]]) -> str:
    """The lines as a Markdown table."""
    rows = [
        "| case | loss | ms | x official | peak, maps | error, norm | error, max |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for line in lines:
        errors = [f"{line[key]:.1e}" if key in line else "" for key in ("error_norm", "error_max")]
        rows.append(
            f"| {line['case']} | {line['loss']} | {line['ms']:.2f} | {line['speedup']:.1f} | {line['peak_maps']:.1f} "
            f"| {errors[0]} | {errors[1]} |"
        )
    return "\n".join(rows)


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--repeats", type=int, default=15, help="runs of each contender (default: 15)")
    parser.add_argument("--quick", action="store_true", help="tiny shapes, to see that it runs")
    parser.add_argument("--no-compile", action="store_true", help="leave the compiled formula out")
    parser.add_argument("--json", type=Path, help="write the results here")
    parser.add_argument("--markdown", type=Path, help="write the table here")
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: no CUDA device is available here")
    cases = QUICK_CASES if args.quick else CUDA_CASES if args.device == "cuda" else CASES
    lines = []
    for case in cases:
        found = measure(case, args.device, args.repeats, not args.no_compile)
        floor = found[0]["floor_ms"]
        print(f"{case}: 5 map passes take {floor:.2f} ms; mmdist takes {found[0]['ms'] / floor:.1f} times that")
        lines += found
    print(table(lines))
    name = torch.cuda.get_device_name() if args.device == "cuda" else platform.processor() or platform.machine()
    setting = {"torch": torch.__version__, "device": name, "threads": torch.get_num_threads(), "repeats": args.repeats}
    print(", ".join(f"{key} {value}" for key, value in setting.items()))
    if args.json:
        args.json.write_text(json.dumps({"setting": setting, "results": lines}, indent=1) + "\n")
    if args.markdown:
        args.markdown.write_text(table(lines) + "\n")


if __name__ == "__main__":
    main()

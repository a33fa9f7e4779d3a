"""One training step under a teacher: ``mmdist.SingleTeacherDistill`` beside MMRazor's class of that name.

    python benchmarks/step.py [--case pspnet-logits] [--json results.json] [--markdown table.md]

Both classes get the same distiller config, the same weights and the same batches, and take turns step by step: median
step time, median of the paired ratios, and how far the losses differ. The parts of a step are timed in steps of their
own, so that the whole is not disturbed. Peak memory is what two steps allocate beyond weights and optimizer state.
Exit code 1: the losses differ by more than 1e-4.
"""

from __future__ import annotations

import argparse
import copy
import gc
import json
import math
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import mmdist  # noqa: F401  (first: it repairs what the imports of mmrazor and torchvision need)

# isort: split
import torch
from mmengine.config import ConfigDict
from mmengine.logging import MMLogger
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import InstanceData, PixelData
from torch import Tensor

from mmdist.errors import MissingPackageError
from mmdist.models.algorithms.records import empty
from mmdist.models.builder import build_model, load_model_config

TYPES = {"mmdist": "mmdist.SingleTeacherDistill", "MMRazor": "mmrazor.SingleTeacherDistill"}
DEPTHS = {"teacher": "r50", "student": "r18"}
PARTS = ("data", "teacher", "student", "distill", "backward", "optimizer")
COLUMNS = (*PARTS, "rest")
WARM_UP = 3  # by the third step, mmdist has learnt how far the teacher has to run
TOLERANCE = 1e-4
SAMPLES = 2  # pictures a batch; the statistics of PSPNet's 1x1 pooling need two
SHRINK = 8  # --quick divides all channels by this
CHANNELS = {"base_channels", "stem_channels", "in_channels", "channels", "out_channels", "feat_channels"}
# A rate at which two runs from random weights stay together although they round differently.
OPTIMIZER = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=1e-4, momentum=0.9, weight_decay=1e-4))
Batch = dict[str, Any]


class Case(NamedTuple):
    """A teacher, a student, and what is compared.

    Args:
        scope (str): The task library.
        configs (str): Path of the models' configs there, ``{}`` for their depth.
        source (str): The recorded module, in both.
        loss (str): Type of the distillation loss.
        argument (str): Its arguments for student and teacher, without ``_S`` and ``_T``.
        sizes (Sequence[tuple[int, int]]): Height and width of each batch's pictures, in pixels; batches take turns.
        quick (bool): Whether the models are made tiny.
    """

    scope: str
    configs: str
    source: str
    loss: str
    argument: str
    sizes: Sequence[tuple[int, int]]
    quick: bool = False


CASES = {
    "retinanet-fpn": Case(
        scope="mmdet",
        configs="retinanet/retinanet_{}_fpn_1x_coco.py",
        source="neck",
        loss="mmdist.ChannelRelationLoss",
        argument="preds",
        sizes=((320, 320), (320, 416), (416, 320), (416, 416)),
    ),
    "pspnet-logits": Case(
        scope="mmseg",
        configs="pspnet/pspnet_{}-d8_4xb2-80k_cityscapes-512x1024.py",
        source="decode_head.conv_seg",
        loss="mmdist.DISTLoss",
        argument="logits",
        sizes=((256, 256),),
    ),
}


class Contender(NamedTuple):
    """An algorithm and its optimizer."""

    model: BaseModel
    optim: OptimWrapper


def plain(config: Any, quick: bool) -> Any:
    """A model config for one process, without files from the network and without chance.

    Dropout is off because MMRazor leaves it on in the teacher: no two steps would have the same losses.
    """
    if isinstance(config, dict):
        config = {key: plain(value, quick) for key, value in config.items() if key not in ("init_cfg", "pretrained")}
        if "dropout_ratio" in config:
            config["dropout_ratio"] = 0
        if config.get("type") == "SyncBN":
            config["type"] = "BN"
        if quick:
            if config.get("type") in ("ResNet", "ResNetV1c"):
                config |= dict(base_channels=64, stem_channels=64)
            for key in config.keys() & CHANNELS:
                value = config[key]
                config[key] = [channels // SHRINK for channels in value] if isinstance(value, list) else value // SHRINK
        return ConfigDict(config)
    return [plain(value, quick) for value in config] if isinstance(config, list) else config


def build(case: Case, name: str) -> BaseModel:
    """The case's teacher or student with random weights."""
    path = f"{case.scope}::{case.configs.format(DEPTHS[name])}"
    config = plain(load_model_config(path, name), case.quick)
    if "size" in config.data_preprocessor:  # what pictures are padded to
        config.data_preprocessor.size = case.sizes[0]
    model = build_model(config, name)
    model.init_weights()
    return model


def contenders(case: Case, student: BaseModel, teacher: BaseModel, device: str) -> dict[str, Contender]:
    """Both classes, each around copies of the two models."""
    recorders = dict(record=dict(type="mmrazor.ModuleOutputs", source=case.source))
    mapping = {f"{case.argument}_{side}": dict(recorder="record", from_student=side == "S") for side in "ST"}
    distiller = dict(
        type="mmrazor.ConfigurableDistiller",
        student_recorders=recorders,
        teacher_recorders=recorders,
        distill_losses=dict(loss_distill=dict(type=case.loss)),
        loss_forward_mappings=dict(loss_distill=mapping),
    )
    found = {}
    for name, kind in TYPES.items():
        with DefaultScope.overwrite_default_scope(case.scope):
            models = dict(architecture=copy.deepcopy(student), teacher=copy.deepcopy(teacher))
            model = MODELS.build(dict(type=kind, distiller=copy.deepcopy(distiller), **models)).to(device)
            model.train()  # MMRazor's returns nothing
            found[name] = Contender(model, build_optim_wrapper(model, copy.deepcopy(OPTIMIZER)))
    return found


def batches(case: Case) -> list[Batch]:
    """Random pictures and labels, as a data loader hands them to the model."""
    generator = torch.Generator().manual_seed(0)

    def draw(high: int, *shape: int) -> Tensor:
        return torch.randint(0, high, shape, generator=generator)

    found = []
    for size in case.sizes:
        pictures = [draw(256, 3, *size).to(torch.uint8) for _ in range(SAMPLES)]
        found.append(dict(inputs=pictures, data_samples=[_labels(case.scope, size, draw) for _ in pictures]))
    return found


def _labels(scope: str, size: tuple[int, int], draw: Callable[..., Tensor]) -> Any:
    meta = dict(img_shape=size, ori_shape=size, pad_shape=size, scale_factor=(1.0, 1.0))
    if scope == "mmseg":
        from mmseg.structures import SegDataSample

        coarse = draw(19, 1, 1, 8, 8).float()
        labels = torch.nn.functional.interpolate(coarse, size).long()[0]
        return SegDataSample(metainfo=meta, gt_sem_seg=PixelData(data=labels))
    from mmdet.structures import DetDataSample

    height, width = size
    corner = torch.stack([draw(width // 2, 6), draw(height // 2, 6)], 1)
    extent = 16 + torch.stack([draw(width // 2 - 16, 6), draw(height // 2 - 16, 6)], 1)
    boxes = torch.cat([corner, corner + extent], 1).float()
    return DetDataSample(metainfo=meta, gt_instances=InstanceData(bboxes=boxes, labels=draw(80, 6)))


def now(device: str) -> float:
    """Seconds on the clock, when the device has done what it was given."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


@contextmanager
def timed(contender: Contender, device: str) -> Iterator[dict[str, float]]:
    """Inside, the seconds that each part of the contender's steps takes are added up.

    A part ends by an exception too: mmdist leaves the teacher that way.
    """
    seconds = dict.fromkeys(PARTS, 0.0)
    model, optim = contender
    places: list[tuple[str, Any, str]] = [
        ("data", model.data_preprocessor, "forward"),
        ("teacher", model.teacher, "forward"),
        ("student", model.student, "forward"),
        ("distill", model.distiller, "compute_distill_losses"),
        ("backward", optim, "backward"),
        ("optimizer", optim, "step"),
        ("optimizer", optim, "zero_grad"),
    ]

    def wrap(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            begin = now(device)
            try:
                return function(*args, **kwargs)
            finally:
                seconds[part] += now(device) - begin

        return run

    for part, owner, name in places:
        vars(owner)[name] = wrap(part, getattr(owner, name))
    try:
        yield seconds
    finally:
        for _, owner, name in places:
            del vars(owner)[name]


def seconds_of(contender: Contender, data: Batch, device: str) -> tuple[float, dict[str, float]]:
    """Wall-clock time of one step, and its losses."""
    data = copy.deepcopy(data)  # data preprocessors write into the samples
    gc.collect()
    begin = now(device)
    values = contender.model.train_step(data, contender.optim)
    seconds = now(device) - begin
    return seconds, {name: float(value.detach()) for name, value in values.items() if "loss" in name}


def peak_bytes(function: Callable[[], Any], device: str) -> int:
    """Peak of the memory that the function allocates beyond what is there before."""
    gc.collect()
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        function()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        function()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profile.export_chrome_trace(str(path))
        events = json.loads(path.read_text())["traceEvents"]
    changes = sorted((event["ts"], event["args"]["Bytes"]) for event in events if event.get("name") == "[memory]")
    return max(accumulate((change for _, change in changes), initial=0))


def peak_of_steps(contender: Contender, data: Batch, device: str) -> int:
    """Peak over two steps; what the first leaves recorded is there in the second."""
    empty(contender.model.distiller)
    copies = [copy.deepcopy(data) for _ in range(2)]

    def steps() -> None:
        for batch in copies:
            contender.model.train_step(batch, contender.optim)

    return peak_bytes(steps, device)


def difference(losses: dict[str, float], reference: dict[str, float]) -> float:
    """Largest relative difference of one step's losses; infinite where a loss is missing or is not a number."""
    pairs = [(losses.get(name, math.nan), reference.get(name, math.nan)) for name in losses | reference]
    if not pairs or not all(math.isfinite(value) for pair in pairs for value in pair):
        return math.inf
    return max(abs(a - b) / max(abs(a), abs(b)) if a != b else 0.0 for a, b in pairs)


def state_mb(model: BaseModel) -> float:
    """Size of what a checkpoint holds of a model."""
    return sum(value.numel() * value.element_size() for value in model.state_dict().values()) / 1e6


def measure(key: str, device: str, repeats: int, quick: bool) -> list[dict[str, Any]]:
    """Both classes on one case.

    Args:
        key (str): The case.
        device (str): cpu or cuda.
        repeats (int): Timed steps of each class.
        quick (bool): Tiny models and pictures.

    Returns:
        list[dict[str, Any]]: One line a class; times in ms, memory in MiB, states in MB.
    """
    case = CASES[key]._replace(sizes=[(64, 64)], quick=True) if quick else CASES[key]
    torch.manual_seed(0)
    teacher, student = build(case, "teacher"), build(case, "student")
    rivals = contenders(case, student, teacher, device)
    data = batches(case)
    largest = max(data, key=lambda batch: batch["inputs"][0].numel())
    plain_mb = state_mb(student)
    times: dict[str, list[float]] = {name: [] for name in rivals}
    parts: dict[str, list[dict[str, float]]] = {name: [] for name in rivals}
    worst = 0.0
    for index in range(WARM_UP + repeats + max(len(data), repeats // 3)):
        turn, batch = index // len(data) % 2, data[index % len(data)]
        losses = {}
        for name in list(rivals)[:: -1 if turn else 1]:  # neither always follows the other
            if index < WARM_UP + repeats:
                seconds, losses[name] = seconds_of(rivals[name], batch, device)
                if index >= WARM_UP:
                    times[name].append(seconds)
            else:
                with timed(rivals[name], device) as found:
                    seconds, losses[name] = seconds_of(rivals[name], batch, device)
                parts[name].append({**found, "rest": seconds - sum(found.values())})
        worst = max(worst, difference(losses["mmdist"], losses["MMRazor"]))
    return [
        {
            "case": key,
            "class": name,
            "ms": 1000 * statistics.median(times[name]),
            "ratio": statistics.median(a / b for a, b in zip(times[name], times["MMRazor"], strict=True)),
            "parts_ms": {part: 1000 * statistics.median(found[part] for found in parts[name]) for part in COLUMNS},
            "peak_mib": peak_of_steps(rival, largest, device) / 2**20,
            "optimizer_parameters": sum(p.numel() for group in rival.optim.param_groups for p in group["params"]),
            "state_mb": state_mb(rival.model),
            "student_state_mb": plain_mb,
            "loss_difference": worst,
        }
        for name, rival in rivals.items()
    ]


def table(lines: list[dict[str, Any]]) -> str:
    """The lines as a Markdown table."""
    rows = [
        f"| case | class | step, ms | x MMRazor | {' | '.join(COLUMNS)} | peak, MiB | in optimizer, M | state, MB "
        "| student's, MB | losses differ by |",
        "|---|---|" + "--:|" * (len(COLUMNS) + 7),
    ]
    for line in lines:
        parts = " | ".join(f"{line['parts_ms'][name]:.1f}" for name in COLUMNS)
        rows.append(
            f"| {line['case']} | {line['class']} | {line['ms']:.1f} | {line['ratio']:.2f} | {parts} "
            f"| {line['peak_mib']:.0f} | {line['optimizer_parameters'] / 1e6:.2f} | {line['state_mb']:.1f} "
            f"| {line['student_state_mb']:.1f} | {line['loss_difference']:.1e} |"
        )
    return "\n".join(rows)


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, measure, print; 1 if the losses of the two classes differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--case", action="append", choices=list(CASES), help="only this one; may be repeated")
    parser.add_argument("--repeats", type=int, default=15, help="timed steps of each class (default: 15)")
    parser.add_argument("--quick", action="store_true", help="tiny models, to see that it runs")
    parser.add_argument("--json", type=Path, help="write the results here")
    parser.add_argument("--markdown", type=Path, help="write the table here")
    args = parser.parse_args(argv)
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: no CUDA device is available here")
    if args.repeats < 1:
        parser.error(f"--repeats {args.repeats}: expected a number above 0")
    lines = []
    for key in dict.fromkeys(args.case or CASES):
        try:
            found = measure(key, args.device, args.repeats, args.quick)
        except MissingPackageError as error:
            parser.error(f"--case {key}: {error}")
        print(f"{key}: a step takes {found[0]['ms']:.1f} ms, {found[0]['ratio']:.2f} times MMRazor's", flush=True)
        lines += found
    print(table(lines))
    device = torch.cuda.get_device_name() if args.device == "cuda" else platform.processor() or platform.machine()
    setting = dict(torch=torch.__version__, device=device, threads=torch.get_num_threads(), repeats=args.repeats)
    print(", ".join(f"{key} {value}" for key, value in setting.items()))
    if args.json:
        args.json.write_text(json.dumps({"setting": setting, "results": lines}, indent=1) + "\n")
    if args.markdown:
        args.markdown.write_text(table(lines) + "\n")
    differing = {line["case"]: line["loss_difference"] for line in lines if line["loss_difference"] > TOLERANCE}
    for key, largest in differing.items():
        print(f"{key}: the losses of the two classes differ by {largest:.1e}, more than {TOLERANCE}", file=sys.stderr)
    return 1 if differing else 0


if __name__ == "__main__":
    MMLogger.get_instance("step", log_level="WARNING")  # not a line for each weight that is initialised
    sys.exit(main())

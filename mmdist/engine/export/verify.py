"""Two models compared bit for bit: their weights, and what they compute in one forward pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from mmdist.errors import CheckpointError, MMDistError, printable

SIZES = ((128, 128), (224, 224), (512, 512), (32, 32))
FEATURES = "features alone"


def compare_models(original: BaseModel, exported: BaseModel, path: str) -> str:
    """Compare all weights, then run both models on one random input and compare everything that they return.

    A forward pass alone would not do: it leaves auxiliary heads out, and rounding can hide a small difference.

    Args:
        original (BaseModel): The student with the weights of the run.
        exported (BaseModel): The student with those of the written file.
        path (str): The file, for messages.

    Returns:
        str: What was compared, in words.

    Raises:
        CheckpointError: Weights or outputs differ in at least one bit.
        MMDistError: The model can run on none of the inputs that were tried.
    """
    own = exported.state_dict()
    changed = [name for name, value in original.state_dict().items() if not _same(value, own[name])]
    if changed:
        raise CheckpointError(f"{path}: not what was exported: {len(changed)} tensors differ, first {changed[0]}")
    mode, inputs, expected = _first_that_runs(original)
    got = _run(exported, inputs, mode)
    if len(got) != len(expected) or not all(_same(a, b) for a, b in zip(expected, got, strict=True)):
        raise CheckpointError(f"{path}: the exported student computes something else than the student of the run")
    shape = "x".join(map(str, inputs.shape))
    return f"weights, and outputs for a random {shape} input, equal bit for bit ({mode})"


def compare_tensors(expected: Mapping[str, Tensor], written: Mapping[str, Tensor], path: str) -> None:
    """Compare weights by name, shape, type and bits.

    Args:
        expected (Mapping[str, Tensor]): What was to be written.
        written (Mapping[str, Tensor]): What is in the file.
        path (str): The file, for messages.

    Raises:
        CheckpointError: They differ.
    """
    names = [*expected, *(name for name in written if name not in expected)]
    changed = [n for n in names if n not in expected or n not in written or not _same_bits(expected[n], written[n])]
    if changed:
        raise CheckpointError(
            f"{path}: not what was exported: {len(changed)} tensors differ, first {printable(changed[0])}"
        )


def _same_bits(a: Tensor, b: Tensor) -> bool:
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    return torch.equal(*(value.detach().contiguous().flatten().view(torch.uint8) for value in (a, b)))


def _first_that_runs(model: BaseModel) -> tuple[str, Tensor, list[Tensor]]:
    failures, silent = [], None
    generator = torch.Generator().manual_seed(0)
    # Some heads cannot run in 'tensor' mode, in their own library as here.
    for mode in ("tensor", "predict"):
        for size in _sizes(model):
            for channels in _channels(model):
                inputs = torch.randn(1, channels, *size, generator=generator)
                try:
                    outputs = _run(model, inputs, mode)
                # Models refuse what they do not like in every possible way.
                except Exception as error:
                    failures.append(f"{type(error).__name__}: {error}")
                    continue
                if any(output.numel() for output in outputs):
                    return mode, inputs, outputs
                silent = inputs
    if silent is not None:  # a detector that finds nothing in noise
        return FEATURES, silent, _run(model, silent, FEATURES)
    raise MMDistError(
        f"the student ({type(model).__name__}) cannot be verified, it ran on no random input: "
        f"{failures[0].splitlines()[0]}; --no-verify exports it unverified"
    )


def _run(model: BaseModel, inputs: Tensor, mode: str) -> list[Tensor]:
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if mode == FEATURES:
            return list(_tensors(model.extract_feat(inputs.clone())))
        return list(_tensors(model(inputs.clone(), _samples(model, inputs), mode=mode)))


def _samples(model: BaseModel, inputs: Tensor) -> list[BaseDataElement] | None:
    """What detectors want to know about their input; the other libraries manage without."""
    if type(model).__module__.partition(".")[0] != "mmdet":
        return None
    from mmdet.structures import DetDataSample
    from mmengine.structures import InstanceData

    shape = tuple(inputs.shape[2:])
    shapes = dict.fromkeys(("img_shape", "ori_shape", "pad_shape", "batch_input_shape"), shape)
    sample = DetDataSample(metainfo={"img_id": 0, "scale_factor": (1.0, 1.0), **shapes})
    sample.gt_instances = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
    return [sample]


def _sizes(model: BaseModel) -> list[tuple[int, int]]:
    """Sizes to try, those first that the model itself asks for."""
    wanted = []
    for owner, name in ((getattr(model, "backbone", None), "img_size"), (model.data_preprocessor, "size")):
        size = getattr(owner, name, None)
        size = (size, size) if isinstance(size, int) else size
        if isinstance(size, tuple | list) and len(size) == 2 and all(isinstance(side, int) for side in size):
            wanted.append((size[0], size[1]))
    return list(dict.fromkeys([*wanted, *SIZES]))


def _channels(model: BaseModel) -> list[int]:
    mean = getattr(model.data_preprocessor, "mean", None)
    first = next((module.in_channels for module in model.modules() if isinstance(module, nn.Conv2d)), 3)
    return list(dict.fromkeys([mean.numel() if isinstance(mean, Tensor) else 3, first]))


def _tensors(output: Any) -> Iterator[Tensor]:
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, dict):
        for value in output.values():
            yield from _tensors(value)
    elif isinstance(output, list | tuple):
        for value in output:
            yield from _tensors(value)
    elif isinstance(output, BaseDataElement):
        yield from _tensors(dict(output.all_items()))


def _same(a: Tensor, b: Tensor) -> bool:
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    return bool(((a == b) | ((a != a) & (b != b))).all())

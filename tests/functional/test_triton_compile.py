"""The Triton kernels compile for the GPUs that they are for, and keep all they hold in registers.

No GPU is needed: Triton brings the tool that reads from a compiled kernel how much it keeps in memory, its stack, for
want of registers. Compiling needs a process in which Triton does not interpret: run as a script, this file compiles
the variants that it is given.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

import mmdist
from mmdist.functional import _triton
from mmdist.functional._blocked import Coefficients, Spec

KERNELS = ("moments_kernel", "gradient_kernel")
ARCHITECTURES = (80, 89, 90, 100)
TYPES = {torch.float64: "*fp64", torch.float32: "*fp32", torch.float16: "*fp16", torch.bfloat16: "*bf16"}


class Variant(NamedTuple):
    classes: int
    activation: str = "softmax"
    dtype: torch.dtype = torch.float32
    channels_last: bool = False
    weighted: bool = True  # and with a ragged end: the most that a kernel holds
    architectures: tuple[int, ...] = ARCHITECTURES


FEW = {  # every architecture is among them
    "softmax": Variant(19, architectures=(80, 90)),
    "many classes": Variant(1024, architectures=(80, 100)),
    "sigmoid": Variant(80, "sigmoid", torch.bfloat16, channels_last=True, weighted=False, architectures=(89,)),
    "none": Variant(256, "none", torch.float16, architectures=(90,)),
}
ALL = {
    f"{classes} {activation} {str(dtype)[6:]} {'channels last' if channels_last else 'contiguous'} {weighted}": Variant(
        classes, activation, dtype, channels_last, weighted
    )
    for classes in (1, 2, 19, 150, 256, 720, 1024)
    for activation in ("softmax", "sigmoid", "none")
    for dtype in TYPES
    for channels_last in (False, True)
    for weighted in (False, True)
}


def compiled(variants: dict[str, Variant], folder: Path) -> dict[str, dict[str, int]]:
    """Bytes of stack of each kernel of each variant, by name and architecture."""
    environment = os.environ | {
        "PYTHONPATH": str(Path(mmdist.__file__).parents[1]),
        "OMP_NUM_THREADS": "1",
        "TRITON_CACHE_DIR": str(folder),
        "TRITON_INTERPRET": "0",
    }
    plan = {name: [*v._replace(dtype=str(v.dtype)[6:])] for name, v in variants.items()}
    command = [sys.executable, "-W", "ignore", __file__, json.dumps(plan)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


def assert_all_compiled_without_spills(variants: dict[str, Variant], found: dict[str, dict[str, int]]) -> None:
    for name, variant in variants.items():
        kernels = {
            f"{kernel} sm_{n}" for n in variant.architectures for kernel in ("moments_kernel", "gradient_kernel")
        }
        assert found[name].keys() == kernels
        assert not {kernel: size for kernel, size in found[name].items() if size}, name


def test_the_kernels_compile_for_every_architecture_and_spill_no_register(pytestconfig):
    """The compiler refuses things that the interpreter takes. Triton compiles anew what is new to its cache."""
    pytest.importorskip("triton")
    assert {number for variant in FEW.values() for number in variant.architectures} == set(ARCHITECTURES)
    assert_all_compiled_without_spills(FEW, compiled(FEW, pytestconfig.cache.mkdir("triton")))


@pytest.mark.skipif(os.environ.get("MMDIST_TRITON_KERNELS") != "all", reason="takes hours: MMDIST_TRITON_KERNELS=all")
@pytest.mark.slow
@pytest.mark.timeout(0)
def test_every_variant_compiles_and_spills_no_register(tmp_path):
    pytest.importorskip("triton")
    assert_all_compiled_without_spills(ALL, compiled(ALL, tmp_path))


def test_a_spill_is_seen():
    report = " Function moments_kernel:\n  REG:255 STACK:40 SHARED:1024 LOCAL:0 CONSTANT[0]:700 TEXTURE:0"
    assert stack(report) == 40 and stack(report.replace("STACK:40", "STACK:0")) == 0


def stack(report: str) -> int:
    """Bytes of stack in what ``cuobjdump -res-usage`` says of one kernel."""
    (size,) = re.findall(r"REG:\d+ STACK:(\d+)", report)
    return int(size)


class Compiler:
    """Stands in for a kernel: a launch compiles it as Triton's launcher would."""

    def __init__(self, kernel: Any, architectures: tuple[int, ...], into: dict[str, int]) -> None:
        self.kernel, self.architectures, self.into = kernel, architectures, into

    def __getitem__(self, grid: tuple[int, ...]) -> Any:
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        from triton import compile as compile_kernel
        from triton.backends.compiler import GPUTarget
        from triton.compiler import ASTSource

        names = self.kernel.arg_names
        options = {name: kwargs.pop(name) for name in ("num_warps", "enable_fp_fusion")}
        types, known = dict.fromkeys(kwargs, "constexpr"), {}
        for place, (name, value) in enumerate(zip(names, args, strict=False)):
            if isinstance(value, Tensor):
                types[name] = TYPES[value.dtype]
            else:
                types[name] = "fp32" if isinstance(value, float) else "i32"
            if isinstance(value, int) and value == 1 and "tiles" not in name:
                types[name], kwargs[name] = "constexpr", 1
            elif isinstance(value, Tensor) or (isinstance(value, int) and value % 16 == 0 and "tiles" not in name):
                known[(place,)] = [["tt.divisibility", 16]]
        constants = {(names.index(name),): value for name, value in kwargs.items()}
        source = ASTSource(self.kernel, {name: types[name] for name in names}, constants, known)
        for number in self.architectures:
            made = compile_kernel(source, target=GPUTarget("cuda", number, 32), options=options)
            self.into[f"{self.kernel.__name__} sm_{number}"] = stack(resources(made.asm["cubin"]))


def resources(cubin: bytes) -> str:
    """What Triton's own tool says about a kernel."""
    import triton

    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(cubin)
        return subprocess.run([tool, "-res-usage", path], capture_output=True, text=True, check=True).stdout


def compile_variant(variant: Variant) -> dict[str, int]:
    from mmdist.functional import _triton_kernels

    found: dict[str, int] = {}
    dtype = torch.float64 if variant.dtype == torch.float64 else torch.float32
    z = torch.zeros(2, variant.classes, 4100 if variant.weighted else 4096, dtype=variant.dtype)
    if variant.channels_last:
        z = z.transpose(1, 2).contiguous().transpose(1, 2)
    weight = torch.ones(2, z.shape[2], dtype=dtype) if variant.weighted else None
    spec = Spec(variant.activation, 2.0, 1e-4, rows=True, columns=True)
    column = torch.zeros(variant.classes, 1, dtype=dtype)
    with pytest.MonkeyPatch.context() as patch:
        for name in KERNELS:
            compiler = Compiler(getattr(_triton_kernels, name), variant.architectures, found)
            patch.setattr(_triton_kernels, name, compiler)
        _triton.moments(z, z, weight, spec, dtype)
        _triton.gradient(z, z, weight, spec, dtype, Coefficients(column[0, 0], *[column] * 4))
    return found


if __name__ == "__main__":
    plan = {name: Variant(*fields) for name, fields in json.loads(sys.argv[1]).items()}
    plan = {name: variant._replace(dtype=getattr(torch, variant.dtype)) for name, variant in plan.items()}
    print(json.dumps({name: compile_variant(variant) for name, variant in plan.items()}))

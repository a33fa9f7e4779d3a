"""Building and loading the C kernels: once per machine type, into the user's cache, whole or not at all."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import warnings
from pathlib import Path
from typing import NamedTuple

from mmdist.functional import _cpu_cache

HEADER, *SOURCES = (
    Path(__file__).with_name(name) for name in ("_cpu_exponential.h", "_cpu_kernels.c", "_cpu_confidence.c")
)
SWITCH = "MMDIST_CPU_KERNELS"
FLAGS = ("-std=gnu11", "-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fPIC", "-shared")
ATTEMPTS = (("-fopenmp",), ())  # some compilers come without OpenMP
TIMEOUT = 120  # seconds
FUNCTIONS = {
    "relation_moments": [ctypes.c_void_p] * 5,
    "relation_gradient": [ctypes.c_void_p] * 6,
    "label_probability": [ctypes.c_void_p],
}


class Kernels(NamedTuple):
    """The kernels, or why there are none.

    Args:
        library (ctypes.CDLL | None): With the functions of ``FUNCTIONS``.
        reason (str): Empty where there is a library.
    """

    library: ctypes.CDLL | None
    reason: str = ""


@functools.cache
def kernels() -> Kernels:
    """Build, load or explain, once a process; never raises: the blocked form needs nothing of this."""
    if os.environ.get(SWITCH) == "0":
        return Kernels(None, f"switched off by {SWITCH}=0")
    try:
        return Kernels(_load(_build()))
    except _cpu_cache.Untrusted as error:
        warnings.warn(f"the C kernels are not used, PyTorch operations are: {error}", RuntimeWarning, stacklevel=2)
        return Kernels(None, str(error))
    except (OSError, RuntimeError, subprocess.SubprocessError, AttributeError) as error:
        return Kernels(None, str(error))


def _build() -> _cpu_cache.Library:
    compiler = os.environ.get("CC") or next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        raise OSError("no C compiler (cc, gcc, clang) is installed")
    source = [path.read_bytes() for path in (HEADER, *SOURCES)]
    # -march=native: what was built on another processor of a cluster may not run on this one.
    key = hashlib.sha256(repr((source, FLAGS, compiler, platform.platform(), _processor())).encode()).hexdigest()[:16]
    cache = _cpu_cache.private_folder(_cpu_cache.cache_folder())
    found = _cpu_cache.find(cache, key)
    if found is not None:
        return found
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        built = Path(folder) / "kernels.so"
        for extra in ATTEMPTS:
            command = [*compiler.split(), *FLAGS, *extra, "-o", str(built), *map(str, SOURCES), "-lm"]
            run = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
            if run.returncode == 0:
                return _cpu_cache.keep(built, cache, key)
    raise RuntimeError(f"{compiler} failed: {(run.stderr.strip() or 'without a message').splitlines()[-1]}")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return "".join(sorted({line for line in lines if line.startswith(("flags", "model name", "Features"))}))


def _load(built: _cpu_cache.Library) -> ctypes.CDLL:
    library = ctypes.CDLL(_cpu_cache.loadable(built))
    for name, arguments in FUNCTIONS.items():
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, ctypes.c_int
    return library

"""For which devices mmcv's operators are compiled, decided before the compiler starts."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from environment.failure import SetupFailure

# Volta to Blackwell: one of each generation that people train on. A GPU runs what is compiled for its own generation.
COMMON = ("7.0", "7.5", "8.0", "8.6", "8.9", "9.0", "10.0", "12.0")
HOMES = ("CUDA_HOME", "CUDA_PATH")


@dataclass(frozen=True)
class Operators:
    """What the operators are compiled for.

    Args:
        archs: CUDA's compute capabilities as torch takes them (``8.0;9.0+PTX``); empty: the CPU alone.
        note: Why, where somebody might have expected something else.
        home: CUDA's folder, with ``bin/nvcc``.
    """

    archs: str = ""
    note: str = ""
    home: str = ""

    @property
    def kind(self) -> str:
        """For the key of the wheel."""
        return f"cuda-{re.sub('[^0-9A-Za-z.]+', '_', self.archs)}" if self.archs else "cpu"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that mmcv and torch read."""
        if self.archs:
            return {"FORCE_CUDA": "1", "TORCH_CUDA_ARCH_LIST": self.archs, "CUDA_HOME": self.home}
        # mmcv asks for nvcc as soon as torch sees a GPU
        return {"FORCE_CUDA": "0", "CUDA_VISIBLE_DEVICES": ""}


def choose_operators(probe: Mapping[str, Any], env: Mapping[str, str] | None = None) -> Operators:
    """Decide between the operators of a GPU and those of the CPU alone.

    ``FORCE_CUDA=0`` and ``FORCE_CUDA=1`` decide, if set; ``TORCH_CUDA_ARCH_LIST`` names the GPUs. Otherwise the GPUs of
    this machine are asked, and where there is none the operators are those of the CPU.

    Args:
        probe: What ``probe.py`` said about the environment.
        env: Variables; those of the process by default.

    Raises:
        SetupFailure: ``FORCE_CUDA=1`` where they cannot be compiled.
    """
    env = os.environ if env is None else env
    forced, wanted = asked_for(env)
    version = probe["torch"]["cuda"]
    if forced == "0" or (version is None and not forced and not wanted):
        return Operators()
    home = find_home(env)
    obstacle = find_obstacle(version, home, env)
    if obstacle:
        if forced == "1":
            raise SetupFailure(f"FORCE_CUDA=1: mmcv's operators cannot be compiled for a GPU: {obstacle}")
        return Operators(note=f"for the CPU alone: {obstacle}" if has_gpu(env) or wanted else "")
    if wanted:
        return Operators(wanted, f"for {wanted} (TORCH_CUDA_ARCH_LIST)", home)
    archs = gpus_here(env)
    if archs:
        return Operators(archs, f"for the GPUs here, {archs} (TORCH_CUDA_ARCH_LIST=... for others)", home)
    if forced == "1":
        archs = ";".join(common_archs(nvcc_in(home)))
        return Operators(archs, f"for {archs}, as no GPU is visible (TORCH_CUDA_ARCH_LIST=... for others)", home)
    return Operators(
        note="for the CPU alone, as no GPU is visible "
        "(for a GPU: TORCH_CUDA_ARCH_LIST=8.0 make env, with its compute capability)"
    )


def asked_for(env: Mapping[str, str]) -> tuple[str, str]:
    """What the user says of the devices: ``FORCE_CUDA`` and ``TORCH_CUDA_ARCH_LIST``.

    Raises:
        SetupFailure: ``FORCE_CUDA`` is neither 0 nor 1.
    """
    forced = env.get("FORCE_CUDA", "").strip()
    if forced not in ("", "0", "1"):
        raise SetupFailure(f"FORCE_CUDA={forced}: 1 compiles mmcv's operators for a GPU, 0 for the CPU alone")
    return forced, env.get("TORCH_CUDA_ARCH_LIST", "").strip()


def find_obstacle(version: str | None, home: str, env: Mapping[str, str]) -> str:
    """What keeps operators from being compiled for a GPU; empty: nothing."""
    if version is None:
        return "this torch is a CPU build"
    if shutil.which(nvcc_in(home)) is None:
        named = next((name for name in HOMES if env.get(name)), "")
        return f"{named}={home} has no bin/nvcc" if named else f"there is no nvcc (CUDA {version}) here"
    release = nvcc_release(nvcc_in(home))
    if release and release.split(".")[0] != version.split(".")[0]:
        return f"{nvcc_in(home)} is of CUDA {release} and torch of CUDA {version}"
    return ""


def find_home(env: Mapping[str, str]) -> str:
    """CUDA's folder as torch finds it, so that the compiler that is asked is the one that torch will use."""
    named = next((env[name] for name in HOMES if env.get(name)), "")
    nvcc = None if named else shutil.which("nvcc", path=env.get("PATH"))
    if nvcc:
        named = os.path.dirname(os.path.dirname(os.path.abspath(nvcc)))
    return os.path.abspath(named or "/usr/local/cuda")


def nvcc_in(home: str) -> str:
    return os.path.join(home, "bin", "nvcc")


def answer_of(*command: str) -> str:
    """What a program prints; empty where it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def nvcc_release(nvcc: str) -> str:
    """Such as ``13.0``; empty where the compiler does not say."""
    found = re.search(r"release (\d+\.\d+)", answer_of(nvcc, "--version"))
    return found[1] if found else ""


def has_gpu(env: Mapping[str, str]) -> bool:
    """Whether a GPU of NVIDIA's is visible to this process."""
    if env.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"):
        return False
    return any(Path("/dev").glob("nvidia[0-9]*")) or Path("/dev/nvgpu").exists() or Path("/dev/dxg").exists()


def gpus_here(env: Mapping[str, str]) -> str:
    """The compute capabilities of the visible GPUs, as ``TORCH_CUDA_ARCH_LIST`` takes them."""
    if not has_gpu(env):
        return ""
    said = answer_of("nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader")
    found = {line.strip() for line in said.splitlines() if re.fullmatch(r"\d+\.\d+", line.strip())}
    return ";".join(sorted(found, key=as_number))


def common_archs(nvcc: str) -> list[str]:
    """The usual compute capabilities that this compiler knows; the newest as PTX too, for GPUs that come after it."""
    known = {
        f"{major}.{minor}" for major, minor in re.findall(r"compute_(\d+)(\d)\b", answer_of(nvcc, "--list-gpu-arch"))
    }
    archs = [arch for arch in COMMON if arch in known] or ["8.0", "9.0"]
    return [*archs[:-1], f"{archs[-1]}+PTX"]


def as_number(arch: str) -> tuple[int, ...]:
    return tuple(int(part) for part in arch.split("."))

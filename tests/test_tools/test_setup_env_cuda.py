"""For which devices mmcv's operators are compiled: a stand-in for nvcc, and no GPU."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from environment import cuda
from environment.failure import SetupFailure
from helpers.env_checkout import KEY, Checkout, one_line

CUDA_TORCH = {"torch": {"version": "2.13.0+cu130", "cuda": "13.0"}}
CPU_TORCH = {"torch": {"version": "2.13.0+cpu", "cuda": None}}


def make_program(folder: Path, name: str, said: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{said}\n", "utf-8")
    path.chmod(0o755)


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """A machine with nvcc 13.0 and without a GPU."""
    home = tmp_path / "cuda"
    archs = "echo compute_75; echo compute_80; echo compute_90; echo compute_100; echo compute_120; echo compute_121"
    make_program(home / "bin", "nvcc", f'case "$1" in --version) echo "release 13.0, V13.0.88";; *) {archs};; esac')
    return {"CUDA_HOME": str(home), "PATH": str(tmp_path / "bin"), "CUDA_VISIBLE_DEVICES": ""}


@pytest.fixture
def gpu(env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The same machine with two kinds of GPU."""
    make_program(tmp_path / "bin", "nvidia-smi", "echo 9.0; echo 8.0; echo 9.0")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    monkeypatch.setattr(cuda, "has_gpu", lambda _: True)
    return env


def test_nvcc_without_a_gpu_gives_the_operators_of_the_cpu_and_says_how_to_get_others(env: dict[str, str]) -> None:
    operators = cuda.choose_operators(CUDA_TORCH, env)
    assert operators.kind == "cpu" and operators.environment["FORCE_CUDA"] == "0"
    assert "TORCH_CUDA_ARCH_LIST=" in operators.note


def test_forced_without_a_gpu_the_architectures_are_those_that_nvcc_knows(env: dict[str, str]) -> None:
    operators = cuda.choose_operators(CUDA_TORCH, env | {"FORCE_CUDA": "1"})
    assert operators.archs == "7.5;8.0;9.0;10.0;12.0+PTX"
    expected = {"FORCE_CUDA": "1", "TORCH_CUDA_ARCH_LIST": operators.archs, "CUDA_HOME": env["CUDA_HOME"]}
    assert operators.environment == expected
    assert operators.archs in operators.note


@pytest.mark.parametrize("forced", ["", "1"])
def test_named_architectures_are_taken(env: dict[str, str], forced: str) -> None:
    operators = cuda.choose_operators(CUDA_TORCH, env | {"TORCH_CUDA_ARCH_LIST": "8.6", "FORCE_CUDA": forced})
    assert operators.archs == "8.6"


def test_the_gpus_of_this_machine_are_asked(gpu: dict[str, str]) -> None:
    assert cuda.choose_operators(CUDA_TORCH, gpu).archs == "8.0;9.0"


def test_force_cuda_0_wins_over_a_gpu(gpu: dict[str, str]) -> None:
    assert cuda.choose_operators(CUDA_TORCH, gpu | {"FORCE_CUDA": "0"}) == cuda.Operators()


def test_a_cpu_build_of_torch_gets_the_operators_of_the_cpu_without_a_word(gpu: dict[str, str]) -> None:
    assert cuda.choose_operators(CPU_TORCH, gpu) == cuda.Operators()


@pytest.mark.parametrize(
    ("probe", "change"),
    [(CPU_TORCH, {}), (CUDA_TORCH, {"CUDA_HOME": "/nowhere"}), ({"torch": {"version": "2", "cuda": "12.8"}}, {})],
    ids=["a torch without CUDA", "no nvcc", "nvcc of another CUDA"],
)
def test_what_cannot_be_forced_is_refused_with_the_reason(
    env: dict[str, str], probe: dict[str, Any], change: dict[str, str]
) -> None:
    with pytest.raises(SetupFailure, match="FORCE_CUDA=1"):
        cuda.choose_operators(probe, env | change | {"FORCE_CUDA": "1"})


def test_an_nvcc_of_another_cuda_gives_the_operators_of_the_cpu_and_says_why(gpu: dict[str, str]) -> None:
    operators = cuda.choose_operators({"torch": {"version": "2.13.0+cu128", "cuda": "12.8"}}, gpu)
    assert operators.kind == "cpu" and "12.8" in operators.note and "13.0" in operators.note


def test_a_misspelt_force_cuda_is_answered(env: dict[str, str]) -> None:
    with pytest.raises(SetupFailure, match="FORCE_CUDA=yes"):
        cuda.choose_operators(CUDA_TORCH, env | {"FORCE_CUDA": "yes"})


def test_the_whole_set_up_passes_beside_an_nvcc_without_a_gpu(
    checkout: Checkout, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout.change(torch="2.13.0+cu130", cuda="13.0")
    for name in ("CUDA_HOME", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.setenv(name, env[name])
    status, said = checkout.set_up()
    assert status == 0 and "for the CPU alone" in said
    assert checkout.state["variables"]["FORCE_CUDA"] == "0"


def test_an_mmcv_that_fits_torch_is_kept_where_there_is_no_gpu_and_where_there_is_one(
    checkout: Checkout, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout.change(torch="2.13.0+cu130", cuda="13.0")
    monkeypatch.setenv("CUDA_HOME", env["CUDA_HOME"])
    monkeypatch.setenv("TORCH_CUDA_ARCH_LIST", "9.0")
    assert checkout.set_up()[0] == 0
    assert checkout.state["variables"]["TORCH_CUDA_ARCH_LIST"] == "9.0"
    monkeypatch.delenv("TORCH_CUDA_ARCH_LIST")
    checkout.change(calls=[])
    assert checkout.set_up()[0] == 0
    assert not checkout.calls_with("pip wheel")


def test_other_devices_are_compiled_for_when_they_are_asked_for(
    checkout: Checkout, env: dict[str, str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    checkout.change(torch="2.13.0+cu130", cuda="13.0")
    monkeypatch.setenv("CUDA_HOME", env["CUDA_HOME"])
    assert checkout.set_up()[0] == 0
    monkeypatch.setenv("FORCE_CUDA", "1")
    checkout.change(calls=[])
    assert checkout.set_up()[0] == 0
    assert len(checkout.calls_with("pip wheel")) == 1
    monkeypatch.setenv("FORCE_CUDA", "maybe")
    assert checkout.set_up()[0] == 1
    assert "FORCE_CUDA=maybe" in one_line(capfd.readouterr().err)


# -- the compiler that is asked is the one that torch takes ---------------------------------------


def make_nvcc(home: Path, release: str) -> str:
    make_program(home / "bin", "nvcc", f"echo release {release}, V{release}.1")
    return str(home)


@pytest.mark.parametrize("on_path", [True, False])
@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"CUDA_HOME": "a"},
        {"CUDA_PATH": "b"},
        {"CUDA_HOME": "a", "CUDA_PATH": "b"},
        {"CUDA_HOME": "", "CUDA_PATH": "b"},
    ],
)
def test_cuda_is_looked_for_where_torch_looks_for_it(
    variables: dict[str, str], on_path: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extension = pytest.importorskip("torch.utils.cpp_extension")
    for name in ("CUDA_HOME", "CUDA_PATH"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value and make_nvcc(tmp_path / value, "13.0"))
    make_nvcc(tmp_path / "c", "13.0")
    monkeypatch.setenv("PATH", str(tmp_path / "c" / "bin") if on_path else str(tmp_path))
    assert cuda.find_home(os.environ) == (extension._find_cuda_home() or "/usr/local/cuda")


@pytest.mark.parametrize(("named", "on_path", "taken"), [
    ("13.0", "12.8", "named"),
    ("12.8", "13.0", ""),
    (None, "13.0", "path"),
    (None, "12.8", ""),
    ("gone", "13.0", ""),
])  # fmt: skip
def test_the_compiler_that_is_judged_is_the_one_that_compiles(
    checkout: Checkout, named: str | None, on_path: str, taken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout.change(torch="2.13.0+cu130", cuda="13.0")
    if named is not None:
        monkeypatch.setenv("CUDA_HOME", str(tmp_path / "named"))
    if named not in (None, "gone"):
        make_nvcc(tmp_path / "named", named)
    make_nvcc(tmp_path / "path", on_path)
    monkeypatch.setenv("PATH", str(tmp_path / "path" / "bin"), prepend=":")
    monkeypatch.setenv("TORCH_CUDA_ARCH_LIST", "9.0")
    assert checkout.set_up()[0] == 0
    variables = checkout.state["variables"]
    assert variables["FORCE_CUDA"] == ("1" if taken else "0")
    assert not taken or variables["CUDA_HOME"] == str(tmp_path / taken)


# -- an mmcv that is there, and what is noted of it -----------------------------------------------

CUDA_KEY, CPU_KEY = KEY.replace("+cpu", "+cu130").removesuffix("cpu"), KEY


@pytest.mark.parametrize(("cuda_version", "asked", "built"), [
    ("13.0", {"FORCE_CUDA": "1"}, f"{CUDA_KEY}cuda-7.5_8.0_9.0_10.0_12.0_PTX"),
    ("13.0", {"TORCH_CUDA_ARCH_LIST": "8.6"}, f"{CUDA_KEY}cuda-8.6"),
    ("13.0", {"FORCE_CUDA": "1", "TORCH_CUDA_ARCH_LIST": "8.6"}, f"{CUDA_KEY}cuda-8.6"),
    ("13.0", {"FORCE_CUDA": "0"}, f"{CUDA_KEY}cpu"),
    ("13.0", {"FORCE_CUDA": "", "TORCH_CUDA_ARCH_LIST": " "}, ""),
    (None, {"FORCE_CUDA": "0"}, CPU_KEY),
    (None, {"TORCH_CUDA_ARCH_LIST": "8.6"}, ""),
    (None, {}, ""),
])  # fmt: skip
def test_an_mmcv_from_elsewhere_gives_way_only_to_operators_that_are_asked_for(
    checkout: Checkout, env: dict[str, str], cuda_version: str | None, asked: dict[str, str], built: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    checkout.change(installed={"pip": "26.3", "mmcv": "2.1.0"})
    if cuda_version:
        checkout.change(torch="2.13.0+cu130", cuda=cuda_version)
    monkeypatch.setenv("CUDA_HOME", env["CUDA_HOME"])
    for name, value in asked.items():
        monkeypatch.setenv(name, value)
    for _ in range(2):
        assert checkout.set_up()[0] == 0
        assert len(checkout.calls_with("pip wheel")) == bool(built)
    assert not built or checkout.note["mmcv"] == built


def test_one_that_an_earlier_set_up_found_and_kept_gives_way_too(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout.change(installed={"pip": "26.3", "mmcv": "2.1.0"})
    assert checkout.set_up()[0] == 0 and not checkout.calls_with("pip wheel")
    monkeypatch.setenv("FORCE_CUDA", "0")
    assert checkout.set_up()[0] == 0
    assert len(checkout.calls_with("pip wheel")) == 1 and checkout.note["mmcv"] == CPU_KEY


@pytest.mark.parametrize("asked", [{}, {"FORCE_CUDA": "0"}, {"TORCH_CUDA_ARCH_LIST": "8.6"}])
def test_beside_a_cpu_build_of_torch_the_note_holds_whatever_is_asked_for(
    checkout: Checkout, asked: dict[str, str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, value in asked.items():
        monkeypatch.setenv(name, value)
    assert checkout.set_up()[0] == 0
    assert checkout.note["mmcv"] == CPU_KEY and checkout.state["variables"]["FORCE_CUDA"] == "0"
    before = checkout.note
    for name in ("FORCE_CUDA", "TORCH_CUDA_ARCH_LIST"):
        monkeypatch.delenv(name, raising=False)
        assert checkout.set_up()[0] == 0
    monkeypatch.setenv("FORCE_CUDA", "1")
    assert checkout.set_up()[0] == 1 and "FORCE_CUDA=1" in one_line(capfd.readouterr().err)
    assert checkout.note == before and len(checkout.calls_with("pip wheel")) == 1


def test_after_an_interruption_the_note_still_tells_which_mmcv_is_there(
    checkout: Checkout, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout.change(torch="2.13.0+cu130", cuda="13.0")
    monkeypatch.setenv("CUDA_HOME", env["CUDA_HOME"])
    monkeypatch.setenv("FORCE_CUDA", "0")
    checkout.change(fail={"mmengine==": "ERROR: interrupted behind mmcv"})
    assert checkout.set_up()[0] == 1
    assert checkout.note == {"mmcv": f"{CUDA_KEY}cpu"}
    checkout.change(fail={})
    assert checkout.set_up()[0] == 0 and len(checkout.calls_with("pip wheel")) == 1
    monkeypatch.setenv("FORCE_CUDA", "1")
    checkout.change(fail={".whl": "ERROR: interrupted while mmcv is exchanged"})
    assert checkout.set_up()[0] == 1
    assert "mmcv" not in checkout.note  # either of the two may be there

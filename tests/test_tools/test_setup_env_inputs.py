"""What a user and a machine say to ``tools/misc/setup_env.py``: variables, limits and a note that is damaged."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from environment import machine
from helpers.env_checkout import Checkout, one_line


@pytest.mark.parametrize("setting", ["MAX_JOBS=x", "MAX_JOBS=0", "MAX_JOBS=-1", "MAX_JOBS=1.5", "FORCE_CUDA=yes"])
@pytest.mark.parametrize("complete", [False, True])
def test_a_value_that_is_none_is_one_line_before_anything_is_done(
    checkout: Checkout, setting: str, complete: bool, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    if complete:
        assert checkout.set_up()[0] == 0
    before = checkout.state
    monkeypatch.setenv(*setting.split("="))
    assert checkout.set_up()[0] == 1
    assert setting in one_line(capfd.readouterr().err) and checkout.state == before


@pytest.mark.parametrize("blank", ["", "  "])
def test_blank_variables_are_none(checkout: Checkout, blank: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.cpus, "available_cpus", lambda: 3)
    for name in ("CC", "CXX", "MAX_JOBS", "FORCE_CUDA", "TORCH_CUDA_ARCH_LIST"):
        monkeypatch.setenv(name, blank)
    assert checkout.set_up()[0] == 0
    variables = checkout.state["variables"]
    assert variables["MAX_JOBS"] == "3" and variables["FORCE_CUDA"] == "0"
    assert not {"CC", "CXX"} & set(variables)


def test_a_compiler_of_several_words_is_looked_for_by_the_first_and_handed_on(
    checkout: Checkout, compiler: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "c++ -pipe")
    assert checkout.set_up()[0] == 0
    assert checkout.state["variables"]["CXX"] == "c++ -pipe"


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b'"mmcv"', b"\xff\xfe", b'{"mmcv": 3, "inputs": []}'], ids=repr
)
def test_a_damaged_note_is_written_anew_and_mmcv_stays(checkout: Checkout, content: bytes) -> None:
    assert checkout.set_up()[0] == 0
    whole = checkout.note
    (checkout.root / ".venv" / "mmdist-env.json").write_bytes(content)
    checkout.change(calls=[])
    assert checkout.set_up()[0] == 0
    assert not checkout.calls_with("pip wheel") and set(checkout.note) == set(whole) == {"mmcv", "inputs"}
    checkout.change(calls=[])
    assert checkout.set_up()[0] == 0 and not checkout.state["calls"]


# -- how many compilers at a time -----------------------------------------------------------------

V1, V1_HOST = "4:cpu,cpuacct:/job\n0::/\n", "4:cpu,cpuacct:/docker/0123\n"


@pytest.mark.parametrize(("membership", "files", "jobs"), [
    ("0::/job\n", {"job/cpu.max": "200000 100000\n"}, 2),
    ("0::/job/step\n", {"job/cpu.max": "350000 100000\n"}, 3),
    ("0::/docker/0123\n", {"cpu.max": "50000 100000\n"}, 1),
    ("0::/job\n", {"job/cpu.max": "max 100000\n"}, 8),
    ("0::/job\n", {"job/cpu.max": "1600000 100000\n"}, 8),
    (V1, {"cpu,cpuacct/job/cpu.cfs_quota_us": "300000\n", "cpu,cpuacct/job/cpu.cfs_period_us": "100000\n"}, 3),
    (V1, {"cpu,cpuacct/job/cpu.cfs_quota_us": "-1\n", "cpu,cpuacct/job/cpu.cfs_period_us": "100000\n"}, 8),
    (V1_HOST, {"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "25000\n"}, 2),
    (None, {}, 8),
    ("nonsense\n", {}, 8),
])  # fmt: skip
def test_there_are_as_many_jobs_as_the_cgroup_grants_and_max_jobs_wins(
    user_cache: Path, membership: str | None, files: dict[str, str], jobs: int, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for name, text in files.items():
        path = tmp_path / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "ascii")
    if membership is not None:
        (tmp_path / "membership").write_text(membership, "ascii")
    monkeypatch.setattr(machine.cpus, "MEMBERSHIP", tmp_path / "membership")
    monkeypatch.setattr(machine.cpus, "GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    assert machine.count_jobs() == jobs
    monkeypatch.setenv("MAX_JOBS", "5")
    assert machine.count_jobs() == 5

"""The threads of a run on the CPU: from the machine, the launcher and the config, and from the user above all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from helpers.tiny_run import write_run

from mmdist.cli import train
from mmdist.engine import _cpus, threads
from mmdist.engine._cpus import available_cpus, cgroup_limits
from mmdist.engine.threads import choose_threads, local_processes
from mmdist.errors import ConfigError


@pytest.fixture
def restored(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No variable of the launchers, and torch's threads as before."""
    for name in list(os.environ):
        if name in threads.VARIABLES or name.startswith(("SLURM_", "LOCAL_", "OMPI_")):
            monkeypatch.delenv(name)
    before = torch.get_num_threads()
    yield monkeypatch
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("cpus", "workers", "count"),
    [(1, 0, 1), (2, 0, 1), (2, 8, 1), (3, 0, 2), (4, 0, 3), (4, 2, 2), (4, 4, 2), (8, 4, 4), (16, 2, 14), (16, 64, 8)],
)
def test_a_cpu_is_left_for_the_machine_and_for_each_data_worker(cpus: int, workers: int, count: int) -> None:
    assert choose_threads(cpus, workers, {}).count == count


def test_processes_on_a_machine_share_its_cpus() -> None:
    assert choose_threads(16, 0, {"LOCAL_WORLD_SIZE": "4"}).count == 3
    assert choose_threads(16, 0, {"OMPI_COMM_WORLD_LOCAL_SIZE": "2"}).count == 7
    assert choose_threads(2, 0, {"LOCAL_WORLD_SIZE": "8"}).count == 1
    step = {"SLURM_STEP_ID": "0", "SLURM_NTASKS_PER_NODE": "8"}
    assert local_processes(step) == 8
    assert local_processes(step | {"SLURM_STEP_TASKS_PER_NODE": "2(x3),1"}) == 2
    # What slurm gives to each task is this task's alone; outside a step there is one process.
    assert local_processes(step | {"SLURM_CPUS_PER_TASK": "4"}) == 1
    assert local_processes({"SLURM_NTASKS_PER_NODE": "8"}) == 1
    assert local_processes(step | {"SLURM_CPUS_PER_TASK": "4", "LOCAL_WORLD_SIZE": "2"}) == 2


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "MKL_NUM_THREADS"])
@pytest.mark.parametrize(("value", "count"), [("1", 1), (" 64 ", 64), ("6,2", 6)])
def test_what_the_user_has_set_counts(name: str, value: str, count: int) -> None:
    chosen = choose_threads(4, 2, {name: value, "LOCAL_WORLD_SIZE": "4"})
    assert (chosen.count, chosen.variable) == (count, name)


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5"])
def test_a_number_of_threads_that_is_none_is_answered(value: str) -> None:
    with pytest.raises(ConfigError, match=r"OMP_NUM_THREADS = .*a number above 0"):
        choose_threads(4, 0, {"OMP_NUM_THREADS": value})


def test_an_empty_variable_is_none_that_is_set() -> None:
    assert choose_threads(4, 0, {"OMP_NUM_THREADS": ""}) == choose_threads(4, 0, {})


def group(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_quotas_of_both_versions_are_found_in_the_group_and_above_it(tmp_path: Path) -> None:
    assert list(cgroup_limits("0::/a/b\n", tmp_path)) == []
    group(tmp_path / "a" / "b", cpu__max="max 100000\n")
    assert list(cgroup_limits("0::/a/b\n", tmp_path)) == []
    group(tmp_path / "a", cpu__max="250000 100000\n")
    assert list(cgroup_limits("0::/a/b\n", tmp_path)) == [2.5]
    # A container that is shown the host's path has its own group at the mount.
    group(tmp_path, cpu__max="150000 100000\n")
    assert min(cgroup_limits("0::/docker/0123\n", tmp_path)) == 1.5
    first = tmp_path / "first"
    group(first / "cpu,cpuacct" / "job", cpu__cfs_quota_us="-1\n", cpu__cfs_period_us="100000\n")
    membership = "9:memory:/job\n4:cpu,cpuacct:/job\n0::/\n"
    assert list(cgroup_limits(membership, first)) == []
    group(first / "cpu,cpuacct" / "job", cpu__cfs_quota_us="400000\n")
    assert list(cgroup_limits(membership, first)) == [4.0]
    group(first / "cpu,cpuacct" / "job", cpu__cfs_quota_us="broken\n")
    assert list(cgroup_limits(membership, first)) == []


def test_the_cpus_are_those_that_the_process_is_bound_to_and_that_are_granted(
    restored: pytest.MonkeyPatch,
) -> None:
    restored.setattr(os, "sched_getaffinity", lambda _: set(range(12)), raising=False)
    restored.setattr(_cpus, "cgroup_limits", lambda *_: iter([64.0]))
    assert available_cpus() == 12
    restored.setattr(_cpus, "cgroup_limits", lambda *_: iter([64.0, 2.5]))
    assert available_cpus() == 2
    restored.setattr(_cpus, "cgroup_limits", lambda *_: iter([0.5]))
    assert available_cpus() == 1
    restored.setattr(_cpus, "cgroup_limits", lambda *_: iter([]))
    restored.setenv("SLURM_CPUS_PER_TASK", "5")
    assert available_cpus() == 5


def test_the_number_is_set_said_and_never_raised(
    restored: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    restored.setattr(threads, "get_device", lambda: "cpu")
    restored.setattr(threads, "available_cpus", lambda: 4)
    torch.set_num_threads(4)
    assert threads.use_threads(workers=2).count == torch.get_num_threads() == 2
    assert capfd.readouterr().out.count("CPU threads: 2 (4 CPUs;") == 1
    assert threads.use_threads(workers=0).count == torch.get_num_threads() == 2
    torch.set_num_threads(4)
    restored.setenv("OMP_NUM_THREADS", "4")
    assert threads.use_threads(workers=2).count == torch.get_num_threads() == 4
    assert "OMP_NUM_THREADS" in capfd.readouterr().out


def test_with_a_gpu_nothing_is_set(restored: pytest.MonkeyPatch) -> None:
    restored.setattr(threads, "get_device", lambda: "cuda")
    torch.set_num_threads(4)
    assert threads.use_threads(workers=0) is None
    assert torch.get_num_threads() == 4 and "OMP_NUM_THREADS" not in os.environ
    assert threads.variables_for_tools(None) == {}


def test_tools_get_the_same_threads_which_sleep_while_they_wait(restored: pytest.MonkeyPatch) -> None:
    restored.delenv("OMP_WAIT_POLICY", raising=False)
    chosen = choose_threads(4, 0, {})
    assert threads.variables_for_tools(chosen) == {"OMP_NUM_THREADS": "3", "OMP_WAIT_POLICY": "passive"}
    restored.setenv("OMP_WAIT_POLICY", "active")
    by_user = choose_threads(4, 0, {"OMP_NUM_THREADS": "7"})
    assert threads.variables_for_tools(by_user) == {"OMP_WAIT_POLICY": "active"}


def test_a_training_says_its_threads_once(
    restored: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    restored.setattr(threads, "get_device", lambda: "cpu")
    restored.setenv("LOCAL_RANK", "0")
    restored.chdir(tmp_path)
    assert train.main([str(write_run(tmp_path)), "--no-validate"]) == 0
    assert capfd.readouterr().out.count("CPU threads: ") == 1

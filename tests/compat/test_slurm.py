"""Fix 8: slurm's environment."""

from __future__ import annotations

import os
import socket

import pytest

from mmdist.compat import slurm
from mmdist.errors import ConfigError

OURS = ("MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE", "LOCAL_RANK")
TASK = {
    "SLURM_JOB_ID": "4711",
    "SLURM_STEP_ID": "0",
    "SLURM_PROCID": "3",
    "SLURM_NTASKS": "4",
    "SLURM_LOCALID": "1",
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_STEP_NODELIST": "localhost,n[2-3]",
}


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The environment of the last of four tasks on two nodes; what is set is put back afterwards."""
    for name in [*OURS, *(name for name in os.environ if name.startswith("SLURM_"))]:
        monkeypatch.setenv(name, "put back afterwards")
        monkeypatch.delenv(name)
    for name, value in TASK.items():
        monkeypatch.setenv(name, value)
    # Where scontrol cannot be found: it must not be needed.
    monkeypatch.setenv("PATH", "/nowhere")
    return monkeypatch


def ours() -> dict[str, str]:
    return {name: os.environ[name] for name in OURS}


def test_the_environment_of_a_task_is_complete_without_scontrol(task) -> None:
    slurm.prepare_environment()
    expected = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(slurm.default_port(4711, 0))}
    assert ours() == {**expected, "RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1"}


def test_preparing_twice_changes_nothing(task) -> None:
    task.setenv("SLURM_PROCID", "0")
    slurm.prepare_environment()
    before = ours()
    # The first task listens on the port by then.
    with socket.socket() as store:
        store.bind(("", int(before["MASTER_PORT"])))
        store.listen()
        slurm.prepare_environment()
    assert ours() == before


def test_an_address_and_a_port_of_the_users_are_kept(task) -> None:
    task.setenv("MASTER_ADDR", "10.0.0.1")
    task.setenv("MASTER_PORT", "12345")
    slurm.prepare_environment()
    assert (os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]) == ("10.0.0.1", "12345")


def test_the_ranks_of_the_shell_are_not_believed(task) -> None:
    task.setenv("RANK", "0")
    task.setenv("LOCAL_RANK", "0")
    slurm.prepare_environment()
    assert (os.environ["RANK"], os.environ["LOCAL_RANK"]) == ("3", "1")


def test_tasks_on_one_node_meet_without_a_name_service(task) -> None:
    task.setenv("SLURM_STEP_NUM_NODES", "1")
    task.setenv("SLURM_STEP_NODELIST", "no-such-host.invalid")
    slurm.prepare_environment()
    assert os.environ["MASTER_ADDR"] == "127.0.0.1"


def test_jobs_and_steps_that_run_at_the_same_time_take_different_ports() -> None:
    ports = {slurm.default_port(job, step) for job in range(1000, 1100) for step in range(20)}
    assert len(ports) == 100 * 20
    assert all(1024 < port < 32768 for port in ports)


def test_a_port_that_is_taken_is_said_at_once(task) -> None:
    task.setenv("SLURM_PROCID", "0")
    with socket.socket() as other:
        other.bind(("", slurm.default_port(4711, 0)))
        other.listen()
        with pytest.raises(ConfigError, match=r"MASTER_PORT = \d+: expected a port that is free.*set MASTER_PORT"):
            slurm.prepare_environment()
    assert "MASTER_PORT" not in os.environ


@pytest.mark.parametrize("missing", ["SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", "SLURM_STEP_ID", "SLURM_JOB_ID"])
def test_outside_srun_the_message_says_so(task, missing: str) -> None:
    task.delenv(missing)
    with pytest.raises(ConfigError, match=rf"srun \({missing} is not set\); start it with srun"):
        slurm.prepare_environment()
    assert not set(OURS) & set(os.environ)


def test_a_node_without_an_address_is_named(task) -> None:
    task.setenv("SLURM_STEP_NODELIST", "no-such-host.invalid,localhost")
    with pytest.raises(ConfigError, match=r"MASTER_ADDR = 'no-such-host\.invalid'.*set MASTER_ADDR"):
        slurm.prepare_environment()


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("n1", "n1"),
        ("n1,n2", "n1"),
        ("n[1-3,7]", "n1"),
        ("n[7,1-3]", "n7"),
        ("gpu-[007-012]-ib,login", "gpu-007-ib"),
        ("rack[2-3]n[04,06]", "rack2n04"),
        ("a-b[1]", "a-b1"),
        ("", ""),
    ],
)
def test_the_first_node_of_a_list_is_found(nodes: str, first: str) -> None:
    assert slurm.first_host(nodes) == first

"""Fix 7: process groups on CPUs."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import mmdist
from mmdist.compat import process_group
from mmdist.errors import ConfigError

pytest.importorskip("mmengine")
cpu_only = pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without an accelerator")

RUN = """
import sys
import torch, torch.distributed as dist
import mmdist
from mmdist.compat import process_group
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.runner import Runner

class Toy(BaseModel):
    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(2, 1)

    def forward(self, x, mode="tensor"):
        return {"loss": self.fc(x).square().mean()} if mode == "loss" else self.fc(x)

launcher, parts = sys.argv[1], sys.argv[2:]
wrapper = Config(dict(launcher=launcher))
if "group" in parts:
    process_group.init_cpu_process_group(launcher)
    process_group.init_cpu_process_group(launcher)
if "wrapper" in parts:
    process_group.use_cpu_model_wrapper(wrapper)
data = [torch.full((2,), float(number)) for number in range(4)]
runner = Runner(
    model=Toy(), work_dir="work", experiment_name="toy", launcher=launcher, log_level="ERROR",
    train_dataloader=dict(batch_size=1, dataset=data, sampler=dict(type="DefaultSampler", shuffle=False),
                          collate_fn=lambda batch: dict(x=torch.stack(batch))),
    train_cfg=dict(by_epoch=False, max_iters=2), optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.1)),
    cfg=wrapper, randomness=dict(seed=1),
)
runner.train()
print(dist.get_backend(), dist.get_rank(), dist.get_world_size(), runner.model.module.fc.weight.sum().item())
dist.destroy_process_group()
"""


GROUP = """
import sys
import torch, torch.distributed as dist
from mmdist.compat import process_group
process_group.init_cpu_process_group(sys.argv[1])
total = torch.tensor([dist.get_rank() + 1])
dist.all_reduce(total)
print(dist.get_backend(), dist.get_rank(), dist.get_world_size(), total.item())
dist.destroy_process_group()
"""


def start(tmp_path: Path, launcher: str, *parts: str, code: str | None = None, **env: str) -> subprocess.Popen[str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "OMPI_", "MASTER_"))}
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", RUN if code is None else code, launcher, *parts],
        cwd=tmp_path,
        env={**inherited, "PYTHONPATH": str(Path(mmdist.__file__).parents[1]), "OMP_NUM_THREADS": "1", **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def of_torchrun(rank: int, size: int, port: str) -> dict[str, str]:
    own = {"RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_RANK": str(rank)}
    return {**own, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}


def of_slurm(rank: int, size: int, port: str) -> dict[str, str]:
    own = {"SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank), "SLURM_NTASKS": str(size), "SLURM_JOB_ID": port}
    return {**own, "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_NODES": "1", "SLURM_NODELIST": "n1"}


def of_mpi(rank: int, size: int, port: str) -> dict[str, str]:
    own = {"RANK": str(rank), "SIZE": str(size), "LOCAL_RANK": str(rank), "LOCAL_SIZE": str(size)}
    return {**{f"OMPI_COMM_WORLD_{name}": value for name, value in own.items()}, "MASTER_PORT": port}


def last_lines(processes: list[subprocess.Popen[str]]) -> list[list[str]]:
    outputs = [process.communicate(timeout=120) for process in processes]
    assert all(process.returncode == 0 for process in processes), outputs
    return [output.splitlines()[-1].split() for output, _ in outputs]


@cpu_only
def test_two_processes_train_one_model_on_cpus(tmp_path: Path) -> None:
    port = free_port()
    both = [start(tmp_path, "pytorch", "group", "wrapper", **of_torchrun(rank, 2, port)) for rank in range(2)]
    first, second = last_lines(both)
    assert (first[:3], second[:3]) == (["gloo", "0", "2"], ["gloo", "1", "2"])
    assert first[3] == second[3]


@cpu_only
@pytest.mark.parametrize(("launcher", "environment"), [("slurm", of_slurm), ("mpi", of_mpi)])
def test_the_tasks_of_a_cluster_form_a_group(tmp_path: Path, launcher: str, environment) -> None:
    port = free_port()
    both = [start(tmp_path, launcher, code=GROUP, **environment(rank, 2, port)) for rank in range(2)]
    assert last_lines(both) == [["gloo", "0", "2", "3"], ["gloo", "1", "2", "3"]]


@cpu_only
@pytest.mark.parametrize(("parts", "message"), [((), "cuda"), (("group",), "device_ids")])
def test_the_runner_alone_cannot_train_on_cpus(tmp_path: Path, parts: tuple[str, ...], message: str) -> None:
    process = start(tmp_path, "pytorch", *parts, **of_torchrun(0, 1, free_port()))
    _, error = process.communicate(timeout=120)
    assert process.returncode != 0
    assert message in error


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No launcher's variable is set."""
    for name in list(os.environ):
        if name.startswith(("SLURM_", "OMPI_")) or name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
            monkeypatch.delenv(name)
    return monkeypatch


@cpu_only
@pytest.mark.parametrize(
    ("launcher", "missing", "remedy"),
    [("pytorch", "RANK", "torchrun"), ("slurm", "SLURM_PROCID", "srun"), ("mpi", "OMPI_COMM_WORLD_RANK", "mpirun")],
)
def test_a_process_that_no_launcher_started_is_told_what_is_missing(bare, launcher, missing, remedy) -> None:
    with pytest.raises(ConfigError, match=rf"launcher = '{launcher}': .*{missing}.*{remedy}"):
        process_group.init_cpu_process_group(launcher)


@cpu_only
def test_mpi_on_several_machines_needs_an_address(bare) -> None:
    for name, value in {"RANK": "0", "SIZE": "4", "LOCAL_RANK": "0", "LOCAL_SIZE": "2"}.items():
        bare.setenv(f"OMPI_COMM_WORLD_{name}", value)
    with pytest.raises(ConfigError, match="MASTER_ADDR"):
        process_group.init_cpu_process_group("mpi")


def test_an_unknown_launcher_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="did you mean 'slurm'"):
        process_group.init_cpu_process_group("slrum")


def test_one_process_needs_no_group() -> None:
    process_group.init_cpu_process_group("none")
    assert not process_group.active()


@pytest.mark.parametrize("launcher", ["pytorch", "slurm", "mpi"])
def test_nothing_is_done_with_an_accelerator(monkeypatch: pytest.MonkeyPatch, launcher: str) -> None:
    monkeypatch.setattr(process_group, "_cpu_only", lambda: False)
    cfg: dict = {}
    process_group.init_cpu_process_group(launcher)
    process_group.use_cpu_model_wrapper(cfg)
    assert cfg == {}
    assert not process_group.active()


def test_the_users_own_wrapper_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_group, "_cpu_only", lambda: True)
    cfg = {"model_wrapper_cfg": {"type": "MMSeparateDistributedDataParallel", "find_unused_parameters": True}}
    process_group.use_cpu_model_wrapper(cfg)
    assert cfg["model_wrapper_cfg"] == {
        "type": "MMSeparateDistributedDataParallel",
        "find_unused_parameters": True,
        "device_ids": None,
    }

"""Training and evaluation on a real cluster of two nodes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import torch

ITERATIONS = 20


def trace(work_dir: Path, rank: int) -> list[str]:
    return (work_dir / f"rank{rank}.txt").read_text().splitlines()


def state(work_dir: Path) -> dict[str, torch.Tensor]:
    return torch.load(work_dir / "epoch_10.pth", weights_only=False)["state_dict"]


def test_two_nodes_train_one_model(whole: Path) -> None:
    assert trace(whole, 0) == [f"{i} n1" for i in range(ITERATIONS)]
    assert trace(whole, 1) == [f"{i} n2" for i in range(ITERATIONS)]
    assert torch.load(whole / "epoch_10.pth", weights_only=False)["meta"]["iter"] == ITERATIONS


@pytest.mark.parametrize("form", [("--signal=USR1",), ("--batch", "--signal=USR1")])
def test_a_preempted_job_is_requeued_and_ends_as_if_it_had_not_been(slurm, config: Path, whole: Path, form) -> None:
    """The signal reaches the tasks, or the batch script alone: as ``#SBATCH --signal`` without and with ``B:``."""
    job = slurm.submit(f"{config} run", "--requeue", TRACE_PAUSE="0.3")
    run = slurm.folder / "run"
    slurm.wait(lambda: (run / "rank0.txt").is_file() and len(trace(run, 0)) > 4)
    slurm.ask("scancel", *form, job)
    slurm.restart_now(job)
    stopped = torch.load(run / "preempted.pth", weights_only=False)["meta"]["iter"]
    assert len(trace(run, 0)) == len(trace(run, 1)) == stopped < ITERATIONS
    slurm.wait_state(job, "COMPLETED")
    assert slurm.state(job)["Restarts"] == "1"
    for rank in (0, 1):
        assert trace(run, rank) == trace(whole, rank)  # every iteration once
    expected, got = state(whole), state(run)
    assert list(got) == list(expected)
    assert all(torch.equal(got[key], expected[key]) for key in expected)


def test_two_jobs_on_one_node_keep_apart(slurm, config: Path) -> None:
    variables = {"GPUS": "2", "SRUN_ARGS": "--nodelist=n1", "TRACE_PAUSE": "0.3"}
    command = ["bash", str(slurm.tool("slurm_train.sh")), "gpu", "twin", str(config)]
    jobs = [
        subprocess.Popen(
            [*command, name],
            cwd=slurm.folder,
            env=slurm.env | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for name in ("one", "two")
    ]
    started = [slurm.folder / name / "rank1.txt" for name in ("one", "two")]
    slurm.wait(lambda: all(path.is_file() for path in started))
    together = [job.poll() for job in jobs]
    outputs = [job.communicate(timeout=200)[0] for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0], outputs
    assert together == [None, None]
    for name in ("one", "two"):
        for rank in (0, 1):
            assert trace(slurm.folder / name, rank) == [f"{i} n1" for i in range(ITERATIONS)]


def test_a_checkpoint_is_evaluated_on_two_nodes(slurm, config: Path, whole: Path) -> None:
    variables = {"GPUS": "2", "SRUN_ARGS": "--nodes=2 --ntasks-per-node=1"}
    done = slurm.run(slurm.tool("slurm_test.sh"), "gpu", "job", config, whole / "epoch_10.pth", **variables)
    assert done.returncode == 0, done.stderr
    assert "accuracy/top1" in done.stdout + done.stderr

"""The shell scripts: what they hand to slurm and to torchrun, argument by argument."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers.processes import free_port
from helpers.tiny_run import ROOT, environment, write_run

TOOLS = ROOT / "tools"
SCRIPTS = ("dist_train.sh", "dist_test.sh", "slurm_train.sh", "slurm_test.sh")
RECORD = """#!/usr/bin/env bash
printf '%s\\n' "$@" > "$RECORD_TO"
echo "$PYTHONPATH" > "$RECORD_TO.path"
"""


@pytest.fixture
def recorder(tmp_path: Path) -> Path:
    """A folder with a `srun` and a `python` that write their arguments down."""
    for name in ("srun", "python"):
        (tmp_path / name).write_text(RECORD)
        (tmp_path / name).chmod(0o755)
    return tmp_path


def call(recorder: Path, name: str, *args: str, **variables: str) -> list[str]:
    """Run a script away from the repository; the arguments that reached srun or python."""
    env = environment(PATH=f"{recorder}:{os.environ['PATH']}", RECORD_TO=str(recorder / "record"), **variables)
    if "PYTHON" not in variables:
        env.pop("PYTHON")
    done = subprocess.run([str(TOOLS / name), *args], cwd=recorder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return (recorder / "record").read_text().splitlines()


@pytest.mark.parametrize("name", SCRIPTS)
def test_missing_arguments_are_answered_with_the_usage(name: str, tmp_path: Path) -> None:
    done = subprocess.run([str(TOOLS / name), "a.py"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: ")
    assert name in done.stderr


def test_slurm_trains_with_mmdetections_positions_and_defaults(recorder: Path) -> None:
    assert call(recorder, "slurm_train.sh", "gpu", "my job", "a b.py", "work dir", "--amp") == [
        *("-p", "gpu", "--job-name=my job", "--gres=gpu:8", "--ntasks-per-node=8", "--ntasks=8"),
        *("--cpus-per-task=5", "--kill-on-bad-exit=1"),
        *("python", "-u", str(TOOLS / "train.py"), "a b.py", "--work-dir=work dir", "--launcher=slurm", "--amp"),
    ]


def test_slurm_takes_its_sizes_and_more_options_from_the_environment(recorder: Path) -> None:
    variables = {"GPUS": "4", "GPUS_PER_NODE": "2", "CPUS_PER_TASK": "3", "PYTHON": "python3.11"}
    got = call(
        *(recorder, "slurm_test.sh", "gpu", "job", "a.py", "a.pth", "--tta"),
        **variables,
        SRUN_ARGS="--quotatype=auto --exclusive",
        PY_ARGS="--out a.pkl",
    )
    assert got == [
        *("-p", "gpu", "--job-name=job", "--gres=gpu:2", "--ntasks-per-node=2", "--ntasks=4", "--cpus-per-task=3"),
        *("--kill-on-bad-exit=1", "--quotatype=auto", "--exclusive", "python3.11", "-u", str(TOOLS / "test.py")),
        *("a.py", "a.pth", "--launcher=slurm", "--out", "a.pkl", "--tta"),
    ]


def test_without_gpus_slurm_is_asked_for_none(recorder: Path) -> None:
    got = call(recorder, "slurm_train.sh", "cpu", "job", "a.py", "w", GPUS="2", GPUS_PER_NODE="0")
    assert "--ntasks=2" in got
    assert not [argument for argument in got if "gres" in argument or "per-node" in argument]


def test_in_a_batch_job_the_sizes_are_those_of_the_job(recorder: Path) -> None:
    job = {"SLURM_NTASKS": "12", "SLURM_NTASKS_PER_NODE": "4", "SLURM_CPUS_PER_TASK": "6"}
    got = call(recorder, "slurm_test.sh", "gpu", "job", "a.py", "a.pth", **job)
    assert got[2:7] == ["--job-name=job", "--gres=gpu:4", "--ntasks-per-node=4", "--ntasks=12", "--cpus-per-task=6"]


def options(arguments: list[str]) -> dict[str, str]:
    return dict(argument.split("=", 1) for argument in arguments if argument.startswith("--") and "=" in argument)


def test_torchrun_gets_mmdetections_environment(recorder: Path) -> None:
    got = call(
        *(recorder, "dist_train.sh", "a b.py", "4", "--cfg-options", "a=1 2"),
        NNODES="2",
        NODE_RANK="1",
        PORT="1234",
        MASTER_ADDR="10.0.0.1",
    )
    assert got == [
        *("-m", "torch.distributed.run", "--nnodes=2", "--node_rank=1", "--nproc_per_node=4"),
        *("--master_addr=10.0.0.1", "--master_port=1234", str(TOOLS / "train.py"), "a b.py", "--launcher", "pytorch"),
        *("--cfg-options", "a=1 2"),
    ]


def test_two_runs_on_one_machine_get_two_ports(tmp_path: Path) -> None:
    fake = tmp_path / "python"
    fake.write_text(f'#!/usr/bin/env bash\n[ "$1" = -c ] && exec "$REAL" "$@"\n{RECORD.partition(chr(10))[2]}')
    fake.chmod(0o755)
    calls = [call(tmp_path, "dist_test.sh", "a.py", "a.pth", "2", REAL=sys.executable) for _ in "ab"]
    ports = [options(got)["--master_port"] for got in calls]
    assert len(set(ports)) == 2
    assert all(1024 < int(port) < 65536 for port in ports)


def test_several_machines_agree_on_a_port(recorder: Path) -> None:
    got = call(recorder, "dist_test.sh", "a.py", "a.pth", "2", NNODES="2")
    assert options(got)["--master_port"] == "29500"
    assert got[-5:] == [str(TOOLS / "test.py"), "a.py", "a.pth", "--launcher", "pytorch"]


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="two machines would need two GPUs")
def test_two_machines_train_one_model(tmp_path: Path) -> None:
    """Both are this one; they meet at an address and a port as two would."""
    write_run(tmp_path)
    common = {"NNODES": "2", "MASTER_ADDR": "127.0.0.1", "PORT": str(free_port())}
    machines = [
        subprocess.Popen(
            [str(TOOLS / "dist_train.sh"), "distill.py", "1", "--work-dir", "run"],
            cwd=tmp_path,
            env=environment(NODE_RANK=str(rank), **common),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    outputs = [machine.communicate(timeout=240)[0] for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0], outputs
    state = torch.load(tmp_path / "run" / "epoch_1.pth", weights_only=False)
    assert state["meta"]["iter"] == 2  # 8 images, 2 processes of 2
    assert "Epoch(train) [1][2/2]" in outputs[0]
    assert "Epoch(train)" not in outputs[1]  # the second machine leaves the log to the first


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_checkout_is_importable_in_the_run(name: str, recorder: Path) -> None:
    call(recorder, name, "a", "b", "c", "d", PORT="1234")
    path = (recorder / "record.path").read_text().strip().split(":")[0]
    assert Path(path).resolve() == ROOT


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_scripts_can_be_executed(name: str) -> None:
    assert os.access(TOOLS / name, os.X_OK)

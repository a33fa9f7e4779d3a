"""What slurm_train.sh does with the job around a run, on a real cluster."""

from __future__ import annotations

import subprocess

import pytest


def lines(slurm, text: str = "task") -> list[str]:
    path = slurm.folder / "stub.txt"
    return [line for line in path.read_text().splitlines() if text in line] if path.exists() else []


def started(slurm, tasks: int = 2) -> None:
    slurm.wait(lambda: len(lines(slurm)) == tasks)


def log(slurm, name: str = "job4294967294.log") -> str:  # %a of a job that is no array
    return (slurm.folder / name).read_text()


def test_srun_answers_with_the_code_of_the_run(stub) -> None:
    """Without a batch script there is nothing to run again: who started it learns that it can go on."""
    variables = {"GPUS": "2", "SRUN_ARGS": "--nodes=2 --ntasks-per-node=1"}
    process = subprocess.Popen(
        [str(stub.tool("slurm_train.sh")), "gpu", "direct", "a.py", "run"], cwd=stub.folder, env=stub.env | variables
    )
    started(stub)
    stub.ask("scancel", "--signal=USR1", "--name=direct")
    assert process.wait(timeout=60) == 75
    assert not lines(stub, "--resume")


def test_the_sizes_are_those_of_the_job_and_a_restart_resumes(stub) -> None:
    job = stub.submit("a.py run", "--requeue")
    started(stub)
    assert not lines(stub, "--resume")
    stub.ask("scancel", "--signal=USR1", job)
    stub.restart_now(job)
    stub.wait_state(job, "COMPLETED")
    assert sorted(line.split(":")[0] for line in lines(stub, "--resume")) == ["task 0", "task 1"]
    assert f"job {job} is requeued" in log(stub)


def test_a_script_around_it_may_go_on_after_the_run(stub) -> None:
    job = stub.submit("a.py run; echo code $?; exit 3", "--no-requeue", exec_=False)
    started(stub)
    stub.ask("scancel", "--signal=USR1", job)
    stub.wait_state(job, "FAILED")
    assert stub.state(job)["ExitCode"] == "3:0"
    assert "code 75" in log(stub)


def test_a_job_that_is_not_to_be_requeued_ends_with_the_code(stub) -> None:
    job = stub.submit("a.py run", "--no-requeue")
    started(stub)
    stub.ask("scancel", "--signal=USR1", job)
    stub.wait_state(job, "FAILED")
    assert stub.state(job)["ExitCode"] == "75:0"
    assert not lines(stub, "--resume")


def test_a_job_that_is_cancelled_can_save_and_stays_cancelled(stub) -> None:
    job = stub.submit("a.py run", "--requeue")
    started(stub)
    stub.ask("scancel", job)
    stub.wait_state(job, "CANCELLED")
    assert stub.state(job)["Restarts"] == "0"
    # 75: slurm's SIGTERM was answered by the tasks, and the batch script waited for them.
    assert "Exited with exit code 75" in log(stub)


def test_of_an_array_the_one_task_is_requeued(stub) -> None:
    job = stub.submit("a.py run$SLURM_ARRAY_TASK_ID", "--requeue", "--array=0-1")
    started(stub, tasks=4)
    stub.ask("scancel", "--signal=USR1", f"{job}_1")
    stub.restart_now(f"{job}_1")
    stub.wait_state(f"{job}_1", "COMPLETED")
    assert stub.state(f"{job}_0")["JobState"] == "RUNNING"
    assert stub.state(f"{job}_0")["Restarts"] == "0"
    assert all("--work-dir=run1" in line for line in lines(stub, "--resume"))


@pytest.mark.parametrize("name", ["slurm_train.sh", "slurm_test.sh"])
def test_a_copy_of_the_script_says_how_to_start_it(stub, name: str) -> None:
    """Sbatch runs a copy of its script, where nothing lies beside it."""
    done = stub.run("sbatch", "--wait", "--output=job.log", stub.tool(name), "gpu", "job", "a.py", "run")
    assert done.returncode == 2
    assert f"bash tools/{name}" in log(stub, "job.log")

"""The cluster that `make test-slurm` starts. Without it these tests are skipped: no other cluster gets their jobs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers.tiny_run import ROOT, environment, write_run

HERE = Path(__file__).parent
# What the scripts do by themselves can be tested with a run that takes no time.
STUB = """#!/usr/bin/env bash
echo "task $SLURM_PROCID: $*" >> "$STUB_LOG"
case "${STUB_ENDS:-} $* " in *" --resume "* | 1*) exit 0 ;; esac
trap 'exit 75' USR1 TERM
while :; do sleep 0.1; done
"""


class Slurm:
    """The cluster, and a folder for the jobs of a test."""

    def __init__(self, conf: str, folder: Path) -> None:
        self.folder = folder
        self.env = environment(
            SLURM_CONF=conf,
            PYTHONPATH=str(HERE),  # of trace.py; the scripts put the checkout in front
            PYTHON=sys.executable,
            GPUS_PER_NODE="0",
            CPUS_PER_TASK="1",
        )

    @staticmethod
    def tool(name: str) -> Path:
        """A script of tools/."""
        return ROOT / "tools" / name

    def run(self, *command: object, **variables: str) -> subprocess.CompletedProcess[str]:
        """A command in the folder; it may fail."""
        words = list(map(str, command))
        return subprocess.run(
            words, cwd=self.folder, env=self.env | variables, capture_output=True, text=True, timeout=240
        )

    def ask(self, *command: object) -> str:
        """What a command of slurm's answers."""
        done = self.run(*command)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def submit(self, train: str, *options: str, exec_: bool = True, **variables: str) -> str:
        """A batch job of two nodes that calls slurm_train.sh with these words; its number."""
        script = self.folder / "job.sh"
        start = "exec " if exec_ else ""
        script.write_text(f"#!/usr/bin/env bash\n{start}bash '{ROOT}/tools/slurm_train.sh' gpu job {train}\n")
        done = self.run(
            *("sbatch", "--parsable", "--nodes=2", "--ntasks-per-node=1", "--output=job%a.log"),
            *("--open-mode=append", *options, script),
            **variables,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def state(self, job: str) -> dict[str, str]:
        """What slurm says about a job."""
        return dict(
            pair.split("=", 1) for pair in self.ask("scontrol", "show", "job", "-o", job).split() if "=" in pair
        )

    def wait(self, ready: Callable[[], object], seconds: float = 150) -> None:
        """Until something is true."""
        end = time.monotonic() + seconds
        while not ready():
            logs = "".join(f"\n--- {log.name}\n{log.read_text()[-3000:]}" for log in sorted(self.folder.glob("*.log")))
            assert time.monotonic() < end, f"in vain for {seconds} s{logs}"
            time.sleep(0.1)

    def wait_state(self, job: str, *states: str) -> None:
        """Until a job is in one of these states, and nothing of it runs."""
        self.wait(lambda: self.state(job)["JobState"] in states)
        self.wait(lambda: "COMPLETING" not in self.ask("squeue", "-h", "-j", job, "-o", "%T"))

    def restart_now(self, job: str) -> None:
        """Slurm lets a requeued job wait for two minutes; not here."""
        self.wait_state(job, "PENDING")
        time.sleep(3)  # in the second of the requeue the nodes still refuse the job
        self.ask("scontrol", "update", f"JobId={job}", "StartTime=now")


@pytest.fixture(scope="session")
def conf() -> str:
    """The path of the test cluster's configuration."""
    path = os.environ.get("SLURM_CONF", "")
    if not (path and Path(path).is_file() and "ClusterName=mmdist" in Path(path).read_text().splitlines()):
        pytest.skip("no test cluster: run make test-slurm")
    return path


@pytest.fixture
def slurm(conf: str, tmp_path: Path) -> Iterator[Slurm]:
    """The cluster, with a folder of this test's; its jobs end with the test."""
    cluster = Slurm(conf, tmp_path)
    yield cluster
    cluster.run("scancel", "--me")


@pytest.fixture
def stub(slurm: Slurm) -> Slurm:
    """The cluster, with a training that waits for a signal, and is over at once when it goes on with ``--resume``."""
    program = slurm.folder / "stub"
    program.write_text(STUB)
    program.chmod(0o755)
    slurm.env |= {"PYTHON": str(program), "STUB_LOG": str(slurm.folder / "stub.txt")}
    return slurm


@pytest.fixture(scope="session")
def config(conf: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student under a teacher, 20 iterations for two processes, written down by TraceHook."""
    folder = tmp_path_factory.mktemp("tiny")
    write_run(folder, epochs=10)
    path = folder / "traced.py"
    path.write_text(
        "_base_ = ['distill.py']\n"
        "custom_imports = dict(imports=['mmdist', 'trace'], allow_failed_imports=False)\n"
        "custom_hooks = [dict(type='TraceHook')]\n"
        "default_hooks = dict(checkpoint=dict(interval=10))\n"
    )
    return path


@pytest.fixture(scope="session")
def whole(conf: str, config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The work dir of a run on two nodes that nothing interrupted."""
    slurm = Slurm(conf, tmp_path_factory.mktemp("whole"))
    variables = {"GPUS": "2", "SRUN_ARGS": "--nodes=2 --ntasks-per-node=1"}
    done = slurm.run(slurm.tool("slurm_train.sh"), "gpu", "whole", config, "run", **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    return slurm.folder / "run"

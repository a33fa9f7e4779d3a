"""Several fresh starts for the price of one: what stands outside of OpenMMLab is imported once, and each job is a fork.

``python -m helpers.forked FOLDER`` reads ``jobs.json`` in the folder and writes ``done.json``.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path

TESTS = Path(__file__).parents[1]
# What takes the time, and neither knows of mmdist nor is changed by it.
SHARED = (
    *(
        "torch",
        "torch._dynamo",
        "torch.distributed.nn",
        "torch.distributed.fsdp",
        "torch.onnx",
        "torch.utils.checkpoint",
    ),
    *(
        "scipy.stats",
        "scipy.optimize",
        "scipy.signal",
        "matplotlib.pyplot",
        "sympy",
        "sklearn.metrics",
        "pandas",
        "cv2",
    ),
)


@dataclass(frozen=True)
class Job:
    """Code for a Python process.

    Args:
        code (str): It.
        path (str): A folder that goes to the front of its import path.
    """

    code: str
    path: str


@dataclass(frozen=True)
class Done:
    """What came of it, as ``subprocess.run`` has it."""

    returncode: int
    stdout: str
    stderr: str


def run_forked(jobs: dict[str, Job], folder: Path) -> dict[str, Done]:
    """Run jobs one after the other.

    Args:
        jobs (dict[str, Job]): By name. None of them imports what it needs to see imported for the first time of
            :data:`SHARED`.
        folder (Path): Empty; where they run.
    """
    (folder / "jobs.json").write_text(json.dumps({name: asdict(job) for name, job in jobs.items()}))
    path = os.pathsep.join([str(TESTS.parent), str(TESTS)])
    env = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-m", "helpers.forked", str(folder)]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {name: Done(*found) for name, found in json.loads((folder / "done.json").read_text()).items()}


def fork(job: Job, folder: Path) -> Done:
    child = os.fork()
    if not child:
        code = 1
        try:
            for number, name in ((1, "stdout"), (2, "stderr")):
                os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
            sys.path.insert(0, job.path)
            importlib.invalidate_caches()
            exec(compile(job.code, "<job>", "exec"), {"__name__": "__main__"})
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return Done(os.waitstatus_to_exitcode(status), (folder / "stdout").read_text(), (folder / "stderr").read_text())


def main(folder: Path) -> None:
    for name in SHARED:
        try:
            importlib.import_module(name)
        except ImportError:
            continue
    assert not {"mmdist", "mmengine", "mmcv"} & set(sys.modules)
    jobs = {name: Job(**fields) for name, fields in json.loads((folder / "jobs.json").read_text()).items()}
    done = {name: fork(job, folder) for name, job in jobs.items()}
    found = {name: [one.returncode, one.stdout, one.stderr] for name, one in done.items()}
    (folder / "done.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Cells as an array of slurm jobs, and a job after them that goes on: ``mmdist compare --submit slurm``."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmdist.apis.comparison.cells import Cell
from mmdist.apis.comparison.schedule import Batch
from mmdist.apis.comparison.stages import read_json, write_json
from mmdist.errors import ConfigError, MMDistError

FOLDER = "slurm"
OPTION = re.compile(r"[a-z][a-z-]{0,30}")
OURS = (
    "array",
    "chdir",
    "dependency",
    "export",
    "job-name",
    "output",
    "error",
    "parsable",
    "wait",
    "wrap",
    "test-only",
)
# Fixed, so that no name of a user's is read by a shell: what there is to do is in a file, and which in the environment.
SCRIPT = '#!/bin/bash\nexec "$MMDIST_PYTHON" -m mmdist.apis.comparison.job\n'
JOB, PYTHON = "MMDIST_JOB", "MMDIST_PYTHON"


def check_options(options: Sequence[str]) -> list[str]:
    """Options for ``sbatch``, such as ``partition=gpu`` or ``gres=gpu:1``.

    Returns:
        list[str]: As ``sbatch`` takes them.

    Raises:
        ConfigError: None of that form, or one that the comparison sets itself.

    Example:
        >>> check_options(['partition=gpu', 'exclusive'])
        ['--partition=gpu', '--exclusive']
    """
    for option in options:
        name = option.partition("=")[0]
        if not OPTION.fullmatch(name):
            raise ConfigError("--sbatch", option, "NAME=VALUE, as in `sbatch --NAME=VALUE`")
        if name in OURS:
            raise ConfigError("--sbatch", option, "another option", f"the comparison sets --{name} itself")
    return [f"--{option}" for option in options]


def submit(folder: Path, batch: Batch, arguments: Mapping[str, Any], options: Sequence[str]) -> list[str]:
    """Submit an array of cells, and a job after them that goes on with the comparison.

    Args:
        folder (Path): The comparison's.
        batch (Batch): What is to be trained. What must not run beside each other is one job, one after the other.
        arguments (Mapping[str, Any]): Of :func:`mmdist.apis.compare`, which the jobs call again.
        options (Sequence[str]): Of :func:`check_options`.

    Returns:
        list[str]: The numbers of both jobs.

    Raises:
        MMDistError: ``sbatch`` did not take them.
    """
    own = folder / FOLDER
    own.mkdir(parents=True, exist_ok=True)
    groups = [list(batch.cells)] if batch.alone else [[cell] for cell in batch.cells]
    work, after = own / "cells.json", own / "continue.json"
    count = len(list(own.glob("cells-*.json")))
    work = own / f"cells-{count:03d}.json"
    common = {"arguments": dict(arguments), "cwd": str(Path.cwd())}
    write_json(work, {**common, "cells": [[vars(cell) for cell in group] for group in groups]})
    write_json(after, common)
    array = _sbatch(own, work, [*options, f"--array=0-{len(groups) - 1}"])
    # whether its cells succeed or fail: failures are reported, and the rest is finished
    following = _sbatch(own, after, [*options, f"--dependency=afterany:{array}"])
    write_json(own / "submitted.json", {"jobs": [array, following]})
    return [array, following]


def waiting(folder: Path) -> list[str]:
    """The jobs of a comparison that are still in slurm's queue, but for the one that asks."""
    jobs = [str(job) for job in read_json(folder / FOLDER / "submitted.json").get("jobs", [])]
    own = {os.environ.get("SLURM_JOB_ID"), os.environ.get("SLURM_ARRAY_JOB_ID")}
    found = []
    for job in jobs:
        if job in own or not job.isdecimal():
            continue
        done = _run(["squeue", "--noheader", "--jobs", job, "--format", "%T"])
        if done.returncode == 0 and done.stdout.strip():
            found.append(job)
    return found


def inside() -> bool:
    """Whether this is a job of a comparison."""
    return JOB in os.environ


def cells_of(content: Mapping[str, Any], index: int) -> list[Cell]:
    """The cells of one job of an array."""
    return [Cell(**cell) for cell in content["cells"][index]]


def _sbatch(folder: Path, work: Path, options: Sequence[str]) -> str:
    output = str(folder / "%A_%a.log" if any("--array" in option for option in options) else folder / "%j.log")
    output = output.replace(str(folder), str(folder).replace("%", "%%"), 1)
    fixed = ["--parsable", "--job-name=mmdist-compare", "--export=ALL", f"--output={output}", f"--chdir={Path.cwd()}"]
    environment = {**os.environ, JOB: str(work), PYTHON: sys.executable}
    done = _run(["sbatch", *fixed, *options], SCRIPT, environment)
    if done.returncode != 0:
        raise MMDistError(f"sbatch: {' '.join(done.stderr.split()) or f'exit status {done.returncode}'}")
    return done.stdout.strip().partition(";")[0]


def _run(
    command: Sequence[str], text: str = "", environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    # A job's own numbers would make sbatch and squeue speak of that job.
    env = {
        key: value
        for key, value in (environment or os.environ).items()
        if not key.startswith(("SBATCH_", "SLURM_ARRAY"))
    }
    try:
        return subprocess.run(list(command), input=text, env=env, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise ConfigError("--submit", "slurm", f"a machine that has `{command[0]}`") from error

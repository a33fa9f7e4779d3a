"""Fix 8: nodes whose names are no addresses."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mmdist.compat import slurm
from mmdist.errors import ConfigError

TASK = {
    "SLURM_JOB_ID": "4711",
    "SLURM_STEP_ID": "0",
    "SLURM_PROCID": "1",
    "SLURM_NTASKS": "2",
    "SLURM_LOCALID": "0",
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_STEP_NODELIST": "no-such-host[7-8].invalid",
}
NODE = "NodeName=no-such-host7.invalid Arch=x86_64 NodeAddr={} NodeHostName=rack7 Version=22.05.8"


@pytest.fixture
def scontrol(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Be a task of two, with a ``scontrol`` that knows the first node by this address."""
    for name in ("MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.setenv(name, "put back afterwards")
        monkeypatch.delenv(name)
    for name, value in TASK.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", str(tmp_path))

    def install(address: str) -> None:
        program = tmp_path / "scontrol"
        program.write_text(
            f'#!/bin/sh\n[ "$*" = "show node -o no-such-host7.invalid" ] && echo "{NODE.format(address)}"\n'
        )
        program.chmod(0o755)

    return install


def test_a_node_is_found_where_slurm_finds_it(scontrol) -> None:
    scontrol("127.0.0.7")
    slurm.prepare_environment()
    assert os.environ["MASTER_ADDR"] == "127.0.0.7"


def test_a_name_that_is_an_address_needs_no_question(scontrol, monkeypatch: pytest.MonkeyPatch) -> None:
    scontrol("127.0.0.7")
    monkeypatch.setenv("SLURM_STEP_NODELIST", "localhost,no-such-host7.invalid")
    slurm.prepare_environment()
    assert os.environ["MASTER_ADDR"] == "localhost"


def test_an_address_that_leads_nowhere_either_is_an_error_that_names_the_node(scontrol) -> None:
    scontrol("nor-this.invalid")
    with pytest.raises(ConfigError, match=r"MASTER_ADDR = 'no-such-host7\.invalid'.*set MASTER_ADDR"):
        slurm.prepare_environment()

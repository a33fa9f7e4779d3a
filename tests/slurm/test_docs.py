"""The batch scripts of docs/en/launch.md, as they stand there."""

from __future__ import annotations

import re

import pytest
from helpers.tiny_run import ROOT

SCRIPTS = re.findall(r"^```bash\n(#!.*?)^```$", (ROOT / "docs/en/launch.md").read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def checkout(stub):
    """The cluster, in a folder with the tools, and with no sizes but those of the scripts."""
    (stub.folder / "tools").symlink_to(ROOT / "tools")
    for name in ("GPUS_PER_NODE", "CPUS_PER_TASK"):
        del stub.env[name]
    return stub


def lines(slurm) -> list[str]:
    path = slurm.folder / "stub.txt"
    return sorted(path.read_text().splitlines()) if path.exists() else []


def submit(slurm, text: str) -> str:
    (slurm.folder / "job.sh").write_text(text)
    return slurm.ask("sbatch", "--parsable", "job.sh")


def test_a_long_run_uses_all_gpus_and_goes_on_after_the_signal(checkout) -> None:
    job = submit(checkout, SCRIPTS[0])
    checkout.wait(lambda: len(lines(checkout)) == 16)
    assert sorted(int(line.split()[1].strip(":")) for line in lines(checkout)) == list(range(16))
    assert all("configs/my_config.py --work-dir=work_dirs/distil --launcher=slurm" in line for line in lines(checkout))
    assert checkout.state(job)["TimeLimit"] == "04:00:00"
    checkout.ask("scancel", "--signal=USR1", job)
    checkout.restart_now(job)
    checkout.wait_state(job, "COMPLETED")
    assert len([line for line in lines(checkout) if line.endswith("--resume")]) == 16
    assert "is requeued" in (checkout.folder / f"distil-{job}.log").read_text()  # and the log was kept


def test_a_sweep_visits_every_setting_once(checkout) -> None:
    checkout.env["STUB_ENDS"] = "1"
    job = submit(checkout, SCRIPTS[1])
    checkout.wait(lambda: not checkout.ask("squeue", "-h", "-j", job))
    settings = [(tau, weight) for tau in ("1.0", "2.0", "4.0") for weight in ("1.0", "2.0")]
    loss = "model.distiller.distill_losses.loss_dist"
    for tau, weight in settings:
        expected = (
            f"configs/my_config.py --work-dir=work_dirs/sweep/tau{tau}-weight{weight} --launcher=slurm "
            f"--cfg-options {loss}.tau={tau} {loss}.loss_weight={weight}"
        )
        assert len([line for line in lines(checkout) if line.endswith(expected)]) == 4
    assert len(lines(checkout)) == 4 * len(settings)


def test_these_are_all_scripts_of_the_page() -> None:
    assert len(SCRIPTS) == 2

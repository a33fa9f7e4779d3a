from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from helpers.tiny_run import environment

from mmdist.cli.main import COMMANDS, main
from mmdist.cli.report import run_reported
from mmdist.errors import ConfigError
from mmdist.version import __version__


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"mmdist {__version__}\n"


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in COMMANDS)


def test_no_command_is_answered_with_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert capsys.readouterr().err.startswith("usage: mmdist")


def test_a_misspelt_command_is_corrected(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trian"]) == 2
    assert "did you mean 'train'?" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["train", "test"])
def test_each_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert end.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith(f"usage: mmdist {name}")
    assert "--cfg-options" in out


def test_the_help_loads_no_task_library(tmp_path: Path) -> None:
    code = "import sys; from mmdist.cli.main import main; main(['--help']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0
    loaded = set(done.stdout.splitlines()[-1].split())
    assert not loaded & {"mmcv", "mmdet", "mmseg", "mmpretrain", "mmrazor", "mmengine.runner"}


def test_a_mistake_is_one_line_and_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    def mistake() -> None:
        raise ConfigError("tau", -1, "a number\nabove 0")

    assert run_reported(mistake) == 2
    assert capsys.readouterr().err == "error: tau = -1: expected a number above 0\n"


def test_debugging_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def mistake() -> None:
        raise ConfigError("tau", -1)

    monkeypatch.setenv("MMDIST_DEBUG", "1")
    with pytest.raises(ConfigError):
        run_reported(mistake)


def test_an_interruption_is_exit_code_130(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    assert run_reported(interrupted) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_any_other_exception_is_seen_whole() -> None:
    def broken() -> None:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        run_reported(broken)


@pytest.mark.parametrize(
    ("variables", "printed"),
    [
        ({"RANK": "0", "LOCAL_RANK": "0"}, "error: tau = -1\n"),
        ({"RANK": "1", "LOCAL_RANK": "1"}, ""),
        ({"RANK": "4", "LOCAL_RANK": "0"}, "error (rank 4): tau = -1\n"),
        ({"SLURM_PROCID": "3", "SLURM_LOCALID": "3"}, ""),
    ],
)
def test_many_processes_report_once_a_machine(
    variables: dict[str, str], printed: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def mistake() -> None:
        raise ConfigError("tau", -1)

    for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID", "SLURM_LOCALID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert run_reported(mistake) == 2
    assert capsys.readouterr().err == printed

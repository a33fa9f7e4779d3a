"""Fix 9: the spellings of the local rank."""

from __future__ import annotations

import argparse
import os

import pytest

from mmdist.compat.local_rank import add_local_rank_argument, export_local_rank


@pytest.fixture
def parser(monkeypatch: pytest.MonkeyPatch) -> argparse.ArgumentParser:
    for name in ("LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_RANK"):
        monkeypatch.setenv(name, "put back afterwards")
        monkeypatch.delenv(name)
    parser = argparse.ArgumentParser()
    add_local_rank_argument(parser)
    return parser


@pytest.mark.parametrize("spelling", ["--local_rank=3", "--local-rank=3"])
def test_both_spellings_reach_the_environment(parser: argparse.ArgumentParser, spelling: str) -> None:
    export_local_rank(parser.parse_args([spelling]))
    assert os.environ["LOCAL_RANK"] == "3"


def test_the_launchers_environment_wins(parser: argparse.ArgumentParser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    export_local_rank(parser.parse_args(["--local_rank", "3"]))
    assert os.environ["LOCAL_RANK"] == "1"


def test_a_process_that_runs_alone_is_number_zero(parser: argparse.ArgumentParser) -> None:
    export_local_rank(parser.parse_args([]))
    assert os.environ["LOCAL_RANK"] == "0"


def test_mpi_says_it_in_a_variable_of_its_own(parser: argparse.ArgumentParser, monkeypatch) -> None:
    monkeypatch.setenv("OMPI_COMM_WORLD_LOCAL_RANK", "2")
    export_local_rank(parser.parse_args([]))
    assert os.environ["LOCAL_RANK"] == "2"


def test_a_parser_of_one_spelling_alone_fails_with_the_other() -> None:
    plain = argparse.ArgumentParser(allow_abbrev=False)
    plain.add_argument("--local_rank", type=int)
    with pytest.raises(SystemExit):
        plain.parse_args(["--local-rank=3"])

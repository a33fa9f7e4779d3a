"""Folders of trainings: what was finished is never removed."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmdist.apis.comparison.stages import Stage


def finished(folder: Path, inputs: dict, **options: bool) -> Stage:
    stage = Stage(folder, inputs, **options)
    stage.begin()
    (folder / "weights").write_text(str(inputs))
    stage.finish(["weights"])
    return stage


@pytest.mark.parametrize("keep", [True, False])
def test_what_was_finished_with_other_inputs_is_moved_aside_where_that_is_asked_for(keep: bool, tmp_path: Path) -> None:
    first = finished(tmp_path / "cell", {"lr": 1}, keep=keep)
    second = finished(tmp_path / "cell", {"lr": 2}, keep=keep)
    assert first.result() is None and second.result() is not None
    aside = [path for path in tmp_path.iterdir() if path.name != "cell"]
    assert [(path / "weights").read_text() for path in aside] == (["{'lr': 1}"] if keep else [])


def test_what_was_begun_with_other_inputs_starts_over(tmp_path: Path) -> None:
    Stage(tmp_path / "cell", {"lr": 1}, keep=True).begin()
    assert Stage(tmp_path / "cell", {"lr": 2}, keep=True).begin() is False
    assert [path.name for path in tmp_path.iterdir()] == ["cell"]

"""Arguments that contradict each other, and folders of somebody else's, before anything is trained or written."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmdist.apis import compare
from mmdist.errors import ConfigError


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("s.py").write_text("model = dict(type='A')\n")
    Path("plan.py").write_text("student = 's.py'\nteacher = 't.py'\narms = dict(kd=dict())\n")
    return tmp_path


@pytest.mark.parametrize(
    ("given", "key"),
    [
        (dict(seeds=5), "--seeds"),
        (dict(equal="time"), "--equal"),
        (dict(search_lr="none"), "--search-lr"),
        (dict(metric="mIoU"), "--metric"),
        (dict(unlabeled="images"), "--unlabeled"),
        (dict(cfg_options={"a": 1}), "--cfg-options"),
    ],
)
def test_what_a_plan_file_says_is_not_said_again(given: dict, key: str, project: Path) -> None:
    with pytest.raises(ConfigError) as error:
        compare(plan_file="plan.py", **given)
    assert str(error.value).startswith(key)


@pytest.mark.parametrize("name", ["results.csv", "report.md", "report.html"])
def test_what_somebody_else_wrote_is_not_written_over(name: str, project: Path) -> None:
    Path("mine").mkdir()
    Path("mine", name).write_text("mine")
    with pytest.raises(ConfigError, match="--work-dir"):
        compare(plan_file="plan.py", work_dir="mine")
    assert Path("mine", name).read_text() == "mine" and [path.name for path in Path("mine").iterdir()] == [name]


@pytest.mark.parametrize("folder", ["taken", "taken/inside"])
def test_a_file_is_no_work_dir(folder: str, project: Path) -> None:
    Path("taken").write_text("mine")
    with pytest.raises(ConfigError, match="--work-dir"):
        compare(plan_file="plan.py", work_dir=folder)

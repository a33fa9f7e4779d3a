"""What a checkpoint says is data: nothing of it is built or opened unless the user says so."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.tiny_students import build_algorithm, distill_config, plain_config, write_checkpoint
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import MODELS

from mmdist.cli.main import main
from mmdist.engine.export import export_student, student
from mmdist.errors import CheckpointError, ConfigError

CONFIGS = dict(
    yaml="dict(type='ImageClassifier', backbone=dict(type='ResNet', depth='{marker}.yaml'))",
    absolute="dict(type='mmdist.SingleTeacherDistill', architecture='mmseg::{marker}.py')",
    above="dict(type='mmdist.SingleTeacherDistill', architecture='mmseg::a/../../x.py')",
    drive="dict(type='mmdist.SingleTeacherDistill', architecture='mmseg::C:/x.py')",
    home="dict(type='mmdist.SingleTeacherDistill', architecture=dict(cfg_path='mmseg::~/x.py'))",
    other="dict(type='mmdist.SingleTeacherDistill', architecture='mmseg::x.yaml')",
    within="dict(type='ImageClassifier', backbone=dict(cfg_path='mmseg::{marker}.py'))",
    path="dict(type='ImageClassifier', backbone=dict(type='ResNet', name='/etc/passwd'))",
)


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    return build_algorithm("classifier").state_dict()


@pytest.fixture
def saved(weights: dict[str, torch.Tensor], tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / "run.pth", "classifier", weights)


def record(path: Path, text: Any) -> None:
    """Make a text the config that a checkpoint carries, under every name that one is looked for."""
    content = torch.load(path)
    content["meta"] |= dict(cfg=text, config=text)
    torch.save({**content, "cfg": text, "config": text}, path)


@pytest.mark.parametrize("text", CONFIGS.values(), ids=CONFIGS)
def test_a_recorded_config_that_names_a_file_is_not_opened(text: str, saved: Path, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    for suffix in (".py", ".yaml"):
        marker.with_suffix(suffix).write_text(f"open({str(marker)!r}, 'w')")
    record(saved, f"default_scope = 'mmpretrain'\nmodel = {text.format(marker=marker)}\n")
    with pytest.raises(CheckpointError, match="--config"):
        export_student(str(saved), str(tmp_path / "student.pth"), trust_config=True)
    assert not marker.exists()
    assert export_student(str(saved), str(tmp_path / "student.pth")).built_from == ""
    assert not marker.exists()


def test_no_class_is_built_but_by_a_config_that_the_user_names_or_trusts(saved: Path, tmp_path: Path) -> None:
    built = []

    class Careless(BaseModel):
        """Like some registered classes, it does what its arguments say."""

        def __init__(self, code: str, **rest: Any) -> None:
            super().__init__()
            built.append(code)

        def forward(self, *inputs: Any, **rest: Any) -> Any:
            return inputs

    MODELS.register_module(name="Careless", module=Careless)
    try:
        record(saved, "model = dict(type='mmengine.Careless', code='1 + 1')")
        export_student(str(saved), str(tmp_path / "student.pth"))
        plain_config("classifier").dump(tmp_path / "given.py")
        export_student(str(saved), str(tmp_path / "student.pth"), config=str(tmp_path / "given.py"))
        assert not built
        with pytest.raises(CheckpointError, match="does not fit Careless"):
            export_student(str(saved), str(tmp_path / "student.pth"), trust_config=True)
        assert built == ["1 + 1"]
    finally:
        MODELS.module_dict.pop("Careless")


def test_by_default_no_config_is_even_looked_for(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*_: Any, **__: Any) -> None:
        raise AssertionError("a config was opened")

    distill_config("classifier").dump(tmp_path / "config.py")  # as a work dir has it, beside the checkpoint
    distill_config("classifier").dump(tmp_path / "run.py")
    monkeypatch.setattr(Config, "fromfile", opened)
    monkeypatch.setattr(Config, "fromstring", opened)
    monkeypatch.setattr(student, "read_recorded_config", opened)
    report = export_student(str(saved), str(tmp_path / "student.pth"))
    assert (report.built_from, report.parameters, report.library) == ("", None, "")
    assert "bit for bit" in report.verified


def test_a_trusted_config_is_the_recorded_one_and_none_beside_it(saved: Path, tmp_path: Path) -> None:
    distill_config("classifier").dump(tmp_path / "config.py")
    record(saved, None)
    with pytest.raises(CheckpointError, match="no config in it"):
        export_student(str(saved), str(tmp_path / "student.pth"), trust_config=True)
    assert not (tmp_path / "student.pth").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "no model was built"),
        (["--config", "given.py"], "built from --config given.py"),
        (["--trust-config"], "built from the config in the checkpoint (--trust-config)"),
        (["--no-verify"], "no model was built"),
    ],
)
def test_the_output_says_what_the_student_was_built_from(
    options: list[str], said: str, saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    plain_config("classifier").dump("given.py")
    assert main(["export", "run.pth", "student.pth", *options]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("verified: "))
    assert said in line
    assert "crc32" in line  # how the checkpoint was found to be whole
    assert line.startswith("verified: no;") == (options == ["--no-verify"])
    assert "outputs for a random" in line if "--config" in options else True


def test_one_config_is_enough(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="give one of the two"):
        export_student(str(saved), str(tmp_path / "student.pth"), config="given.py", trust_config=True)


def test_a_file_that_differs_from_the_run_is_not_written_without_a_config(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mmdist.engine.export import main as export_main

    read = export_main.read_back
    for change in (lambda w: w["head.fc.bias"].add_(1), lambda w: w.pop("head.fc.bias"), lambda w: w.update(more=1)):

        def changed(path: Path, change: Any = change) -> Any:
            state = read(path)
            change(state)
            return state

        monkeypatch.setattr(export_main, "read_back", changed)
        with pytest.raises(CheckpointError, match="1 tensors differ"):
            export_student(str(saved), str(tmp_path / "student.pth"))
        assert os.listdir(tmp_path) == ["run.pth"]


NASTY = "\x1b[2Jok\nerror: none\u202e\u200b"


def test_names_of_a_file_neither_move_the_cursor_nor_forge_a_line(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = torch.load(saved)
    content["meta"]["dataset_meta"] = {"classes": NASTY, NASTY: [NASTY]}
    torch.save({**content, NASTY: 1, f"{NASTY}{'long' * 10**5}": 1}, saved)
    assert main(["export", str(saved), str(tmp_path / "student.pth")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.isprintable() and len(line) < 5000 for line in lines)
    assert not any(line.startswith("error") for line in lines)
    assert "classes: not named" in lines[2]


@pytest.mark.parametrize(
    "meta",
    [
        dict(epoch=-1, iter="x"),
        dict(epoch=10**30, iter=True, dataset_meta={"classes": 5}),
        dict(dataset_meta=[1], epoch=[1]),
        dict(dataset_meta={"classes": {"a": torch.zeros(2)}, "x": torch.float32, 3: {4: None}}),
        dict(iter=torch.tensor([1, 2]), epoch=None),
    ],
)
def test_what_a_checkpoint_says_of_itself_is_data(meta: dict, saved: Path, tmp_path: Path) -> None:
    content = torch.load(saved)
    torch.save({**content, "meta": meta, "ema_state_dict": {"steps": torch.zeros(2)}}, saved)
    assert main(["export", str(saved), str(tmp_path / "student.pth"), "--no-ema"]) in (0, 2)
    torch.save({**content, "meta": meta}, saved)
    assert main(["export", str(saved), str(tmp_path / "student.pth")]) == 0
    assert set(torch.load(tmp_path / "student.pth")["meta"]) <= {"dataset_meta", "weights", "mmdist_version"}


def test_versions_of_modules_that_make_no_sense_are_left_out(saved: Path, tmp_path: Path) -> None:
    content = torch.load(saved)
    content["state_dict"]._metadata = {"architecture.backbone": {"version": 2, "x": 1}, 3: 4, "architecture.head": 5}
    torch.save(content, saved)
    export_student(str(saved), str(tmp_path / "student.pth"))
    assert dict(torch.load(tmp_path / "student.pth")["state_dict"]._metadata) == {"backbone": {"version": 2}}

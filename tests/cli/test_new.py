"""``mmdist new``, as a user types it."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.tiny_pairs import model_config, write_config

from mmdist.cli.main import main


@pytest.fixture
def pair(tmp_path: Path) -> list[str]:
    student = write_config(tmp_path, "classifier", "student")
    teacher = write_config(tmp_path, "classifier", "teacher", width=8)
    return ["--student", str(student), "--teacher", str(teacher), "--input-size", "32", "32"]


def test_it_says_what_is_compared_that_it_works_and_what_to_type_next(
    pair: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "my_config.py"
    assert main(["new", *pair, "--method", "dist", "-o", str(out)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == f"{out}: DIST: relations of the class scores"
    assert printed[1] == "pair: ImageClassifier (classifier, 3 classes) <- ImageClassifier (classifier, 3 classes)"
    assert printed[2] == "compared: loss_dist: head.fc"
    assert printed[3].startswith("checked: one iteration on random pictures") and "distill.loss_dist" in printed[3]
    assert printed[4] == f"train: mmdist train {out} --teacher-ckpt CKPT"
    text = out.read_text()
    assert '_base_ = ["student.py"]' in text and 'teacher="{{ fileDirname }}/teacher.py"' in text


def test_a_missing_checkpoint_is_said_and_training_ends_with_it(
    pair: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_RANK", "0")
    out = tmp_path / "my_config.py"
    assert main(["new", *pair, "--method", "dist", "-o", str(out)]) == 0
    assert "checkpoint is missing" in capsys.readouterr().out
    assert "random_teacher" not in out.read_text()
    assert main(["train", str(out), "--work-dir", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert "--teacher-ckpt" in error and error.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("form", ["init_cfg", "pretrained"])
def test_a_pretrained_backbone_is_no_checkpoint(form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    student = write_config(tmp_path, "segmentor", "student")
    model = model_config("segmentor", width=8)
    if form == "init_cfg":
        model["backbone"]["init_cfg"] = dict(type="Pretrained", checkpoint="https://example.com/backbone.pth")
    else:  # as in mmseg's own configs
        model["pretrained"] = "https://example.com/backbone.pth"
    teacher = write_config(tmp_path, "segmentor", "teacher", model=model)
    given = ["--student", str(student), "--teacher", str(teacher), "--input-size", "48", "48", "--method", "dist"]
    assert main(["new", *given, "-o", str(tmp_path / "my_config.py")]) == 0
    assert "checkpoint is missing" in capsys.readouterr().out


def test_a_pretrained_backbone_is_enough_for_a_method_that_compares_its_features(
    pair: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = model_config("classifier", width=8)
    model["backbone"]["init_cfg"] = dict(type="Pretrained", checkpoint="https://example.com/backbone.pth")
    write_config(tmp_path, "classifier", "teacher", model=model)
    assert main(["new", *pair, "--method", "mimic", "-o", str(tmp_path / "my_config.py")]) == 0
    assert "checkpoint is missing" not in capsys.readouterr().out


def test_a_file_that_is_there_stays_without_force(
    pair: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "my_config.py"
    out.write_text("mine = 1\n")
    assert main(["new", *pair, "--method", "kd", "-o", str(out)]) == 2
    assert "--force replaces it" in capsys.readouterr().err
    assert out.read_text() == "mine = 1\n"
    assert main(["new", *pair, "--method", "kd", "-o", str(out), "--force"]) == 0
    assert "mmdist.KDLoss" in out.read_text()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--method", "dits"], "error: --method = 'dits': did you mean 'dist'?"),
        (["--method", "pkd"], "PKD compares the pyramids of detectors, and the student is for classification"),
        (["--student", "studnt.py"], "error: --student = 'studnt.py': expected an existing config file"),
        (["--teacher", "mmpretrian::a.py"], "did you mean 'mmpretrain'?"),
        (["-o", "folder/out.py"], "error: -o = 'folder/out.py': expected a file in a folder that exists"),
        (["-o", "out.yaml"], "error: -o = 'out.yaml': expected a file ending in .py"),
        (["--teacher-ckpt", "none.pth"], "model.teacher_ckpt"),
        (["--input-size", "0", "32"], "error: --input-size"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing_behind(
    changes: list[str], message: str, pair: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert main(["new", *pair, "--method", "kd", "-o", str(tmp_path / "out.py"), *changes]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert sorted(path for path in tmp_path.rglob("*") if "__pycache__" not in str(path)) == before


def test_it_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    from mmdist.engine.new import METHODS

    with pytest.raises(SystemExit) as end:
        main(["new", "--help"])
    assert end.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: mmdist new")
    assert all(word in out for word in (*METHODS, "--student", "--teacher-ckpt", "--force"))

"""``mmdist train STUDENT --teacher CONFIG``: a distillation config is written into the work dir, and trained."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from helpers.tiny_run import run_tool, write_run
from helpers.unlabeled_data import write_images

from mmdist.cli import export, new, test, train
from mmdist.engine.config import load_config

SIZE = ["--input-size", "32", "32"]
PAIR = ["plain.py", "--teacher", "plain.py", "--teacher-ckpt", "teacher.pth"]


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of the plain config, trained once for all tests."""
    folder = tmp_path_factory.mktemp("taught")
    write_run(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCAL_RANK", "0")
        patch.chdir(folder)
        assert train.main(["plain.py", "--work-dir", "."]) == 0
    return folder / "epoch_1.pth"


@pytest.fixture(autouse=True)
def _run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, taught: Path) -> None:
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path, epochs=2)
    shutil.copy(taught, "teacher.pth")
    write_images(tmp_path / "more", [(16, 16)] * 7)


def weights(path: Path | str) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=False)["state_dict"]


def test_it_is_new_and_train_in_one(tmp_path: Path) -> None:
    assert train.main([*PAIR, "--method", "kd"]) == 0
    folder = tmp_path / "work_dirs" / "kd_plain"
    given = ["--student", "plain.py", "--teacher", "plain.py", "--teacher-ckpt", "teacher.pth", "--method", "kd"]
    assert new.main([*given, "-o", "two_steps.py"]) == 0
    assert train.main(["two_steps.py", "--work-dir", "two_steps"]) == 0
    one, two = weights(folder / "epoch_2.pth"), weights("two_steps/epoch_2.pth")
    assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def test_the_method_is_dist_unless_another_is_named(tmp_path: Path) -> None:
    assert train.main([*PAIR, "--cfg-options", "train_cfg.max_epochs=1"]) == 0
    cfg = load_config("work_dirs/dist_plain/dist_plain.py")
    assert cfg.model.distiller.distill_losses.loss_dist.type == "mmdist.DISTLoss"
    assert (tmp_path / "work_dirs" / "dist_plain" / "epoch_1.pth").is_file()


def test_a_resumed_run_takes_the_written_config_as_it_stands(tmp_path: Path) -> None:
    assert train.main([*PAIR, "--work-dir", "whole"]) == 0
    assert train.main([*PAIR, "--work-dir", "parts"]) == 0
    parts = tmp_path / "parts"
    (parts / "epoch_2.pth").unlink()
    (parts / "last_checkpoint").write_text(str(parts / "epoch_1.pth"))
    config = parts / "dist_plain.py"
    config.write_text(config.read_text() + "\n# my own note\n")
    assert train.main([*PAIR, "--work-dir", "parts", "--resume"]) == 0
    assert config.read_text().endswith("# my own note\n")
    whole, resumed = weights("whole/epoch_2.pth"), weights("parts/epoch_2.pth")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["other.py", "--teacher", "plain.py"], ("config", "other.py")),
        (["plain.py", "--teacher", "other.py"], ("--teacher", "other.py")),
        (["plain.py", "--teacher", "plain.py", "--teacher-ckpt", "none.pth"], ("--teacher-ckpt", "none.pth")),
        (["plain.py", "--teacher", "plain.py", "--student-ckpt", "teacher.pth"], ("--student-ckpt", "teacher.pth")),
    ],
)
def test_options_that_would_change_a_resumed_run_are_an_error(
    change: list[str], words: tuple[str, ...], capsys: pytest.CaptureFixture
) -> None:
    Path("other.py").write_text("_base_ = ['plain.py']\n")
    Path("run").mkdir()
    given = ["--student", "plain.py", "--teacher", "plain.py", "--teacher-ckpt", "teacher.pth", "--method", "dist"]
    assert new.main([*given, "-o", "run/dist_plain.py"]) == 0
    Path("run/dist_other.py").write_text(Path("run/dist_plain.py").read_text())
    assert train.main([*change, "--work-dir", "run", "--resume"]) == 2
    error = capsys.readouterr().err
    assert all(word in error for word in words), error
    assert not list(Path("run").glob("*.pth"))


def test_unlabelled_images_train_beside_the_labelled_ones(tmp_path: Path) -> None:
    assert train.main([*PAIR, "--unlabeled", "more", "--unlabeled-per-batch", "3"]) == 0
    folder = tmp_path / "work_dirs" / "dist_plain"
    loader = load_config(str(folder / "dist_plain.py")).train_dataloader
    assert loader.dataset.labeled == load_config("plain.py").train_dataloader.dataset
    assert (loader.batch_size, loader.batch_sampler.labeled, loader.batch_sampler.unlabeled) == (2, 2, 3)
    weights(folder / "epoch_2.pth")
    given = ["--student", "plain.py", "--teacher", "plain.py", "--teacher-ckpt", "teacher.pth", "--method", "dist"]
    assert new.main([*given, "--unlabeled", "more", "--unlabeled-per-batch", "3", "-o", "two_steps.py"]) == 0
    assert train.main(["two_steps.py", "--work-dir", "two_steps"]) == 0
    one, two = weights(folder / "epoch_2.pth"), weights("two_steps/epoch_2.pth")
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_the_written_config_finds_the_images_from_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = 'it\'s "more"\n{{ fileDirname }}'
    shutil.copytree("more", name)
    given = ["--unlabeled", name, "--labels", "none", "--cfg-options", "train_cfg.max_epochs=1"]
    assert train.main([*PAIR, *given, "--work-dir", "run"]) == 0
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    config = str(tmp_path / "run" / "dist_plain.py")
    assert train.main([config, "--work-dir", "again", "--cfg-options", "train_cfg.max_epochs=1"]) == 0
    first, again = weights(tmp_path / "run" / "epoch_1.pth"), weights("again/epoch_1.pth")
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_without_labels_the_training_images_teach_through_the_teacher_alone(tmp_path: Path) -> None:
    assert train.main([*PAIR, "--labels", "none", "--method", "kd", "--work-dir", "run"]) == 0
    cfg = load_config("run/kd_plain.py")
    assert cfg.train_dataloader.dataset.images == load_config("plain.py").train_dataloader.dataset
    assert cfg.model.calculate_student_loss is False
    log = next((tmp_path / "run").rglob("*.log")).read_text()
    assert "distill.loss_kd" in log and "student.loss" not in log


def test_other_images_than_a_resumed_run_began_with_are_an_error(capsys: pytest.CaptureFixture) -> None:
    Path("run").mkdir()
    given = ["--student", "plain.py", "--teacher", "plain.py", "--teacher-ckpt", "teacher.pth", "--method", "dist"]
    assert new.main([*given, "--unlabeled", "more", "-o", "run/dist_plain.py"]) == 0
    assert train.main([*PAIR, "--unlabeled", "others", "--work-dir", "run", "--resume"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: --unlabeled = 'others'") and "--work-dir" in error, error


MISTAKES = {
    "unlabelled alone": (["plain.py", "--unlabeled", "more"], "--teacher CONFIG"),
    "count alone": (["plain.py", "--unlabeled-per-batch", "3"], "--teacher CONFIG"),
    "no labels alone": (["plain.py", "--labels", "none"], "--teacher CONFIG"),
    "count without images": ([*PAIR, "--unlabeled-per-batch", "3"], "--unlabeled DIR"),
    "count of none": ([*PAIR, "--unlabeled", "more", "--unlabeled-per-batch", "0"], "1 or above"),
    "more than there are": ([*PAIR, "--unlabeled", "more", "--unlabeled-per-batch", "8"], "7 at most"),
    "misspelt folder": ([*PAIR, "--unlabeled", "moer"], "did you mean 'more'?"),
    "no images": ([*PAIR, "--unlabeled", "empty"], "it has none"),
    "labels": ([*PAIR, "--labels", "noone"], "did you mean 'none'?"),
    "labels needed": ([*PAIR, "--labels", "none", "--method", "dkd"], "'kd', 'dist', 'mimic'"),
    "weights as teacher": (["plain.py", "--teacher", "teacher.pth"], "--teacher-ckpt teacher.pth"),
    "no weights": (["plain.py", "--teacher", "plain.py"], "--teacher-ckpt"),
    "no such weights": (["plain.py", "--teacher", "plain.py", "--teacher-ckpt", "none.pth"], "none.pth"),
    "method alone": (["plain.py", "--method", "kd"], "--method"),
    "unknown method": ([*PAIR, "--method", "dits"], "'dist'"),
    "unsuited method": ([*PAIR, "--method", "pkd"], "pkd"),
    "a distillation": (["distill.py", "--teacher", "plain.py", "--teacher-ckpt", "teacher.pth"], "distill.py"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_answered_before_anything_trains(name: str, capsys: pytest.CaptureFixture) -> None:
    arguments, words = MISTAKES[name]
    Path("empty").mkdir()
    assert train.main([*arguments, "--work-dir", "run"]) == 2
    error = capsys.readouterr().err
    assert words in error and "Traceback" not in error, error
    assert not list(Path("run").glob("*"))


def test_a_random_teacher_is_taken_where_it_is_meant() -> None:
    options = ["--cfg-options", "model.random_teacher=True", "train_cfg.max_epochs=1"]
    assert train.main(["plain.py", "--teacher", "plain.py", "--work-dir", "run", *options]) == 0


def test_a_teacher_with_weights_for_its_backbone_alone_is_answered_before_anything_is_written(
    capsys: pytest.CaptureFixture,
) -> None:
    text = Path("plain.py").read_text()
    given = "init_cfg=dict(type='Pretrained', checkpoint='teacher.pth', prefix='backbone.'), norm_cfg="
    Path("teacher.py").write_text(text.replace("norm_cfg=", given))
    assert train.main(["plain.py", "--teacher", "teacher.py", "--method", "kd", "--work-dir", "run"]) == 2
    error = capsys.readouterr().err
    assert "--teacher-ckpt" in error and "head" in error and error.count("\n") == 1
    assert not list(Path("run").glob("*"))


def test_a_distillation_config_takes_its_teacher_from_the_command_line(capsys: pytest.CaptureFixture) -> None:
    text = Path("distill.py").read_text()
    assert "random_teacher=True" in text
    Path("distill.py").write_text(text.replace("random_teacher=True", "teacher_ckpt=None"))
    once = ["--work-dir", "run", "--cfg-options", "train_cfg.max_epochs=1"]
    assert train.main(["distill.py", *once]) == 2
    error = capsys.readouterr().err
    assert "model.teacher_ckpt = None" in error and "--teacher-ckpt" in error and error.count("\n") == 1
    assert not Path("run").exists()
    assert train.main(["distill.py", "--teacher-ckpt", "teacher.pth", *once]) == 0
    assert train.main(["distill.py", *once, "model.random_teacher=True"]) == 0
    # Neither the test nor the export of what was trained asks for the teacher's checkpoint.
    Path("teacher.pth").unlink()
    assert test.main(["distill.py", "run/epoch_1.pth", "--work-dir", "tested"]) == 0
    assert export.main(["run/epoch_1.pth", "student.pth", "--config", "distill.py"]) == 0


def in_two_processes(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    options = ["--cfg-options", "train_cfg.max_epochs=1", "train_dataloader.batch_size=2"]
    return run_tool("dist_train.sh", "plain.py", 2, "--teacher", "plain.py", *arguments, *options, cwd=folder)


def test_of_two_processes_the_first_writes_and_both_train(tmp_path: Path) -> None:
    done = in_two_processes(tmp_path, "--teacher-ckpt", "teacher.pth", "--method", "kd")
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("checked: one iteration") == 1
    assert (tmp_path / "work_dirs" / "kd_plain" / "epoch_1.pth").is_file()


def test_two_processes_train_without_labels_too(tmp_path: Path) -> None:
    done = in_two_processes(tmp_path, "--teacher-ckpt", "teacher.pth", "--labels", "none", "--unlabeled", "more")
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "work_dirs" / "dist_plain" / "epoch_1.pth").is_file()


def test_of_two_processes_neither_waits_where_the_first_fails(tmp_path: Path) -> None:
    done = in_two_processes(tmp_path, "--teacher-ckpt", "teacher.pth", "--method", "pkd")
    assert done.returncode != 0
    assert "--method" in done.stderr and not list((tmp_path / "work_dirs").rglob("*.pth"))

"""The commands in this process: real runs on written images."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from helpers.tiny_run import write_run

from mmdist.cli import test, train


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.chdir(tmp_path)


def weights(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=False)["state_dict"]


def assert_same_weights(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        torch.testing.assert_close(a[name], b[name], msg=name)


def test_a_run_goes_into_a_folder_of_the_configs_name_by_default(tmp_path: Path) -> None:
    write_run(tmp_path)
    assert train.main(["plain.py"]) == 0
    assert (tmp_path / "work_dirs" / "plain" / "epoch_1.pth").is_file()


def test_the_whole_way_from_teacher_to_tested_student(tmp_path: Path) -> None:
    write_run(tmp_path)
    assert train.main(["plain.py", "--work-dir", "teacher"]) == 0
    assert (
        train.main(["distill.py", "--work-dir", "student", "--teacher-ckpt", "teacher/epoch_1.pth", "--no-validate"])
        == 0
    )
    args = ["distill.py", "student/epoch_1.pth", "--work-dir", "tested", "--out", "m.json", "--out-item", "metrics"]
    assert test.main(args) == 0
    assert 0 <= json.loads((tmp_path / "m.json").read_text())["accuracy/top1"] <= 100
    # Trained under the teacher, and tested without it: its weights may be gone.
    (tmp_path / "teacher" / "epoch_1.pth").unlink()
    args = ["distill.py", "student/epoch_1.pth", "--cfg-options", "model.teacher_ckpt=teacher/epoch_1.pth"]
    assert test.main([*args, "--out", "p.pkl", "--tta"]) == 0
    assert (tmp_path / "p.pkl").is_file()
    assert test.main([*args, "--show-dir", "painted", "--interval", "2"]) == 0
    # MMPretrain names the painted images by file name alone, and both classes have the same ones.
    assert {path.name for path in (tmp_path / "painted").iterdir()} == {"0.png_0.png", "2.png_0.png"}


def test_an_interrupted_run_goes_on_where_it_was(tmp_path: Path) -> None:
    write_run(tmp_path, epochs=2)
    assert train.main(["plain.py", "--work-dir", "whole"]) == 0
    first = ["plain.py", "--work-dir", "parts", "--resume"]  # nothing is there yet: it starts anew
    assert train.main([*first, "--cfg-options", "train_cfg.max_epochs=1"]) == 0
    assert train.main(first) == 0
    assert train.main(["plain.py", "--work-dir", "other", "--resume", "parts/epoch_1.pth"]) == 0
    whole = torch.load(tmp_path / "whole" / "epoch_2.pth", weights_only=False)
    for folder in ("parts", "other"):
        resumed = torch.load(tmp_path / folder / "epoch_2.pth", weights_only=False)
        assert (resumed["meta"]["epoch"], resumed["meta"]["iter"]) == (whole["meta"]["epoch"], whole["meta"]["iter"])
        assert_same_weights(resumed["state_dict"], whole["state_dict"])
    assert not (tmp_path / "other" / "epoch_1.pth").exists()


def test_the_student_starts_from_its_weights_and_the_teacher_keeps_its_own(tmp_path: Path) -> None:
    write_run(tmp_path)
    assert train.main(["plain.py", "--work-dir", "plain"]) == 0
    still = ["--cfg-options", "optim_wrapper.optimizer.lr=0.0", "--no-validate"]
    given = ["--student-ckpt", "plain/epoch_1.pth", "--teacher-ckpt", "plain/epoch_1.pth"]
    assert train.main(["distill.py", "--work-dir", "d", *given, *still]) == 0
    start, end = weights(tmp_path / "plain" / "epoch_1.pth"), weights(tmp_path / "d" / "epoch_1.pth")
    name = "backbone.conv1.weight"
    torch.testing.assert_close(end[f"architecture.{name}"], start[name])


def test_the_learning_rate_is_scaled_with_the_batch_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path)
    args = ["plain.py", "--auto-scale-lr", "--no-validate", "--cfg-options", "auto_scale_lr.base_batch_size=1"]
    assert train.main(args) == 0
    assert "Scaling the original LR by 2.0" in "".join(capsys.readouterr())


BAD = {
    "unknown config": (["plain_.py"], "did you mean 'plain.py'"),
    "misspelt loss": (
        ["distill.py", "--cfg-options", "model.distiller.distill_losses.loss_dist.type=mmdist.DISTLos"],
        "did you mean 'mmdist.DISTLoss'",
    ),
    "misspelt argument": (
        ["distill.py", "--cfg-options", "model.distiller.distill_losses.loss_dist.inter_weigth=2.0"],
        "did you mean 'inter_loss_weight'",
    ),
    "misspelt recorder source": (
        ["distill.py", "--cfg-options", "model.distiller.student_recorders.logits.source=head.fcc"],
        "did you mean 'head.fc'",
    ),
    "missing data": (
        ["plain.py", "--cfg-options", "train_dataloader.dataset.data_root=gone"],
        "--cfg-options train_dataloader.dataset.data_root=...",
    ),
    "truncated checkpoint": (["distill.py", "--teacher-ckpt", "cut.pth"], "cut.pth is cut short or damaged"),
    "hostile checkpoint": (["plain.py", "--resume", "hostile.pth"], "MMDIST_TRUST_CHECKPOINT"),
    "missing checkpoint": (["plain.py", "--student-ckpt", "gone.pth"], "gone.pth does not exist"),
    "no teacher": (["plain.py", "--teacher-ckpt", "cut.pth"], "this config has no teacher"),
    "missing task library": (["plain.py", "--cfg-options", "default_scope=mmpose"], "pip install mmpose"),
    "no batch size": (["plain.py", "--auto-scale-lr", "--cfg-options", "auto_scale_lr=None"], "base_batch_size"),
}


@pytest.mark.parametrize(("args", "message"), BAD.values(), ids=BAD)
def test_bad_input_is_answered_in_one_line_and_leaves_nothing(
    args: list[str], message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path)
    torch.save({"state_dict": {"a": torch.zeros(1000)}}, tmp_path / "whole.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "whole.pth").read_bytes()[:2000])
    torch.save({"state_dict": Hostile()}, tmp_path / "hostile.pth")
    before = sorted(tmp_path.rglob("*"))
    assert train.main(args) == 2
    err = capfd.readouterr().err
    answer = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(answer) == 1
    assert message in answer[0]
    assert "Traceback" not in err
    assert sorted(path for path in tmp_path.rglob("*") if "__pycache__" not in path.parts) == before


class Hostile:
    """Would leave a file, were it ever unpickled freely."""

    def __reduce__(self) -> tuple:
        return (Path.touch, (Path("was_here"),))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["plain.py", "gone.pth"], "gone.pth does not exist"),
        (["plain.py", "none", "--out", "a.txt"], "--out = 'a.txt'"),
        (["plain.py", "none", "--out-item", "metrics"], "--out PATH"),
        (["plain.py", "none", "--cfg-options", "test_dataloader.dataset.data_root=gone"], "data not found"),
    ],
)
def test_bad_input_of_a_test_is_answered_too(
    args: list[str], message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path)
    assert test.main(args) == 2
    assert message in capfd.readouterr().err
    assert not (tmp_path / "work_dirs").exists()


def test_an_option_without_a_value_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path)
    with pytest.raises(SystemExit) as end:
        train.main(["plain.py", "--cfg-options", "work_dir"])
    assert end.value.code == 2
    assert "'work_dir' is not of the form key=value" in capsys.readouterr().err


@pytest.mark.parametrize("library", ["mmdet", "mmseg", "mmpretrain", "mmrazor"])
@pytest.mark.parametrize("command", [train, test])
def test_every_flag_of_the_task_libraries_is_taken(library: str, command: object) -> None:
    import re
    from importlib.util import find_spec

    spec = find_spec(library)
    if spec is None:
        pytest.skip(f"{library} is not installed")
    name = command.__name__.rpartition(".")[2]
    source = (Path(spec.origin).parent / ".mim" / "tools" / f"{name}.py").read_text()
    theirs = set(re.findall(r"add_argument\(\s*'(--[\w-]+)'", source))
    ours = set(command.build_parser()._option_string_actions)
    assert len(theirs) >= 4
    assert theirs <= ours

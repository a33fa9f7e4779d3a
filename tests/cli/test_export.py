"""``mmdist export`` and its script, as a user starts them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers.tiny_run import run_tool
from helpers.tiny_students import build_algorithm, write_checkpoint

from mmdist.cli.main import main


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    state = {f"architecture.{k}": v for k, v in build_algorithm("classifier").architecture.state_dict().items()}
    return write_checkpoint(tmp_path / "run.pth", "classifier", state | {"teacher.weight": torch.ones(3)})


def test_it_says_what_was_written_dropped_and_how_to_use_it(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "student.pth"
    assert main(["export", str(saved), str(out), "--trust-config"]) == 0
    printed = capsys.readouterr().out.splitlines()
    tensors = len(torch.load(out)["state_dict"])
    model = build_algorithm("classifier").architecture
    assert printed[0] == f"{out}: {sum(p.numel() for p in model.parameters()):,} parameters, {tensors} tensors"
    assert printed[1] == (
        f"size: {out.stat().st_size / 1e6:.2f} MB; the checkpoint: {saved.stat().st_size / 1e6:.2f} MB"
    )
    assert printed[2] == "weights: as trained, epoch 3, iter 120; classes: 3"
    assert printed[3] == "dropped: teacher (1 tensors), optimizer"
    assert "equal bit for bit" in printed[4]
    assert "tools/test.py CONFIG" in printed[5] and "ImageClassificationInferencer(CONFIG, pretrained=" in printed[5]


def test_the_script_is_the_same_command(saved: Path, tmp_path: Path) -> None:
    done = run_tool("model_converters/export_student.py", saved.name, "a.pth", "--no-verify", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "verified: no" in done.stdout
    assert list(torch.load(tmp_path / "a.pth")) == ["meta", "state_dict"]


def test_a_mistake_is_one_line_and_writes_nothing(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(saved), str(tmp_path / "student.pth"), "--ema"]) == 2
    assert main(["export", str(saved), str(tmp_path / "student.onnx")]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert [line.partition(" = ")[0] for line in errors] == ["error: --ema", "error: OUT"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.pth"]


def test_it_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["export", "--help"])
    assert end.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: mmdist export")
    assert all(option in out for option in ("--config", "--trust-config", "--no-ema", "--no-verify", "CKPT", "OUT"))

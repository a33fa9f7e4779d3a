"""Unlabelled images that are validated on are found by their bytes, and told of once."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.task_runs import distilled, plain_run, train
from helpers.unlabeled_data import with_unlabeled, write_images
from mmengine.config import Config

from mmdist.engine.checks import validation_images
from mmdist.engine.checks.validation_images import CHUNK, same_content
from mmdist.engine.hooks.run_checks import RunCheckHook


def write(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return str(path)


def test_files_are_told_apart_by_size_beginning_and_end(tmp_path: Path) -> None:
    long = np.random.default_rng(0).bytes(3 * CHUNK)
    others = [write(tmp_path / "other.ppm", long), write(tmp_path / "short.ppm", b"abc")]
    paths = [
        write(tmp_path / "same.ppm", long),
        write(tmp_path / "end.ppm", long[:-1] + bytes([long[-1] ^ 1])),
        write(tmp_path / "beginning.ppm", bytes([long[0] ^ 1]) + long[1:]),
        write(tmp_path / "longer.ppm", long + b"x"),
        write(tmp_path / "abc.ppm", b"abc"),
        write(tmp_path / "abd.ppm", b"abd"),
    ]
    assert same_content(paths, others) == [paths[0], paths[4]]
    assert same_content(paths, []) == same_content([], others) == []


def test_a_file_by_its_own_name_is_found_and_one_that_is_gone_is_not(tmp_path: Path) -> None:
    there, gone = write(tmp_path / "a", b"a"), str(tmp_path / "gone")
    os.mkfifo(tmp_path / "pipe")
    others = [gone, there, str(tmp_path / "pipe"), "s3://bucket/a", str(tmp_path)]
    assert same_content(others, others) == [there]


def test_only_files_of_equal_size_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    own = validation_images._digest

    def digest(path: str, chunks: int | None) -> Any:
        read.append(Path(path).name)
        return own(path, chunks)

    monkeypatch.setattr(validation_images, "_digest", digest)
    paths = [write(tmp_path / str(size), b"x" * size) for size in range(1, 6)]
    other = write(tmp_path / "other", b"y" * 3)
    assert same_content(paths, [other]) == []
    assert sorted(read) == ["3", "other"]


def heard(cfg: Config, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The warnings before a run of one iteration."""
    said: list[str] = []
    monkeypatch.setattr(validation_images, "print_log", lambda text, *_: said.append(text))
    assert train(cfg, RunCheckHook()).iter == 1
    return said


IMAGES = dict(mmseg="images/val/*.png", mmdet="images/val/*", mmpretrain="val/*/*")


@pytest.mark.parametrize("scope", IMAGES)
def test_unlabelled_validation_images_are_warned_of(
    scope: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = distilled(plain_run(scope, tmp_path, iters=1, val_interval=5), weight=1.0)
    (folder,) = tmp_path.glob("data_*")
    more = write_images(tmp_path / "more", [(50, 40)] * 4)
    cfg = with_unlabeled(plain, str(more))
    assert heard(cfg, monkeypatch) == []
    known = sorted(path for path in folder.glob(IMAGES[scope]) if path.is_file())
    for index, image in enumerate(known[:2]):
        shutil.copy(image, more / f"another_name_{index}{image.suffix}")
    (text,) = heard(cfg, monkeypatch)
    assert "2 of the 6" in text and "another_name_0" in text and "another_name_1" in text
    assert text.startswith("train_dataloader.dataset.unlabeled: ")


def test_a_training_without_labels_or_without_validation_is_looked_at_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = distilled(plain_run("mmseg", tmp_path, iters=1, val_interval=5), weight=1.0)
    plain.model.calculate_student_loss = False
    dataset = plain.train_dataloader.dataset
    images = plain.val_dataloader.dataset
    plain.train_dataloader.dataset = dict(type="mmdist.UnlabeledDataset", images=images, pipeline=dataset.pipeline)
    (text,) = heard(plain, monkeypatch)
    assert text.startswith("train_dataloader.dataset: ")
    plain.val_dataloader = plain.val_cfg = plain.val_evaluator = None
    assert heard(plain, monkeypatch) == []

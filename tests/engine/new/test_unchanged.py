"""A resumed run's images are those that it began with."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config
from torch import nn

from mmdist.engine.new.dataloader import dataloader_text
from mmdist.engine.new.images import Images
from mmdist.engine.new.unchanged import check_unchanged
from mmdist.engine.new.work_dir import Asked
from mmdist.errors import ConfigError

LOADER = dict(batch_size=2, dataset=dict(type="CocoDataset", ann_file="a.json", pipeline=[]))
MIXED = dict(LOADER, dataset=dict(type="MultiImageMixDataset", dataset=LOADER["dataset"], pipeline=[]))


def begun(folder: Path, images: Images, asked: Images, loader: dict | None = None) -> Asked:
    """A run that began with some images, and is now asked to go on with others."""
    student = folder / "plain.py"
    student.write_text(f"train_dataloader = {loader or LOADER!r}\n")
    found = Asked(str(student), "mmdet::teacher.py", work_dir=str(folder / "run"), images=asked)
    found.path.parent.mkdir()
    lines = [
        "_base_ = ['../plain.py']",
        f"model = dict(teacher='mmdet::teacher.py', calculate_student_loss={images.labels})",
        dataloader_text(images, Config.fromfile(student), found.path, nn.Identity()),
    ]
    found.path.write_text("\n".join(lines))
    return found


BOTH, ALONE, TAKEN = Images("more", 3), Images("more", 3, labels=False), Images(None, 2, labels=False)


@pytest.mark.parametrize(
    ("began", "asked", "option"),
    [
        (BOTH, Images("others"), "--unlabeled"),
        (BOTH, Images("more", 4), "--unlabeled-per-batch"),
        (BOTH, ALONE, "--labels"),
        (Images(), Images("more"), "--unlabeled"),
        (Images(), Images(labels=False), "--labels"),
        (ALONE, Images("others", labels=False), "--unlabeled"),
        (ALONE, Images("more", 4, labels=False), "--unlabeled-per-batch"),
        (TAKEN, Images("more", labels=False), "--unlabeled"),
    ],
)
def test_other_images_are_an_error(began: Images, asked: Images, option: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        check_unchanged(begun(tmp_path, began, asked))
    assert caught.value.key == option and "--work-dir" in str(caught.value)


@pytest.mark.parametrize("began", [BOTH, ALONE, TAKEN, Images()])
def test_the_same_images_and_none_named_go_on(began: Images, tmp_path: Path) -> None:
    for number, asked in enumerate(
        (Images(began.unlabeled, began.unlabeled and began.per_batch, began.labels), Images())
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        check_unchanged(begun(folder, began, asked))


def test_images_inside_of_a_wrapper_are_found(tmp_path: Path) -> None:
    check_unchanged(begun(tmp_path, ALONE, Images("more", labels=False), MIXED))


def test_the_folder_counts_and_not_how_it_is_written(tmp_path: Path) -> None:
    asked = begun(tmp_path, BOTH, Images("more", 3))
    changed = dict(images=str(Path("more").absolute()), bad_images="skip")
    text = asked.path.read_text().rpartition('unlabeled="')
    rest = text[2].partition(",")[2]
    asked.path.write_text(f"{text[0]}unlabeled={changed!r},{rest}")
    assert "skip" in str(Config.fromfile(asked.path).train_dataloader)
    check_unchanged(asked)

"""What the options ask for, and what of it cannot work, before any model is built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers.unlabeled_data import write_images
from mmengine.config import Config

from mmdist.engine.new.images import Images, images_of_options, resolve_images
from mmdist.errors import ConfigError

DATASET = dict(type="CocoDataset", pipeline=[])
EPOCHS = dict(by_epoch=True, max_epochs=2)


def student(**changes: Any) -> Config:
    loader = dict(batch_size=2, dataset=DATASET, sampler=dict(type="DefaultSampler"))
    return Config(dict(train_dataloader={**loader, **changes}, train_cfg=EPOCHS))


@pytest.fixture
def more(tmp_path: Path) -> Path:
    return write_images(tmp_path / "more", [(8, 6)] * 7)


def refused(words: str, *options: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        images_of_options(*options)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_without_options_the_images_are_those_of_the_config() -> None:
    assert images_of_options(None, None, None).are_plain
    assert not images_of_options("more", None, None).are_plain
    assert not images_of_options(None, None, "none").are_plain


def test_values_that_cannot_work_are_answered() -> None:
    refused("'none'", None, None, "non")
    refused("--unlabeled-per-batch = 3", None, 3, None)
    refused("--unlabeled DIR", None, 3, "none")
    for count in (0, -1, True):
        refused("1 or above", "more", count, None)
    refused("--unlabeled = ''", "", None, None)


def resolved(cfg: Config, *options: Any) -> Images:
    return resolve_images(images_of_options(*options), cfg)[0]


def test_a_batch_has_three_unlabelled_images_for_each_labelled_one(more: Path) -> None:
    assert resolved(student(), str(more), None, None).per_batch == 6
    assert resolved(student(batch_size=1), str(more), None, None).per_batch == 3
    assert resolved(student(), str(more), 5, None).per_batch == 5


def test_fewer_images_than_that_are_all_in_the_batch(more: Path) -> None:
    assert resolved(student(batch_size=3), str(more), None, None).per_batch == 7
    with pytest.raises(ConfigError, match=r"--unlabeled-per-batch = 8: expected 7 at most"):
        resolved(student(), str(more), 8, None)


def test_without_labels_the_batch_size_is_that_of_the_config(more: Path) -> None:
    assert resolved(student(), str(more), None, "none").per_batch == 2
    assert resolved(student(), None, None, "none").per_batch == 2
    assert resolved(student(), str(more), 5, "none").per_batch == 5


def test_it_is_said_what_a_batch_and_an_epoch_are(more: Path) -> None:
    notes = " ".join(resolve_images(Images(str(more)), student())[1])
    assert "2 labelled" in notes and "6 of the 7" in notes and "epoch" in notes
    cfg = student()
    cfg.train_cfg = dict(type="IterBasedTrainLoop", max_iters=3)
    assert "epoch" not in " ".join(resolve_images(Images(str(more)), cfg)[1])
    assert resolve_images(Images(), student()) == (Images(), [])


def test_a_batch_sampler_that_is_left_out_is_named(more: Path) -> None:
    notes = resolve_images(Images(str(more)), student(batch_sampler=dict(type="MyBatches")))[1]
    assert any("MyBatches" in note for note in notes)
    notes = resolve_images(Images(str(more)), student(batch_sampler=dict(type="AspectRatioBatchSampler")))[1]
    assert not any("AspectRatio" in note for note in notes)


def test_a_list_file_is_counted_by_its_lines(more: Path) -> None:
    file = more.parent / "list.txt"
    file.write_text("more/000.png\nmore/001.png\n")
    assert resolved(student(), str(file), None, None).per_batch == 2


def make_folders(root: Path) -> dict[str, tuple[str, str]]:
    """By what is wrong: the option, and what the answer says."""
    (root / "empty").mkdir()
    write_images(root / "images", [(4, 4)])
    (root / "list.txt").write_text("gone.png\n")
    (root / "blank.txt").write_text("\n")
    (root / "config.py").write_text("a = 1\n")
    (root / "outside").mkdir()
    (root / "outside" / "link.png").symlink_to(root / "images" / "000.png")
    return dict(
        empty=(f"{root}/empty", "it has none"),
        misspelt=(f"{root}/imags", f"{root}/images"),
        nowhere=(f"{root}/no/folder", "there is no folder"),
        image=(f"{root}/images/000.png", "a text file"),
        list=(f"{root}/list.txt", "gone.png"),
        blank=(f"{root}/blank.txt", "it is empty"),
        config=(f"{root}/config.py", "this is a config"),
        link=(f"{root}/outside", "leads to"),
        long=("x" * 5000, "--unlabeled"),
        remote=("s3://bucket/images", "storage"),
        broken=(f"{root}/a\nb", "--unlabeled"),
    )


KINDS = ("empty", "misspelt", "nowhere", "image", "list", "blank", "config", "link", "long", "remote", "broken")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_folder_of_images_is_answered_in_one_line(kind: str, tmp_path: Path) -> None:
    given, words = make_folders(tmp_path)[kind]
    with pytest.raises(ConfigError) as caught:
        resolved(student(), given, None, None)
    text = str(caught.value)
    assert text.startswith("--unlabeled = ") and words in text and "\n" not in text, text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (dict(sampler=dict(type="ClassAwareSampler")), "train_dataloader.sampler.type = 'ClassAwareSampler'"),
        (dict(sampler=None), "train_dataloader.sampler.type"),
        (dict(num_batch_per_epoch=3), "train_dataloader.num_batch_per_epoch = 3"),
        (dict(batch_size=None), "batch_size"),
        (dict(dataset=None), "dataset"),
        (dict(dataset=dict(type="mmdist.UnlabeledDataset", images="a")), "plain config"),
    ],
)
def test_a_dataloader_that_takes_no_unlabelled_images_is_named(changes: dict[str, Any], words: str, more: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        resolved(student(**changes), str(more), None, None)
    assert words in str(caught.value)


def test_a_config_without_training_data_is_named(more: Path) -> None:
    for options in ((str(more), None, None), (None, None, "none")):
        with pytest.raises(ConfigError, match="train_dataloader = None"):
            resolved(Config(dict(model=dict())), *options)

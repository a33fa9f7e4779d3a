"""A run with unlabelled images: what does not go together is answered before anything is built."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from helpers.task_runs import distilled, plain_run, quickly
from helpers.unlabeled_data import with_unlabeled, write_images
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS
from torch import nn
from torch.utils.data import DataLoader

from mmdist.engine.checks import LabelGuard, check_samples
from mmdist.engine.checks.datasets import leaves
from mmdist.engine.config import load_config
from mmdist.engine.dataset_classes import config_names
from mmdist.engine.gap.data import training_loader
from mmdist.engine.modules.batch import real_batch
from mmdist.engine.preflight import preflight
from mmdist.engine.preflight.unlabeled import check_unlabeled
from mmdist.errors import ConfigError, MMDistError


@pytest.fixture
def cfg(tmp_path: Path) -> Config:
    unlabeled = str(write_images(tmp_path / "more", [(50, 40)] * 4))
    return with_unlabeled(distilled(plain_run("mmdet", tmp_path)), unlabeled)


def refused(cfg: Config, match: str) -> None:
    with pytest.raises(MMDistError, match=match):
        preflight(cfg, ("train",))


def test_a_config_with_unlabelled_images_passes(cfg: Config) -> None:
    preflight(cfg, ("train",))
    folder = cfg.train_dataloader.dataset.unlabeled
    cfg.train_dataloader.dataset.unlabeled = dict(type="mmdist.UnlabeledDataset", images=folder)
    preflight(cfg, ("train",))
    cfg.train_dataloader.dataset.unlabeled = dict(images=cfg.train_dataloader.dataset.labeled)
    preflight(cfg, ("train",))


def test_pseudo_labels_need_images_without_labels_and_no_distiller(cfg: Config) -> None:
    cfg.model.pseudo_labels = dict(score_thr=0.5)
    cfg.model.distiller = None
    preflight(cfg, ("train",))
    cfg.train_dataloader.dataset = cfg.train_dataloader.dataset.labeled
    del cfg.train_dataloader["batch_sampler"]
    with pytest.raises(ConfigError) as caught:
        preflight(cfg, ("train",))
    assert caught.value.key == "train_dataloader.dataset"


def test_the_config_of_the_page_is_what_it_says(cfg: Config, tmp_path: Path) -> None:
    data = cfg.train_dataloader.dataset
    cfg.train_dataloader.dataset = data.labeled
    cfg.train_dataloader.batch_sampler = dict(type="AspectRatioBatchSampler")
    cfg.dump(str(tmp_path / "my_distillation.py"))
    page = (Path(__file__).parents[2] / "docs/en/few_labels.md").read_text()
    text = re.search(r"```python\n(_base_.*?)```", page, re.DOTALL).group(1).replace("data/more_images", data.unlabeled)
    (tmp_path / "few.py").write_text(text)
    few = load_config(str(tmp_path / "few.py"))
    assert few.train_dataloader.dataset.labeled == data.labeled
    assert (few.train_dataloader.batch_size, few.train_dataloader.batch_sampler.unlabeled) == (8, 24)
    preflight(few, ("train",))


def test_a_batch_sampler_of_the_task_is_not_taken_for_ours(cfg: Config) -> None:
    del cfg.train_dataloader.batch_sampler
    refused(cfg, r"batch_sampler = None.*LabeledUnlabeledBatchSampler")
    cfg.train_dataloader.batch_sampler = dict(type="AspectRatioBatchSampler")
    refused(cfg, r"batch_sampler = .*AspectRatio.*LabeledUnlabeledBatchSampler")


def test_models_that_would_learn_from_empty_annotations_are_refused(cfg: Config) -> None:
    plain = dict(cfg, model=cfg.model.architecture)
    refused(Config(plain), r"model\.type = 'RetinaNet'.*SingleTeacherDistill")
    cfg.model.teacher_trainable = True
    refused(cfg, "teacher_trainable")


@pytest.mark.parametrize("wrapper", [None, "RepeatDataset", "MultiImageMixDataset"])
def test_without_any_label_the_students_own_loss_is_left_out(wrapper: str | None, cfg: Config) -> None:
    loader = cfg.train_dataloader
    labeled = loader.dataset.labeled
    del loader.batch_sampler
    loader.dataset = dict(type="mmdist.UnlabeledDataset", images=loader.dataset.unlabeled, pipeline=labeled.pipeline)
    if wrapper is not None:
        more = dict(times=2) if wrapper == "RepeatDataset" else dict(pipeline=[])
        loader.dataset = dict(type=wrapper, dataset=loader.dataset, **more)
    refused(cfg, r"model\.calculate_student_loss = True")
    cfg.model.calculate_student_loss = False
    preflight(cfg, ("train",))


def test_images_that_a_wrapper_has_mixed_get_no_pseudo_labels_without_labels(cfg: Config) -> None:
    loader = cfg.train_dataloader
    pipeline = loader.dataset.labeled.pipeline
    inner = dict(type="mmdist.UnlabeledDataset", images=loader.dataset.unlabeled, pipeline=pipeline)
    cfg.model.pseudo_labels = dict(score_thr=0.9)
    loader.dataset = dict(type="RepeatDataset", times=2, dataset=inner)
    with pytest.raises(ConfigError) as caught:  # which would end in the first iteration
        check_unlabeled(cfg)
    assert caught.value.key == "model.calculate_student_loss"
    cfg.model.calculate_student_loss = False
    check_unlabeled(cfg)
    loader.dataset = dict(type="MultiImageMixDataset", dataset=inner, pipeline=[])
    with pytest.raises(ConfigError, match=r"train_dataloader\.dataset\.type = 'MultiImageMixDataset'"):
        check_unlabeled(cfg)


def test_misspelt_parts_and_missing_folders_are_named(cfg: Config) -> None:
    data = cfg.train_dataloader.dataset
    folder = data.unlabeled
    data.unlabeled = folder + "_not_there"
    refused(cfg, r"train_dataloader\.dataset\.unlabeled\.images: .*_not_there")
    data.unlabeled = dict(type="mmdist.UnlabeledDataset", images=folder, bad_image="skip")
    refused(cfg, r"dataset\.unlabeled\.bad_image.*bad_images")
    data.unlabeled = folder
    data.labeled.type = "CocoDatset"
    refused(cfg, r"train_dataloader\.dataset\.labeled\.type.*CocoDataset")
    data.labeled.type = "CocoDataset"
    cfg.train_dataloader.batch_sampler.unlabled = 3
    refused(cfg, r"batch_sampler\.unlabled")


def test_the_classes_are_those_of_the_labelled_images(cfg: Config) -> None:
    names = list(cfg.train_dataloader.dataset.labeled.metainfo["classes"])
    assert config_names(cfg, cfg.model.architecture) == names


def test_each_part_is_looked_at_under_its_own_key(cfg: Config) -> None:
    class Nothing:
        def __call__(self, results: dict) -> Any:
            return results if results["instances"] else None

    with quickly("mmdet"):
        dataset = DATASETS.build(cfg.train_dataloader.dataset)
    assert [key for _, key in leaves(dataset, "train_dataloader.dataset")] == [
        "train_dataloader.dataset.labeled",
        "train_dataloader.dataset.unlabeled",
    ]
    check_samples(DataLoader(dataset), nn.Identity(), "train_dataloader")
    for leaf in dataset.datasets:
        leaf.pipeline.transforms.insert(2, Nothing())
    with pytest.raises(ConfigError, match=r"dataset\.unlabeled\.pipeline\.\d = 'Nothing'"):
        check_samples(DataLoader(dataset), nn.Identity(), "train_dataloader")


def test_a_label_that_the_head_does_not_ignore_is_named(tmp_path: Path) -> None:
    unlabeled = str(write_images(tmp_path / "more", [(50, 40)] * 4))
    cfg = with_unlabeled(plain_run("mmseg", tmp_path), unlabeled)
    cfg.model.decode_head.ignore_index = 11
    with quickly("mmseg"):
        dataset, model = DATASETS.build(cfg.train_dataloader.dataset), MODELS.build(cfg.model)
    with pytest.raises(ConfigError, match=r"dataset\.ignore_index = 255.*decode_head\.ignore_index = 11"):
        LabelGuard(model).look(DataLoader(dataset.unlabeled), "train_dataloader")


def test_tools_that_look_at_a_batch_look_at_labelled_images(cfg: Config) -> None:
    with quickly("mmdet"):
        batch = real_batch(cfg, 2)
        loader = training_loader(cfg)
        samples = [*batch["data_samples"], *next(iter(loader))["data_samples"]]
    assert len(samples) == 4
    assert not any("labeled" in sample.metainfo for sample in samples)
    assert len(loader.dataset) == 4

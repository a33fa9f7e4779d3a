"""Images that choose and images that judge: never the same, and the same on every machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.tiny_data import write_detection, write_segmentation
from mmengine.config import Config

from mmdist.apis.comparison.split import halve, images, split
from mmdist.errors import ConfigError, MMDistError

NAMES = ("a", "b", "c")


def segmentation(root: Path, count: int = 5, **dataset: object) -> Config:
    write_segmentation(root, 3, 16, count)
    val = dict(
        type="BaseSegDataset",
        data_root=str(root),
        metainfo=dict(classes=NAMES),
        data_prefix=dict(img_path="images/train", seg_map_path="annotations/train"),
        img_suffix=".png",
        seg_map_suffix=".png",
        pipeline=[dict(type="LoadImageFromFile")],
        **dataset,
    )
    return Config(dict(default_scope="mmseg", val_dataloader=dict(dataset=val), val_evaluator=dict(type="IoUMetric")))


def detection(root: Path, count: int = 6) -> Config:
    write_detection(root, NAMES, 32, count)
    file = str(next(root.rglob("*.json")))
    val = dict(
        type="CocoDataset",
        ann_file=file,
        data_prefix=dict(img=str(next(root.rglob("*.png" if any(root.rglob("*.png")) else "*.jpg")).parent)),
        metainfo=dict(classes=NAMES),
        test_mode=True,
        pipeline=[],
    )
    evaluator = dict(type="CocoMetric", ann_file=file, metric="bbox")
    return Config(dict(default_scope="mmdet", val_dataloader=dict(dataset=val), val_evaluator=evaluator))


def test_each_image_is_in_one_half(tmp_path: Path) -> None:
    cfg = segmentation(tmp_path / "data")
    chosen, judged = (part.loader["dataset"]["indices"] for part in split(cfg, tmp_path))
    assert sorted(chosen + judged) == [0, 1, 2, 3, 4] and abs(len(chosen) - len(judged)) == 1


def test_an_image_that_is_listed_twice_is_in_one_half() -> None:
    paths = [f"/data/{index // 3}.png" for index in range(12)]
    for count in range(4, 13):
        chosen, judged = ({paths[:count][i] for i in half} for half in halve(paths[:count]))
        assert not chosen & judged


def test_the_halves_hold_wherever_the_data_lie(tmp_path: Path) -> None:
    found = [split(segmentation(tmp_path / name / "data"), tmp_path)[0].loader["dataset"]["indices"] for name in "xy"]
    assert found[0] == found[1]


def test_the_halves_do_not_depend_on_the_order_of_the_images() -> None:
    paths = [f"/data/{name}/{index}.png" for name in "ab" for index in range(20)]
    turned = paths[::-1]
    assert {paths[i] for i in halve(paths)[0]} == {turned[i] for i in halve(turned)[0]}


@pytest.mark.parametrize(("given", "left"), [(3, {0, 1, 2}), (-2, {3, 4}), ([4, 0, 2], {0, 2, 4})])
def test_of_some_images_these_alone_are_halved(given: object, left: set, tmp_path: Path) -> None:
    cfg = segmentation(tmp_path / "data", indices=given)
    chosen, judged = (part.loader["dataset"]["indices"] for part in split(cfg, tmp_path))
    assert {*chosen, *judged} == left and not set(chosen) & set(judged)


def test_annotations_in_a_file_are_halved_with_the_images(tmp_path: Path) -> None:
    cfg = detection(tmp_path / "data")
    whole = json.loads(Path(cfg.val_evaluator.ann_file).read_text())
    ids = []
    for part in split(cfg, tmp_path / "halves"):
        own = json.loads(Path(part.evaluator[0]["ann_file"]).read_text())
        kept = {image["id"] for image in own["images"]}
        by_index = {image.index: image.id for image in images(cfg)}
        assert kept == {by_index[index] for index in part.loader["dataset"]["indices"]}
        assert own["annotations"] == [entry for entry in whole["annotations"] if entry["image_id"] in kept]
        assert own["categories"] == whole["categories"]
        ids += kept
    assert sorted(ids) == sorted(image["id"] for image in whole["images"])


def test_test_data_judge_where_they_are_other_images(tmp_path: Path) -> None:
    cfg = segmentation(tmp_path / "data")
    cfg.test_dataloader = segmentation(tmp_path / "other").val_dataloader
    cfg.test_evaluator = dict(type="IoUMetric")
    chosen, judged = split(cfg, tmp_path)
    assert chosen.loader["dataset"]["data_root"] != judged.loader["dataset"]["data_root"]
    assert "indices" not in chosen.loader["dataset"] and "indices" not in judged.loader["dataset"]


@pytest.mark.parametrize(
    "change",
    [
        dict(),
        dict(pipeline=[dict(type="LoadAnnotations")]),
        dict(test_mode=True),
        dict(indices=3),
        dict(reduce_zero_label=True),
        dict(data_prefix=dict(img_path="./images/train", seg_map_path="annotations/train")),
    ],
)
def test_the_same_images_under_another_name_are_no_test_data(change: dict, tmp_path: Path) -> None:
    cfg = segmentation(tmp_path / "data")
    cfg.test_dataloader = cfg.val_dataloader.to_dict()
    cfg.test_dataloader.dataset.update(change)
    cfg.test_evaluator = dict(type="IoUMetric")
    chosen, judged = split(cfg, tmp_path)
    assert not set(chosen.loader["dataset"]["indices"]) & set(judged.loader["dataset"]["indices"])


def test_test_data_without_labels_do_not_judge(tmp_path: Path) -> None:
    cfg = segmentation(tmp_path / "data")
    cfg.test_dataloader = segmentation(tmp_path / "other").val_dataloader
    cfg.test_evaluator = dict(type="IoUMetric", format_only=True)
    assert "indices" in split(cfg, tmp_path)[1].loader["dataset"]


@pytest.mark.parametrize("missing", ["val_dataloader", "val_evaluator"])
def test_without_validation_nothing_can_be_compared(missing: str, tmp_path: Path) -> None:
    cfg = segmentation(tmp_path / "data")
    cfg[missing] = None
    with pytest.raises(ConfigError, match=missing):
        split(cfg, tmp_path)


def test_data_that_are_not_there_are_named(tmp_path: Path) -> None:
    cfg = detection(tmp_path / "data")
    cfg.val_dataloader.dataset.ann_file = str(tmp_path / "none.json")
    with pytest.raises(MMDistError, match=r"none\.json"):
        split(cfg, tmp_path)


def test_a_metric_with_a_file_of_its_own_kind_is_refused(tmp_path: Path) -> None:
    cfg = detection(tmp_path / "data")
    cfg.val_evaluator.type = "CrowdHumanMetric"
    with pytest.raises(ConfigError, match=r"val_evaluator\.type"):
        split(cfg, tmp_path)


def test_one_image_cannot_be_halved(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="val_dataloader"):
        split(segmentation(tmp_path / "data", count=1), tmp_path)

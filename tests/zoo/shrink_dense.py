"""What makes a config of MMSegmentation or MMDetection small enough for one iteration on a CPU; docs/en/zoo.md."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mmengine.config import Config

SIZE = (64, 64)  # of crops and validation pictures
WARMUP = "model.weighting.warmup=2"  # the first stage are the iterations below it
RDD = ("model.weighting.threshold=0.05", "model.weighting.min_kept=100")  # an untrained network is sure of nothing
SIZED = ("scale", "crop_size", "img_scale", "size")  # of a pipeline's steps


def mmseg(cfg: Config, root: Path) -> list[str]:
    """Batches of two, one iteration, pictures of 64 x 64, no mixed precision, no download.

    Args:
        cfg (Config): A config of the zoo.
        root (Path): The folder that the data was written into.

    Returns:
        list[str]: ``key=value``, one an option.
    """
    model = student_key(cfg)
    options = ["train_cfg.max_iters=1", "train_cfg.val_interval=1", *common(cfg, SIZE)]
    options += [f"{model}.data_preprocessor.size={SIZE}", f"{model}.pretrained=None"]
    if cfg.optim_wrapper.type == "AmpOptimWrapper":
        options.append("optim_wrapper.type=OptimWrapper")
    if "weighting" in cfg.model:  # one stage of RDD a run: of Cityscapes, which has weights of classes, the second
        options += RDD if "class_weight" in cfg.model.weighting else [WARMUP]
    return options


def mmdet(cfg: Config, root: Path) -> list[str]:
    """Batches of two, one epoch, pictures of 64 x 64, no download; every box counts, so that there is one to evaluate.

    Args:
        cfg (Config): A config of the zoo.
        root (Path): The folder that the data was written into.

    Returns:
        list[str]: ``key=value``, one an option.
    """
    test = threshold(cfg)
    options = ["train_cfg.max_epochs=1", "train_cfg.val_interval=1", *common(cfg, SIZE)]
    if "min_bbox_size" in student(cfg).test_cfg:
        options.append(f"{test}.min_bbox_size=-1")
    return [*options, f"{test}.score_thr=0.0", f"{test}.max_per_img=20"]


def threshold(cfg: Config) -> str:
    """Where the settings of the student's evaluation are."""
    return f"{student_key(cfg)}.test_cfg" + (".rcnn" if "rcnn" in student(cfg).test_cfg else "")


def common(cfg: Config, size: tuple[int, int]) -> list[str]:
    """Options of both libraries."""
    options = ["default_hooks.logger.interval=1", "default_hooks.checkpoint.interval=-1"]
    options += ["default_hooks.checkpoint.save_last=False", f"{student_key(cfg)}.backbone.init_cfg=None"]
    if cfg.default_hooks.checkpoint.get("save_best"):
        options.append("default_hooks.checkpoint.save_best=None")
    for split in ("train", "val"):
        loader = f"{split}_dataloader"
        options += [f"{loader}.batch_size=2", f"{loader}.num_workers=0", f"{loader}.persistent_workers=False"]
        for key, pipeline in pipelines(cfg[loader].dataset, f"{loader}.dataset"):
            for index, step in enumerate(pipeline):
                for name in SIZED:
                    if name in step:
                        options.append(f"{key}.{index}.{name}={size}".replace(" ", ""))
                if "scales" in step or isinstance(step.get("scale"), list):
                    name = "scales" if "scales" in step else "scale"
                    options.append(f"{key}.{index}.{name}=[{size},{size}]".replace(" ", ""))
    for index, scheduler in enumerate(cfg.param_scheduler):
        if scheduler.get("begin"):  # after the only epoch
            options.append(f"param_scheduler.{index}.begin=0")
    return [option.replace(" ", "") for option in options]


def pipelines(dataset: dict, key: str) -> Iterator[tuple[str, list[dict]]]:
    """The pipelines of a data set, or of several that are one."""
    for index, part in enumerate(dataset.get("datasets", ())):
        yield from pipelines(part, f"{key}.datasets.{index}")
    if "pipeline" in dataset:
        yield f"{key}.pipeline", dataset["pipeline"]


def student(cfg: Config) -> dict:
    """The model that trains."""
    return cfg.model.get("architecture", cfg.model)


def student_key(cfg: Config) -> str:
    """Where it is in the config."""
    return "model.architecture" if "architecture" in cfg.model else "model"

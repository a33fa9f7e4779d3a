"""What ``tools/test.py`` changes in a config, and what it keeps of a test."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import mmengine
from mmengine.config import Config, ConfigDict
from mmengine.dist import is_main_process
from mmengine.evaluator import DumpResults
from mmengine.runner import Runner

from mmdist.engine.signatures import parameters
from mmdist.engine.weights import algorithm_class
from mmdist.errors import CheckpointError, ConfigError

PICKLES = (".pkl", ".pickle")
METRIC_FILES = (*PICKLES, ".json", ".yaml", ".yml")
# The argument that switches each library's hook on, and the one that takes the folder.
VISUALIZATION = {
    "DetVisualizationHook": ("draw", "test_out_dir"),
    "SegVisualizationHook": ("draw", None),
    "VisualizationHook": ("enable", "out_dir"),
}
FLIPS = [ConfigDict(type="RandomFlip", prob=1.0), ConfigDict(type="RandomFlip", prob=0.0)]
TTA_MODELS = {
    "mmdet": {"type": "DetTTAModel", "tta_cfg": {"nms": {"type": "nms", "iou_threshold": 0.5}, "max_per_img": 100}},
    "mmseg": {"type": "SegTTAModel"},
    "mmpretrain": {"type": "mmpretrain.AverageClsScoreTTA"},
}
DET_META = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor", "flip", "flip_direction")


def drop_teacher_weights(cfg: Config) -> None:
    """A test runs the student alone: weights of the teacher need be neither there nor read."""
    for name in ("teacher_ckpt", "student_ckpt"):
        if isinstance(cfg.get("model"), dict) and name in cfg.model:
            cfg.model[name] = None
    if algorithm_class(cfg) is not None and "random_teacher" in (parameters(algorithm_class(cfg)) or ()):
        cfg.model.random_teacher = True


def fit_model(cfg: Config, checkpoint: dict[str, Any], path: str) -> None:
    """Make the config's model the one that the checkpoint is of: the distiller, or its student by itself.

    Args:
        cfg (Config): Changed in place where a config with a teacher meets the weights of a student alone.
        checkpoint (dict[str, Any]): What is in the file.
        path (str): The file, for messages.

    Raises:
        CheckpointError: The weights are of a distiller and the config is not. Loading them would leave the model at
            its random start with no more than a warning.
    """
    names = checkpoint.get("state_dict", checkpoint)
    distilled = any(str(name).removeprefix("module.").startswith("architecture.") for name in names)
    distiller = algorithm_class(cfg) is not None
    if distilled and not distiller:
        raise CheckpointError(
            f"checkpoint = {path!r} is of a distiller (it has `architecture.` before its keys), and model.type = "
            f"{cfg.model.type!r} is a plain model: test it with the config that it was trained with"
        )
    if distiller and not distilled:
        student = cfg.model.architecture
        if isinstance(student, str):
            from mmdist.models.builder import load_model_config

            student = load_model_config(student, "model.architecture")
        cfg.model = student


def enable_visualization(
    cfg: Config, *, show: bool, show_dir: str | None, wait_time: float, interval: int | None = None
) -> None:
    """Switch the config's visualization hook on, whichever task library's it is.

    Raises:
        ConfigError: There is no such hook, or one that is not known.
    """
    hook = (cfg.get("default_hooks") or {}).get("visualization")
    if not isinstance(hook, dict):
        raise ConfigError("default_hooks.visualization", hook, "a visualization hook", "--show and --show-dir need it")
    name = str(hook.get("type")).rpartition(".")[2]
    if name not in VISUALIZATION:
        raise ConfigError("default_hooks.visualization.type", hook.get("type"), VISUALIZATION)
    switch, folder = VISUALIZATION[name]
    hook[switch] = True
    hook.show = show
    if show:
        hook.wait_time = wait_time
    if interval is not None or name == "VisualizationHook":
        hook.interval = interval or 1
    if show_dir and folder:
        hook[folder] = show_dir
    elif show_dir:
        cfg.visualizer = {**(cfg.get("visualizer") or {}), "save_dir": show_dir}


def enable_amp(cfg: Config) -> None:
    """Evaluate in mixed precision."""
    cfg.test_cfg = cfg.get("test_cfg") or {}
    cfg.test_cfg.fp16 = True


def enable_tta(cfg: Config) -> None:
    """Wrap the model in its library's test time augmentation.

    Raises:
        ConfigError: The config has no ``tta_model`` or ``tta_pipeline``, and its library no default for them.
    """
    scope = cfg.get("default_scope")
    dataset = cfg.test_dataloader.dataset
    while isinstance(dataset.get("dataset"), dict):
        dataset = dataset.dataset
    if "tta_model" not in cfg:
        if scope not in TTA_MODELS:
            raise ConfigError("tta_model", None, "the config of a TTA model", "--tta needs tta_model and tta_pipeline")
        cfg.tta_model = deepcopy(TTA_MODELS[scope])
    if "tta_pipeline" not in cfg:
        if scope not in TTA_MODELS:
            raise ConfigError("tta_pipeline", None, "a pipeline with TestTimeAug", "--tta needs it")
        cfg.tta_pipeline = flipped(dataset.get("pipeline"), scope)
    dataset.pipeline = cfg.tta_pipeline
    cfg.model = ConfigDict(**{**cfg.tta_model, "module": cfg.model})


def flipped(pipeline: Any, scope: str) -> list[dict]:
    """A test pipeline that gives each image twice, once mirrored.

    Args:
        pipeline (Any): Of the test dataset.
        scope (str): The task library. MMSegmentation's ground truth is loaded after the flip: the predictions are
            mirrored back before they meet it.

    Raises:
        ConfigError: There is none, or nothing packs the images at its end.
    """
    steps = list(pipeline) if isinstance(pipeline, list | tuple) else []
    kinds = [str(step.get("type")).rpartition(".")[2] for step in steps if isinstance(step, dict)]
    if len(kinds) != len(steps) or not kinds or not kinds[-1].startswith("Pack"):
        raise ConfigError("test_dataloader.dataset.pipeline", kinds, "a pipeline with a Pack...Inputs at its end")
    if scope == "mmdet":
        pack: dict = {"type": "PackDetInputs", "meta_keys": DET_META}
    else:
        pack = deepcopy(steps[-1])
        if "meta_keys" in pack:  # by these the model mirrors its predictions back
            pack["meta_keys"] = tuple(dict.fromkeys([*pack["meta_keys"], "flip", "flip_direction"]))
    last = kinds.index("LoadAnnotations") if scope == "mmseg" and "LoadAnnotations" in kinds else len(steps) - 1
    rest = [[deepcopy(step)] for step in steps[last:-1]]
    augment = {"type": "TestTimeAug", "transforms": [deepcopy(FLIPS), *rest, [pack]]}
    return [*deepcopy(steps[:last]), augment]


def check_output(cfg: Config, out: str | None, item: str | None) -> None:
    """``--out`` and ``--out-item`` fit each other and the config.

    Raises:
        ConfigError: They do not.
    """
    if out is None:
        if item is not None:
            raise ConfigError("--out-item", item, hint="say where to with --out PATH")
        return
    suffix = Path(out).suffix
    if item == "metrics":
        if suffix not in METRIC_FILES:
            raise ConfigError("--out", out, f"a file ending in {', '.join(METRIC_FILES)}")
    elif suffix not in PICKLES and (suffix or not _label_map_metrics(cfg)):
        hint = "a folder is for configs with MMSegmentation's IoUMetric"
        raise ConfigError("--out", out, f"a file ending in {' or '.join(PICKLES)}", hint)


def _label_map_metrics(cfg: Config) -> list[dict]:
    evaluator = cfg.get("test_evaluator")
    listed = evaluator if isinstance(evaluator, list | tuple) else [evaluator]
    return [part for part in listed if isinstance(part, dict) and str(part.get("type")).endswith("IoUMetric")]


def keep_label_maps(cfg: Config, out: str | None, item: str | None) -> None:
    """Have MMSegmentation's metric write the predicted label maps into a folder."""
    if out is not None and item != "metrics" and Path(out).suffix not in PICKLES:
        for metric in _label_map_metrics(cfg):
            metric["output_dir"] = out
            metric["keep_results"] = True


def keep_predictions(runner: Runner, out: str | None, item: str | None) -> None:
    """Have the evaluator write the predictions into a pickle."""
    if out is None or item == "metrics" or Path(out).suffix not in PICKLES:
        return
    kind: Any = DumpResults
    if runner.cfg.get("default_scope") == "mmdet":
        from mmdet.evaluation import DumpDetResults as kind
    runner.test_evaluator.metrics.append(kind(out_file_path=out))


def write_metrics(metrics: dict, out: str | None, item: str | None) -> None:
    """Write the metrics, on one process."""
    if out is not None and item == "metrics" and is_main_process():
        mmengine.dump(metrics, out)

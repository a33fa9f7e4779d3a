"""``mmdist.DistillVisualizationHook``: to see what a distillation does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor

from mmdist.errors import ConfigError
from mmdist.registry import HOOKS

if TYPE_CHECKING:
    from mmdist.models.algorithms.inspection import Inspection

NAME = "distill"
KEY = "custom_hooks: mmdist.DistillVisualizationHook"


@HOOKS.register_module()
class DistillVisualizationHook(Hook):
    """Draws image, label, predictions of teacher and student, RDD's weights and KL of every pixel side by side.

    For segmenters under ``mmdist.SingleTeacherDistill``. It looks at the batch that has just been trained on, in
    evaluation mode, and hands a picture to the runner's visualizer, as ``distill``: its backends write it as a file, to
    TensorBoard and so on. The training goes on exactly as without it. Only the first process draws, no other waits.

    Args:
        interval (int): Iterations from one picture to the next.
        images (int): How many images of the batch to show, the first; a row each. Defaults to 1.
        out_dir (str, optional): A folder to write the pictures to as well, as ``distill_<iteration>.png``.

    Raises:
        ConfigError: A number that cannot be, or, before the training, a model that is no segmenter under a teacher.

    Example:
        >>> custom_hooks = [dict(type='mmdist.DistillVisualizationHook', interval=200)]
    """

    def __init__(self, interval: int = 200, images: int = 1, out_dir: str | None = None) -> None:
        for name, value in (("interval", interval), ("images", images)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ConfigError(f"{KEY}.{name}", value, "an integer, 1 or above")
        self.interval, self.images = interval, images
        self.out_dir = None if out_dir is None else Path(out_dir)

    def before_train(self, runner: Runner) -> None:
        """See whether there is anything to show."""
        from mmdist.models.algorithms.inspection import is_segmenter  # brings MMRazor along
        from mmdist.models.teacher_weights import check_whole_teacher

        model = _unwrapped(runner)
        if not is_segmenter(model):
            given = type(getattr(model, "student", model)).__name__
            wanted = (
                "a segmenter under another one (model.type='mmdist.SingleTeacherDistill'), to have something to show"
            )
            raise ConfigError(KEY, given, wanted, "take the hook out of custom_hooks")
        check_whole_teacher(model)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        """Draw, every ``interval`` iterations."""
        if not self.every_n_train_iters(runner, self.interval) or not is_main_process():
            return
        from mmdist.models.algorithms.inspection import inspect_batch

        found = inspect_batch(_unwrapped(runner), data_batch, self.images)
        picture = draw(found, getattr(runner.train_dataloader.dataset, "metainfo", {}).get("palette"))
        step = runner.iter + 1
        runner.visualizer.add_image(NAME, picture, step)
        if self.out_dir is not None:
            from PIL import Image

            self.out_dir.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(self.out_dir / f"{NAME}_{step}.png")


def draw(found: Inspection, palette: Sequence[Sequence[int]] | None) -> np.ndarray:
    """One picture, a row an image.

    Args:
        found (Inspection): What there is to show.
        palette (Sequence, optional): RGB of each class; None: colours that differ.

    Returns:
        np.ndarray: (H, W, 3) uint8.
    """
    from mmdist.visualization import Panel, class_colors, figure_pixels, heat_map, overlay_mask, panel_grid

    maps = {"label": found.labels, "teacher": found.teacher, "student": found.student}
    palette = palette or class_colors(found.classes)
    heats = {"weight": found.weight, "KL": found.divergence}
    heats = {name: values for name, values in heats.items() if values is not None}
    rows = []
    for index, image in enumerate(found.images):
        pixels = _array(image.movedim(0, -1))
        row = [Panel(pixels), *(Panel(overlay_mask(pixels, _array(map_[index]), palette)) for map_ in maps.values())]
        for name, values in heats.items():
            values = _array(values[index])
            high = max(1.0, float(values.max())) if name == "weight" else None  # weights of several pictures compare
            row.append(Panel(heat_map(values, high), caption=f"mean {values.mean():.3g}, max {values.max():.3g}"))
        rows.append(row)
    return figure_pixels(panel_grid(rows, ["image", *maps, *heats]))


def _unwrapped(runner: Runner) -> Any:
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def _array(values: Tensor) -> np.ndarray:
    return values.cpu().numpy()

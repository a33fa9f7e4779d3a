"""``mmdist.DistillVisualizationHook``: what it draws, where that goes, and that the training does not notice."""

from __future__ import annotations

from copy import deepcopy
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.processes import run_ranks
from helpers.rdd_runs import Sure, history, plain, run, visualized_rank, weighted
from helpers.task_runs import differing, distilled, plain_run, student_state
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from PIL import Image

from mmdist.engine.hooks import DistillVisualizationHook
from mmdist.engine.hooks.visualization import draw
from mmdist.errors import ConfigError
from mmdist.models.algorithms.inspection import Inspection, inspect_batch

SHOW = dict(type="mmdist.DistillVisualizationHook")


def with_hook(cfg: Config, **options: Any) -> Config:
    cfg = deepcopy(cfg)
    cfg.custom_hooks = [{**SHOW, **options}]
    return cfg


class Watch(Hook):
    """Inspects the batch of every iteration, and keeps what there was to see."""

    def __init__(self) -> None:
        self.found: list[Inspection] = []
        self.logits: list[torch.Tensor] = []
        self.labels: list[torch.Tensor] = []

    def before_train(self, runner: Runner) -> None:
        def keep(module: torch.nn.Module, args: tuple, kwargs: dict) -> None:
            self.logits.append(args[0].detach())
            self.labels.append(args[1])

        runner.model.student.decode_head.loss_decode.register_forward_pre_hook(keep, with_kwargs=True)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        self.found.append(inspect_batch(runner.model, data_batch, 2))


@pytest.mark.parametrize("how", ["rdd", "kd", "plain distiller and auxiliary heads"])
def test_training_is_the_same_bit_for_bit(how: str, tmp_path: Path) -> None:
    cfg = (
        weighted(plain(tmp_path, iters=4), warmup=3)
        if how == "rdd"
        else distilled(plain(tmp_path, iters=4), weight=1.0)
    )
    if how == "kd":
        cfg.model.distiller.distill_losses.loss_dist = dict(type="mmdist.KDLoss")
        mapping = cfg.model.distiller.loss_forward_mappings.loss_dist
        mapping.preds_S, mapping.preds_T = mapping.pop("logits_S"), mapping.pop("logits_T")
    expected = run(cfg, Sure())
    numbers = torch.rand(3), np.random.rand()
    found = run(with_hook(cfg, interval=1, images=2, out_dir=str(tmp_path / "shown")), Sure())
    assert (torch.rand(3).tolist(), np.random.rand()) == (numbers[0].tolist(), numbers[1])
    assert not differing(student_state(found), student_state(expected))
    assert history(found, "loss") == history(expected, "loss")
    assert all(module.training for module in found.model.student.modules())
    assert not any(module.training for module in found.model.teacher.modules())
    assert len(list((tmp_path / "shown").glob("*.png"))) == 4


def test_the_runners_visualizer_writes_a_picture_every_interval(tmp_path: Path) -> None:
    cfg = with_hook(weighted(plain(tmp_path, iters=5), warmup=3), interval=2, out_dir=str(tmp_path / "shown"))
    runner = run(cfg, Sure())
    written = sorted(Path(runner.work_dir).glob("*/vis_data/vis_image/*.png"))
    assert [path.name for path in written] == ["distill_2.png", "distill_4.png"]
    shown = [np.array(Image.open(path)) for path in sorted((tmp_path / "shown").glob("*.png"))]
    for path, picture in zip(written, shown, strict=True):
        assert np.array_equal(np.array(Image.open(path)), picture)
        assert picture.shape[1] > 5 * picture.shape[0] / 2  # one row of six images


@pytest.mark.skipif(find_spec("tensorboard") is None, reason="tensorboard is not installed: pip install tensorboard")
def test_tensorboard_gets_the_picture(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    cfg = with_hook(weighted(plain(tmp_path, iters=2), warmup=2), interval=1)
    cfg.visualizer = dict(type="Visualizer", vis_backends=[dict(type="TensorboardVisBackend")])
    runner = run(cfg, Sure())
    (events,) = Path(runner.work_dir).rglob("events.out.tfevents*")
    accumulator = EventAccumulator(str(events)).Reload()
    assert [event.step for event in accumulator.Images("distill")] == [1, 2]


def test_what_is_shown_is_what_was_trained_on(tmp_path: Path) -> None:
    watch = Watch()
    cfg = weighted(plain(tmp_path, iters=4, optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.0))), warmup=3)
    runner = run(cfg, Sure(), watch)
    for found, labels in zip(watch.found, watch.labels, strict=True):
        assert torch.equal(found.labels, labels[:2])
        assert found.images.shape == (2, 3, 48, 48)
        assert found.images.dtype == torch.uint8
        assert found.student.shape == found.teacher.shape == found.weight.shape == found.divergence.shape == (2, 48, 48)
    # The second stage's weights are 0 and 1, the first stage's between.
    assert [set(found.weight.unique().tolist()) <= {0.0, 1.0} for found in watch.found] == [False, False, True, True]
    assert history(runner, "rdd.stage") == [1.0, 1.0, 2.0, 2.0]


def test_in_evaluation_mode_the_weights_are_those_of_the_training(tmp_path: Path) -> None:
    cfg = weighted(plain(tmp_path, iters=1), warmup=0)
    model = run(cfg, Sure()).model.eval()
    batch = dict(inputs=[torch.randint(0, 256, (3, 48, 48), dtype=torch.uint8) for _ in range(3)], data_samples=[])
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    for _ in range(3):
        sample = SegDataSample(metainfo=dict(img_shape=(48, 48), ori_shape=(48, 48)))
        sample.gt_sem_seg = PixelData(data=torch.randint(0, 3, (1, 48, 48)))
        batch["data_samples"].append(sample)
    found = inspect_batch(model, batch, 3)
    prepared = model.data_preprocessor(batch, True)
    logged = model(**prepared, mode="loss")
    torch.testing.assert_close(found.weight.mean(), logged["rdd.weight"])
    assert 0 < found.weight.mean() < 1
    rgb = torch.stack(batch["inputs"]).flip(1)
    assert (found.images.int() - rgb.int()).abs().max() <= 1
    logits = model.student(prepared["inputs"], mode="tensor"), model.teacher(prepared["inputs"], mode="tensor")
    p, q = (torch.nn.functional.interpolate(z, (48, 48), mode="bilinear").double().softmax(1) for z in logits)
    torch.testing.assert_close(found.student, p.argmax(1))
    torch.testing.assert_close(found.teacher, q.argmax(1))
    torch.testing.assert_close(found.divergence.double(), (q * (q / p).log()).sum(1), rtol=1e-4, atol=1e-5)
    one = inspect_batch(model, batch, 1)
    assert torch.equal(one.weight, found.weight[:1])  # of the whole batch, whatever is shown


def test_distillation_of_other_classes_is_shown_without_kl(tmp_path: Path) -> None:
    cfg = distilled(plain(tmp_path, iters=1), features=True, weight=1.0)
    cfg.model.teacher.decode_head.num_classes = 5
    watch = Watch()
    run(cfg, watch)
    (found,) = watch.found
    assert found.divergence is None
    assert found.weight is None
    assert draw(found, None).ndim == 3


def test_a_row_has_six_images_with_rdd_and_five_without() -> None:
    maps = dict(labels=torch.randint(0, 3, (2, 8, 8)), teacher=torch.zeros(2, 8, 8), student=torch.ones(2, 8, 8))
    maps["labels"][:, 0] = 255
    found = dict(images=torch.zeros(2, 3, 8, 8, dtype=torch.uint8), divergence=torch.rand(2, 8, 8), classes=3, **maps)
    five = draw(Inspection(**found, weight=None), [(255, 0, 0), (0, 255, 0), (0, 0, 255)])
    six = draw(Inspection(**found, weight=torch.rand(2, 8, 8)), None)
    assert five.shape[0] == six.shape[0]
    assert abs(six.shape[1] / five.shape[1] - 6 / 5) < 0.02


@pytest.mark.slow
def test_one_process_draws_and_none_waits(tmp_path: Path) -> None:
    stages = run_ranks(visualized_rank, 2, tmp_path, str(tmp_path))
    assert stages[0]["stages"] == stages[1]["stages"]
    assert not differing(stages[0]["parameters"], stages[1]["parameters"])
    assert [path.name for path in (tmp_path / "shown").glob("*.png")] == ["distill_2.png"]


@pytest.mark.parametrize("scope", ["mmdet", "mmpretrain"])
def test_detectors_and_classifiers_are_refused_before_the_training(scope: str, tmp_path: Path) -> None:
    cfg = with_hook(distilled(plain_run(scope, tmp_path, iters=1)))
    with pytest.raises(ConfigError, match=r"DistillVisualizationHook = '(RetinaNet|ImageClassifier)': expected a segm"):
        run(cfg)


def test_a_segmenter_by_itself_is_refused_before_the_training(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"DistillVisualizationHook = 'EncoderDecoder': expected a segmenter under"):
        run(with_hook(plain(tmp_path, iters=1)))


@pytest.mark.parametrize("options", [dict(interval=0), dict(interval=1.5), dict(images=0), dict(images=True)])
def test_a_number_that_cannot_be_is_refused(options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(ConfigError, match=rf"DistillVisualizationHook.{name} = .*: expected an integer, 1 or above"):
        DistillVisualizationHook(**options)

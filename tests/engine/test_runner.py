"""Building a Runner: what fails leaves nothing behind and names its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.tiny_run import write_run
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import HOOKS, MODELS

from mmdist.engine.config import load_config
from mmdist.engine.runner import build_runner, train
from mmdist.errors import ConfigError, MMDistError


@pytest.fixture
def distill(tmp_path: Path) -> Config:
    cfg = load_config(str(write_run(tmp_path).with_name("distill.py")))
    cfg.work_dir = str(tmp_path / "runs" / "deep" / "here")
    return cfg


def misspelt_source(cfg: Config) -> None:
    cfg.model.distiller.student_recorders.logits.source = "head.fcc"


def unknown_argument_of_a_base_class(cfg: Config) -> None:
    cfg.model.architecture.backbone.dpeth = 18


def missing_argument(cfg: Config) -> None:
    cfg.model.architecture.head.in_channel = cfg.model.architecture.head.pop("in_channels")


def unknown_hook(cfg: Config) -> None:
    cfg.default_hooks.visualization.type = "VisualisationHook"


def unknown_augment(cfg: Config) -> None:
    augments = {"augments": {"type": "Mixxup", "alpha": 1.0}}
    cfg.model.architecture.data_preprocessor = {"type": "ClsDataPreprocessor", "batch_augments": augments}


def bad_value(cfg: Config) -> None:
    cfg.model.distiller.distill_losses.loss_dist.tau = -1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (misspelt_source, r"student_recorders\.logits\.source = 'head\.fcc'.*'head\.fc'"),
        (unknown_argument_of_a_base_class, r"model\.architecture\.backbone\.dpeth = 18.*'depth'"),
        (missing_argument, r"model\.architecture\.head = 'LinearClsHead'.*'in_channels'.*'in_channel'"),
        (bad_value, r"tau = -1\.0"),
        (unknown_hook, r"default_hooks\.visualization\.type = 'VisualisationHook'.*'VisualizationHook'"),
        (unknown_augment, r"batch_augments\.augments\.type = 'Mixxup'.*batch augment"),
    ],
)
def test_a_model_that_cannot_be_built_is_answered_and_leaves_no_folder(
    distill: Config, change: Callable[[Config], None], message: str, tmp_path: Path
) -> None:
    change(distill)
    with pytest.raises(MMDistError, match=message):
        build_runner(distill)
    assert not (tmp_path / "runs").exists()


def test_what_was_in_the_work_dir_stays_when_building_fails(distill: Config) -> None:
    work_dir = Path(distill.work_dir)
    earlier = work_dir / "20200101_000000"
    earlier.mkdir(parents=True)
    (earlier / "log.txt").write_text("kept")
    (work_dir / "epoch_1.pth").write_text("kept")
    misspelt_source(distill)
    with pytest.raises(ConfigError):
        build_runner(distill)
    assert sorted(entry.name for entry in work_dir.iterdir()) == ["20200101_000000", "epoch_1.pth"]
    assert (earlier / "log.txt").read_text() == "kept"


class FromElsewhere(BaseModel):
    """While it is built, another process starts a run in the same work dir; then building fails."""

    def __init__(self, work_dir: str, other: str = "20990101_000000") -> None:
        super().__init__()
        folder = Path(work_dir, other)
        folder.mkdir()
        (folder / "log.txt").write_text("kept")
        raise ConfigError("model", "FromElsewhere")

    def forward(self) -> None:
        """Nothing."""


@pytest.fixture
def from_elsewhere() -> Iterator[type[BaseModel]]:
    MODELS.register_module(module=FromElsewhere, force=True)
    yield FromElsewhere
    MODELS.module_dict.pop("FromElsewhere")


def test_the_log_folder_of_another_run_in_the_same_work_dir_stays(
    distill: Config, from_elsewhere: type[BaseModel]
) -> None:
    work_dir = Path(distill.work_dir)
    distill.model = dict(type=from_elsewhere.__name__, work_dir=distill.work_dir)
    with pytest.raises(ConfigError):
        build_runner(distill)
    assert [str(path.relative_to(work_dir)) for path in work_dir.rglob("*")] == [
        "20990101_000000",
        "20990101_000000/log.txt",
    ]


def test_the_log_of_an_earlier_run_of_this_process_stays_and_goes_on(distill: Config) -> None:
    plain = load_config(distill.filename.replace("distill.py", "plain.py"))
    plain.work_dir = distill.work_dir
    runner = build_runner(plain)
    misspelt_source(distill)
    distill.experiment_name = "another"
    with pytest.raises(ConfigError):
        build_runner(distill)
    runner.logger.info("and goes on")
    log = Path(runner.log_dir, f"{runner.timestamp}.log")
    assert "and goes on" in log.read_text()


def test_a_runner_that_fails_before_its_logger_is_built_leaves_no_folder(distill: Config, tmp_path: Path) -> None:
    distill.log_processor = dict(type="LogProcesor")
    with pytest.raises(MMDistError, match=r"log_processor\.type = 'LogProcesor'"):
        build_runner(distill)
    assert not (tmp_path / "runs").exists()


def test_an_exception_that_is_no_mistake_of_the_config_is_seen_whole(
    distill: Config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(self: object, **kwargs: object) -> None:
        raise TypeError("'NoneType' object is not iterable")

    monkeypatch.setattr("mmpretrain.models.heads.LinearClsHead.__init__", broken)
    with pytest.raises(TypeError, match="NoneType"):
        build_runner(distill)
    assert not (tmp_path / "runs").exists()


def test_the_runner_type_of_a_config_is_built(distill: Config) -> None:
    from mmengine.registry import RUNNERS
    from mmengine.runner import Runner

    class OwnRunner(Runner):
        pass

    RUNNERS.register_module(module=OwnRunner, force=True)
    distill.runner_type = "OwnRunner"
    assert type(build_runner(distill)) is OwnRunner


@HOOKS.register_module(name="FailingHook", force=True)
class Failing(Hook):
    """Fails before the first iteration."""

    def __init__(self, mistake: bool) -> None:
        self.error = MMDistError("a mistake") if mistake else RuntimeError("CUDA error: an illegal memory access")

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        raise self.error


@pytest.mark.parametrize("mistake", [False, True])
def test_the_log_of_a_crash_stays_and_that_of_a_mistake_goes(distill: Config, mistake: bool) -> None:
    distill.custom_hooks = [dict(type="FailingHook", mistake=mistake)]
    with pytest.raises(MMDistError if mistake else RuntimeError):
        train(distill)
    assert bool(list(Path(distill.work_dir).glob("*/*.log"))) is not mistake
    assert Path(distill.work_dir).exists() is not mistake

"""The parts that the demo is made of."""

from __future__ import annotations

import io
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.tiny_run import ROOT
from mmengine.config import Config
from mmengine.optim.scheduler import LinearLR, PolyLR

from mmdist.apis.comparison import history, predictions, process, stages
from mmdist.apis.comparison.history import History
from mmdist.cli.demo.catalog import DEMOS, Metric, choose
from mmdist.cli.demo.results import Results, as_json, equal_time_iterations, table
from mmdist.cli.demo.schedule import iterations_of, length_options, relocation_options
from mmdist.cli.demo.training import Trained, Training, option_arguments
from mmdist.engine import atomic
from mmdist.errors import CheckpointError, ConfigError, MMDistError

SCHEDULERS = [
    dict(type="LinearLR", start_factor=0.1, by_epoch=False, begin=0, end=50),
    dict(type="PolyLR", power=0.9, eta_min=1e-5, by_epoch=False, begin=50, end=1000),
]

# ---------------------------------------------------------------- catalog and configs


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ((None, None), "seg-digits"),
        (("det", None), "det-digits"),
        (("cls", None), "cls-mnist"),
        ((None, "nuclei"), "seg-nuclei"),
        ((None, "trees"), "det-trees"),
        (("det", "digits"), "det-digits"),
    ],
)
def test_what_is_left_out_is_chosen_to_fit(asked, name):
    assert choose(*asked).name == name


@pytest.mark.parametrize("demo", DEMOS, ids=lambda demo: demo.name)
def test_the_configs_of_every_demo_are_there_and_of_one_length(demo):
    folder = ROOT / "configs" / "demo"
    configs = [Config.fromfile(str(folder / name)) for name in (demo.teacher, demo.student, demo.distilled)]
    assert len({iterations_of(cfg, "config") for cfg in configs}) == 1
    assert (ROOT / "tools" / "dataset_converters" / f"{demo.converter}.py").is_file()
    moved = relocation_options(configs[0], f"data/{demo.converter}", "/elsewhere")
    assert {key.split("_")[0] for key in moved} == {"train", "val", "test"}


# ---------------------------------------------------------------- schedule


def learning_rates(schedulers: list[dict], iterations: int) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    kinds = {"LinearLR": LinearLR, "PolyLR": PolyLR}
    built = [kinds[entry["type"]](optimizer, **{k: v for k, v in entry.items() if k != "type"}) for entry in schedulers]
    rates = []
    for _ in range(iterations):
        rates.append(optimizer.param_groups[0]["lr"])
        for scheduler in built:
            scheduler.step()
    return rates


@pytest.mark.parametrize("length", [10, 600, 1000, 1640])
def test_a_stretched_schedule_takes_the_same_course(length):
    cfg = Config(dict(train_cfg=dict(max_iters=1000, val_interval=1000), param_scheduler=SCHEDULERS, default_hooks={}))
    before = learning_rates(SCHEDULERS, 1000)
    cfg.merge_from_dict(length_options(cfg, length))
    after = learning_rates([dict(entry) for entry in cfg.param_scheduler], length)
    assert cfg.train_cfg.max_iters == length
    assert after[-1] < 0.2 * max(after)
    if length >= 600:
        for part in (0.01, 0.2, 0.5, 0.8, 0.99):
            assert after[int(part * length)] == pytest.approx(before[int(part * 1000)], abs=0.01)
    if length == 1000:
        assert after == before


def test_only_what_lies_in_the_data_folder_is_moved():
    cfg = Config(
        dict(
            train_dataloader=dict(dataset=dict(data_root="data/digit_scenes/", data_prefix=dict(img="images/train"))),
            val_dataloader=dict(dataset=dict(dataset=dict(data_root="data/digit_scenes"))),
            val_evaluator=[dict(ann_file="data/digit_scenes/a.json"), dict(ann_file="data/digit_scenes_2/a.json")],
            work_dir="data/digit_scenes/",
        )
    )
    assert relocation_options(cfg, "data/digit_scenes", "/new") == {
        "train_dataloader.dataset.data_root": "/new/",
        "val_dataloader.dataset.dataset.data_root": "/new",
        "val_evaluator.0.ann_file": "/new/a.json",
    }
    assert relocation_options(cfg, "data/digit_scenes", "data/digit_scenes") == {}


def test_a_path_that_would_be_taken_for_a_list_is_refused():
    assert option_arguments({"a.b": 1, "c": "x"}) == ["--cfg-options", "a.b=1", "c=x"]
    with pytest.raises(ConfigError, match="--work-dir = '/a,b/data': expected a path without a comma"):
        option_arguments({"train_dataloader.dataset.data_root": "/a,b/data"})


def test_a_config_that_counts_epochs_is_refused():
    with pytest.raises(ConfigError, match=r"r18\.py: train_cfg\.max_iters = None: expected a number of iterations"):
        iterations_of(Config(dict(train_cfg=dict(max_epochs=3))), "r18.py")


# ---------------------------------------------------------------- stages


def finished(folder: Path, inputs: dict) -> stages.Stage:
    stage = stages.Stage(folder, inputs)
    stage.begin()
    (folder / "out.txt").write_text("result")
    stage.finish(["out.txt"], metric=math.nan)
    return stage


def test_a_finished_stage_is_known_by_its_inputs_and_its_files(tmp_path):
    folder = tmp_path / "stage"
    stage = finished(folder, {"lr": 0.1, "steps": (1, 2)})
    assert math.isnan(stage.result()["metric"])
    assert stages.Stage(folder, {"steps": [1, 2], "lr": 0.1}).result() is not None
    assert stages.Stage(folder, {"lr": 0.2, "steps": (1, 2)}).result() is None
    (folder / "out.txt").write_text("Result")
    assert stage.result() is None


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\xff\xfe"])
def test_a_damaged_note_counts_as_none(tmp_path, damage):
    stage = finished(tmp_path / "stage", {})
    (tmp_path / "stage" / "done.json").write_bytes(damage)
    assert stage.result() is None
    assert stage.begin() is False and not (tmp_path / "stage" / "out.txt").exists()


def test_only_an_unfinished_stage_of_the_same_inputs_is_continued(tmp_path):
    folder = tmp_path / "stage"
    assert stages.Stage(folder, {"seed": 0}).begin() is False
    (folder / "iter_10.pth").write_text("half")
    assert stages.Stage(folder, {"seed": 0}).begin() is True and (folder / "iter_10.pth").exists()
    assert stages.Stage(folder, {"seed": 1}).begin() is False and not (folder / "iter_10.pth").exists()


def test_a_note_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "done.json"
    stages.write_json(path, {"metric": 1})

    def fail(_: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(atomic.os, "fsync", fail)
    with pytest.raises(CheckpointError, match=r"done\.json could not be written: no space"):
        stages.write_json(path, {"metric": 2})
    assert json.loads(path.read_text()) == {"metric": 1}


def test_a_folder_stays_locked_until_the_last_process_of_a_demo_has_ended(tmp_path):
    with stages.lock(tmp_path) as held:
        orphan = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[held])
        with pytest.raises(MMDistError, match=rf"comparison \(process {os.getpid()}, or"), stages.lock(tmp_path):
            pass
    with pytest.raises(MMDistError, match="another comparison"), stages.lock(tmp_path):
        pass
    orphan.communicate(b"\n")
    with stages.lock(tmp_path):
        pass


# ---------------------------------------------------------------- processes


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


LINE = "11/21 10:00:00 - mmengine - INFO - Iter(train) [ 50/1000]  lr: 1e-3  eta: 0:01:00  loss: 2.4000  loss_a: 1.0\n"


def test_a_terminal_sees_the_iteration_and_the_loss_in_one_line():
    progress = process.Progress("[2/7] teacher", Terminal())
    progress.line(LINE)
    assert progress.stream.getvalue().endswith("\r\x1b[K[2/7] teacher ... iteration 50 of 1000, loss 2.4")
    progress.end("mIoU 66.9")
    assert progress.stream.getvalue().endswith("\r\x1b[K[2/7] teacher: mIoU 66.9, 0 s\n")


def test_a_log_gets_a_line_now_and_then(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(process.time, "monotonic", lambda: now[0])
    progress = process.Progress("teacher", io.StringIO())
    for _ in range(100):
        now[0] += 0.5
        progress.line(LINE)
        progress.line("something else\n")
    assert progress.stream.getvalue().splitlines() == ["teacher ... iteration 50 of 1000, loss 2.4"] * 2


def test_a_tool_that_fails_leaves_all_that_it_wrote_in_its_log(tmp_path):
    code = "import sys; [print(i) for i in range(100)]; sys.exit('the reason')"
    seen: list[str] = []
    with pytest.raises(process.StageFailed, match="stage ended with exit status 1") as caught:
        process.run([sys.executable, "-c", code], "stage", tmp_path / "log", cwd=tmp_path, on_line=seen.append)
    assert caught.value.tail[-1] == "the reason" and len(caught.value.tail) == process.TAIL
    assert (tmp_path / "log").read_text().splitlines()[1:] == [line.rstrip() for line in seen]


def test_an_interruption_ends_the_tool_and_what_it_started(tmp_path):
    inner = "import os, pathlib, time; pathlib.Path('pid').write_text(str(os.getpid())); print('up'); time.sleep(60)"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-u', '-c', {inner!r}])"

    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        process.run([sys.executable, "-c", outer], "stage", tmp_path / "log", cwd=tmp_path, on_line=interrupt)
    assert time.monotonic() - start < 30
    stat = Path("/proc", (tmp_path / "pid").read_text(), "stat")
    for _ in range(100):  # an orphan that has ended is gone, or waits to be collected
        if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.05)
    pytest.fail("the inner process is still at work")


# ---------------------------------------------------------------- what a training leaves


def test_the_task_loss_leaves_out_what_distillation_adds():
    ones = np.ones(3)
    plain = {"train/loss": 3 * ones, "train/decode.loss_ce": ones, "train/aux.loss_ce": 2 * ones, "train/time": ones}
    distilled = {f"train/student.{name[6:]}": values for name, values in plain.items() if ".loss" in name}
    distilled |= {"train/distill.loss_dist": 5 * ones, "train/loss": 8 * ones, "val/loss": ones}
    assert history.task_loss(plain).tolist() == history.task_loss(distilled).tolist() == [3, 3, 3]
    assert history.task_loss({"train/loss": ones}).tolist() == [1, 1, 1]


def test_parameters_are_those_of_the_student_alone_without_buffers():
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    count = sum(parameter.numel() for parameter in model.parameters())
    assert history.count_parameters(model.state_dict()) == count
    distiller = {f"architecture.{name}": value for name, value in model.state_dict().items()}
    assert history.count_parameters({**distiller, "teacher.weight": torch.zeros(99)}) == count


def test_validations_of_a_resumed_training_are_read_in_order(tmp_path):
    for name, lines in {
        "20260101_000000": ['{"mIoU": 10, "step": 100}', '{"loss": 1, "step": 150}', '{"mIoU": 20, "step": 200}'],
        "20260101_000100": ['{"mIoU": 21.5, "step": 200}', '{"mIoU": 30, "step": 300}', '{"mIoU": 4'],
    }.items():
        (tmp_path / name / "vis_data").mkdir(parents=True)
        (tmp_path / name / "vis_data" / "scalars.json").write_text("\n".join(lines))
    assert history.read_validations(tmp_path, "mIoU") == {100: 10.0, 200: 21.5, 300: 30.0}


def test_predictions_come_back_as_they_were(tmp_path):
    records = [{"image": np.full((2, 2, 3), i, np.uint8), "truth": np.zeros((i, 6), np.float32)} for i in range(11)]
    predictions.save(tmp_path / "p.npz", {"classes": ["a"]}, records)
    meta, found = predictions.load(tmp_path / "p.npz")
    assert meta == {"classes": ["a"]} and [len(record["truth"]) for record in found] == list(range(11))
    assert all(np.array_equal(a["image"], b["image"]) for a, b in zip(records, found, strict=True))


# ---------------------------------------------------------------- results and figures


def results(task: str = "seg", metric: float = 40.0) -> Results:
    def trained(name: str, label: str, value: float, seconds: float, parameters: int = 1000) -> Trained:
        past = History(np.linspace(2, 1, 20), seconds, seconds / 20, parameters)
        training = Training(name, label, "c.py", 20)
        return Trained(training, Path("iter_20.pth"), "", value, past, {10: 1.0, 20: value}, ["python"], "now")

    return Results(
        choose(task),
        trained("teacher", "teacher", 60.0, 90, 1_234_567),
        trained("plain", "plain student", metric, 48),
        trained("distilled", "distilled student", 50.0, 75),
        trained("plain_equal_time", "plain student, equal time", 45.0, 76),
        validation_images=200,
        setting={},
    )


def test_the_table_says_what_is_reached_at_equal_iterations_and_at_equal_time():
    lines = table(results()).splitlines()
    assert len({len(line) for line in lines}) == 1
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert rows[0] == ["model", "parameters", "mIoU at equal iterations", "mIoU at equal time", "minutes"]
    assert rows[2:] == [
        ["teacher", "1,234,567", "60.0", "-", "1.5"],
        ["plain student", "1,000", "40.0", "45.0", "0.80 (1.3 at equal time)"],
        ["distilled student", "1,000", "50.0", "50.0", "1.2"],
    ]


def test_a_metric_that_is_no_number_is_shown_as_none():
    broken = results(metric=math.nan)
    assert "nan" not in table(broken)
    assert json.loads(json.dumps(as_json(broken), allow_nan=False))["models"]["plain"]["metric"] is None


def test_equal_time_is_never_less_than_equal_iterations():
    assert equal_time_iterations(1000, 47.0, 77.0) == 1638
    assert equal_time_iterations(1000, 77.0, 47.0) == 1000


def records_of(task: str) -> list[predictions.Record]:
    names = ("truth", "teacher", "plain", "distilled")
    image = np.full((16, 16, 3), 90, np.uint8)
    values = {
        "seg": np.eye(16, dtype=np.uint8),
        "det": np.array([[1, 2, 8, 9, 1, 0.9], [1, 2, 8, 9, 0, 0.1]], np.float32),
        "cls": np.array(1),
    }
    return [{"image": image, **{name: values[task] for name in names}} for _ in range(2)]


@pytest.mark.parametrize("task", ["seg", "det", "cls"])
def test_every_task_has_its_figures(task, tmp_path):
    from mmdist.cli.demo.figures import write_figures

    meta = {"classes": ["background", "1"], "palette": [[0, 0, 0], [9, 9, 9]]}
    predictions.save(tmp_path / "p.npz", meta, records_of(task))
    captions = write_figures(results(task), tmp_path / "p.npz", tmp_path)
    assert list(captions) == ["metric.png", "curves.png", "panels.png"]
    assert all((tmp_path / name).stat().st_size > 1000 for name in captions)


def test_only_boxes_with_a_sufficient_score_are_drawn():
    from mmdist.cli.demo.figures import COLUMNS, boxes

    axes = boxes(records_of("det")[:1], ["0", "1"], None, COLUMNS).axes
    assert [len(place.patches) for place in axes] == [0, 1, 1, 1, 1]
    assert [place.texts[0].get_text() for place in axes[1:]] == ["1", "1 0.90", "1 0.90", "1 0.90"]


def test_a_metric_that_a_library_leaves_out_has_a_value_only_where_that_means_something():
    assert choose("det").metric.absent == 0.0
    assert Metric("mIoU", "mIoU").absent is None

"""``benchmarks/step.py`` compares what it says it compares, and measures what it says it measures."""

from __future__ import annotations

import importlib.util
import json
import math
import time
from pathlib import Path

import pytest
import torch
from torch import nn

PATH = Path(__file__).parents[2] / "benchmarks" / "step.py"


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("step_benchmark", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def tiny(benchmark):
    """Tiny models of the segmentation case."""
    pytest.importorskip("mmseg")
    case = benchmark.CASES["pspnet-logits"]._replace(sizes=[(32, 32)], quick=True)
    torch.manual_seed(0)
    return case, benchmark.build(case, "student"), benchmark.build(case, "teacher")


@pytest.fixture
def pair(benchmark, tiny):
    """Both classes around them."""
    return benchmark.contenders(*tiny, "cpu")


def test_both_classes_start_from_the_same_weights_and_stay_together(benchmark, tiny, pair):
    data = benchmark.batches(tiny[0])[0]
    for _ in range(4):
        losses = {name: benchmark.seconds_of(contender, data, "cpu")[1] for name, contender in pair.items()}
        assert {"student.decode.loss_ce", "distill.loss_distill", "loss"} <= losses["mmdist"].keys()
        assert benchmark.difference(losses["mmdist"], losses["MMRazor"]) < 1e-5
    trained = [dict(contender.model.student.named_parameters()) for contender in pair.values()]
    start = dict(tiny[1].named_parameters())
    for name, value in trained[0].items():
        torch.testing.assert_close(value, trained[1][name], rtol=1e-4, atol=1e-6)
    assert not torch.equal(trained[0]["decode_head.conv_seg.weight"], start["decode_head.conv_seg.weight"])


def test_nothing_in_the_models_is_left_to_chance(tiny):
    for model in tiny[1:]:
        rates = [module.p for module in model.modules() if isinstance(module, nn.Dropout2d | nn.Dropout)]
        assert not any(rates)
        assert not any(isinstance(module, nn.SyncBatchNorm) for module in model.modules())


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ({"loss": 1.0, "b": 0.0}, {"loss": 1.0, "b": 0.0}, 0.0),
        ({"loss": 2.0, "b": 4.0}, {"loss": 2.0, "b": 3.0}, 0.25),
        ({"loss": 1.0}, {"loss": 1.0, "b": 3.0}, math.inf),
        ({"loss": math.nan}, {"loss": math.nan}, math.inf),
        ({}, {}, math.inf),
    ],
)
def test_a_loss_that_differs_is_missing_or_is_not_a_number_is_noticed(benchmark, ours, theirs, expected):
    assert benchmark.difference(ours, theirs) == benchmark.difference(theirs, ours) == expected


def test_time_is_charged_to_its_part_though_the_teacher_is_left_early(benchmark, tiny, pair):
    data = benchmark.batches(tiny[0])[0]
    ours = pair["mmdist"]
    for _ in range(benchmark.WARM_UP):
        benchmark.seconds_of(ours, data, "cpu")
    # From the third pass on, this head is where mmdist leaves the teacher; it never returns.
    handle = ours.model.teacher.backbone.register_forward_hook(lambda *args: time.sleep(0.2))
    left = []
    forward = ours.model.teacher.decode_head.forward
    ours.model.teacher.decode_head.forward = lambda *args: left.append(False) or (forward(*args), left.append(True))[0]
    with benchmark.timed(ours, "cpu") as parts:
        whole, _ = benchmark.seconds_of(ours, data, "cpu")
    handle.remove()
    assert left == [False]
    assert 0.2 < parts["teacher"] < whole
    assert sum(parts.values()) <= whole
    assert all(seconds > 0 for seconds in parts.values())
    owners = [ours.model.data_preprocessor, ours.model.teacher, ours.model.student, ours.model.distiller, ours.optim]
    names = {"forward", "compute_distill_losses", "backward", "step", "zero_grad"}
    assert not any(names & vars(owner).keys() for owner in owners)


def test_peak_memory_counts_what_is_alive_at_once(benchmark):
    mebibyte = torch.ones(2**18)

    def function():
        kept = mebibyte + 1
        for _ in range(3):
            other = kept * 2
            del other

    assert benchmark.peak_bytes(function, "cpu") == pytest.approx(2 * 2**20, rel=0.01)


def test_a_quick_run_writes_table_and_json(benchmark, tiny, tmp_path):
    arguments = ["--quick", "--case", "pspnet-logits", "--repeats", "2"]
    assert benchmark.main([*arguments, "--json", f"{tmp_path}/out.json", "--markdown", f"{tmp_path}/out.md"]) == 0
    ours, theirs = json.loads((tmp_path / "out.json").read_text())["results"]
    assert (ours["class"], theirs["class"], theirs["ratio"]) == ("mmdist", "MMRazor", 1)
    student, teacher = (sum(p.numel() for p in model.parameters()) for model in tiny[1:])
    assert ours["optimizer_parameters"] == student
    assert theirs["optimizer_parameters"] == student + teacher
    assert ours["state_mb"] == ours["student_state_mb"] < theirs["state_mb"]
    assert ours["loss_difference"] <= 1e-4
    assert min(ours["ms"], ours["peak_mib"], *(ours["parts_ms"][part] for part in benchmark.PARTS)) > 0
    assert (tmp_path / "out.md").read_text().count("\n") == 2 + 2


def test_losses_that_differ_make_the_run_fail(benchmark, tiny, monkeypatch, capsys):
    build = benchmark.contenders

    def other_weights(*args):
        pair = build(*args)
        with torch.no_grad():
            pair["MMRazor"].model.student.decode_head.conv_seg.bias[0] += 0.1
        return pair

    monkeypatch.setattr(benchmark, "contenders", other_weights)
    monkeypatch.setattr(benchmark, "peak_of_steps", lambda *args: 0)
    assert benchmark.main(["--quick", "--case", "pspnet-logits", "--repeats", "1"]) == 1
    assert "pspnet-logits: the losses of the two classes differ by" in capsys.readouterr().err


@pytest.mark.slow
def test_a_quick_run_of_the_detectors_finds_the_same_losses(benchmark, tmp_path):
    pytest.importorskip("mmdet")
    arguments = ["--quick", "--case", "retinanet-fpn", "--repeats", "1", "--json", f"{tmp_path}/out.json"]
    assert benchmark.main(arguments) == 0
    ours, theirs = json.loads((tmp_path / "out.json").read_text())["results"]
    assert ours["loss_difference"] == theirs["loss_difference"] <= 1e-4


@pytest.mark.parametrize("arguments", [["--case", "retinanet"], ["--repeats", "0"]])
def test_a_wrong_argument_is_refused_before_anything_is_built(benchmark, arguments, capsys):
    with pytest.raises(SystemExit) as error:
        benchmark.main(arguments)
    assert error.value.code == 2
    assert arguments[0] in capsys.readouterr().err

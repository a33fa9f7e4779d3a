"""``benchmarks/step.py`` compares what it says it compares, and measures what it says it measures."""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path

import pytest
import torch
from mmengine.logging import MessageHub
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))  # as Python does for a script there

# isort: split
import step
from _step import clocks, measuring
from _step.cases import CASES
from _step.data import batches
from _step.models import build, contenders


def small(key, size=32):
    """A case of small pictures, with tiny models."""
    case = CASES[key].tiny()._replace(sizes=[(size, size)])
    pytest.importorskip(case.scope)
    torch.manual_seed(0)
    return case, build(case, "student"), build(case, "teacher")


@pytest.fixture(scope="module")
def tiny():
    """Tiny models of the segmentation case."""
    return small("pspnet-logits")


@pytest.fixture
def pair(tiny):
    """Both classes around them."""
    return contenders(*tiny, "cpu")


def test_both_classes_start_from_the_same_weights_and_stay_together(tiny, pair):
    data = batches(tiny[0])[0]
    for _ in range(4):
        losses = {name: clocks.seconds_of(contender, data, "cpu")[1] for name, contender in pair.items()}
        assert {"student.decode.loss_ce", "distill.loss_distill", "loss"} <= losses["mmdist"].keys()
        assert measuring.difference(losses["mmdist"], losses["MMRazor"]) < 1e-5
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
def test_a_loss_that_differs_is_missing_or_is_not_a_number_is_noticed(ours, theirs, expected):
    assert measuring.difference(ours, theirs) == measuring.difference(theirs, ours) == expected


def test_time_is_charged_to_its_part_though_the_teacher_is_left_early(tiny, pair):
    data = batches(tiny[0])[0]
    ours = pair["mmdist"]
    for _ in range(measuring.WARM_UP):
        clocks.seconds_of(ours, data, "cpu")
    # From the third pass on, this head is where mmdist leaves the teacher; it never returns.
    handle = ours.model.teacher.backbone.register_forward_hook(lambda *args: time.sleep(0.2))
    left = []
    forward = ours.model.teacher.decode_head.forward
    ours.model.teacher.decode_head.forward = lambda *args: left.append(False) or (forward(*args), left.append(True))[0]
    with clocks.timed(ours, "cpu") as parts:
        whole, _ = clocks.seconds_of(ours, data, "cpu")
    handle.remove()
    assert left == [False]
    assert 0.2 < parts["teacher"] < whole
    assert sum(parts.values()) <= whole
    assert all(seconds > 0 for seconds in parts.values())
    owners = [ours.model.data_preprocessor, ours.model.teacher, ours.model.student, ours.model.distiller, ours.optim]
    names = {"forward", "compute_distill_losses", "backward", "step", "zero_grad"}
    assert not any(names & vars(owner).keys() for owner in owners)


def test_peak_memory_counts_what_is_alive_at_once():
    mebibyte = torch.ones(2**18)

    def function():
        kept = mebibyte + 1
        for _ in range(3):
            other = kept * 2
            del other

    assert clocks.peak_bytes(function, "cpu") == pytest.approx(2 * 2**20, rel=0.01)


def test_a_quick_run_writes_table_and_json(tiny, tmp_path):
    arguments = ["--quick", "--case", "pspnet-logits", "--repeats", "2"]
    assert step.main([*arguments, "--json", f"{tmp_path}/out.json", "--markdown", f"{tmp_path}/out.md"]) == 0
    ours, theirs = json.loads((tmp_path / "out.json").read_text())["results"]
    assert (ours["class"], theirs["class"], theirs["ratio"]) == ("mmdist", "MMRazor", 1)
    student, teacher = (sum(p.numel() for p in model.parameters()) for model in tiny[1:])
    assert ours["optimizer_parameters"] == student
    assert theirs["optimizer_parameters"] == student + teacher
    assert ours["state_mb"] == ours["student_state_mb"] < theirs["state_mb"]
    assert ours["loss_difference"] <= 1e-5
    assert min(ours["ms"], ours["peak_mib"], *(ours["parts_ms"][part] for part in clocks.PARTS)) > 0
    assert (tmp_path / "out.md").read_text().count("\n") == 2 + 2


def test_losses_that_differ_make_the_run_fail(tiny, monkeypatch, capsys):
    original = measuring.contenders

    def other_weights(*args):
        pair = original(*args)
        with torch.no_grad():
            pair["MMRazor"].model.student.decode_head.conv_seg.bias[0] += 0.1
        return pair

    monkeypatch.setattr(measuring, "contenders", other_weights)
    monkeypatch.setattr(measuring, "peak_of_steps", lambda *args: 0)
    assert step.main(["--quick", "--case", "pspnet-logits", "--repeats", "1"]) == 1
    assert "pspnet-logits: the losses of the two classes differ by" in capsys.readouterr().err


def test_rounding_that_grew_over_many_steps_is_no_difference(tiny, monkeypatch):
    original, weights, taken = measuring.contenders, [], {}

    def watched(*args):
        pair = original(*args)
        for name, rival in pair.items():
            taken[rival.model] = name
        return pair

    def step_of(contender, data, device):
        bias = contender.model.student.decode_head.conv_seg.bias
        if taken[contender.model] == "mmdist":
            with torch.no_grad():
                bias[0] += 1e-6  # as if it was rounded otherwise
        weights.append((taken[contender.model], float(bias[0].detach())))
        return 1e-3, {"loss": 1.0}

    monkeypatch.setattr(measuring, "contenders", watched)
    monkeypatch.setattr(measuring, "seconds_of", step_of)
    monkeypatch.setattr(measuring, "peak_of_steps", lambda *args: 0)
    measuring.measure("pspnet-logits", "cpu", 30, True)
    ours, theirs = ([value for name, value in weights if name == wanted] for wanted in ("mmdist", "MMRazor"))
    assert max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) < 1.5e-6 * measuring.TOGETHER


@pytest.mark.slow
def test_a_quick_run_of_the_detectors_finds_the_same_losses(tmp_path):
    pytest.importorskip("mmdet")
    arguments = ["--quick", "--case", "retinanet-fpn", "--repeats", "1", "--json", f"{tmp_path}/out.json"]
    assert step.main(arguments) == 0
    ours, theirs = json.loads((tmp_path / "out.json").read_text())["results"]
    assert ours["loss_difference"] == theirs["loss_difference"] <= 1e-5


@pytest.mark.parametrize(
    "arguments", [["--case", "retinanet"], ["--repeats", "0"], ["--weighting", "--case", "pspnet-logits"]]
)
def test_a_wrong_argument_is_refused_before_anything_is_built(arguments, capsys):
    with pytest.raises(SystemExit) as error:
        step.main(arguments)
    assert error.value.code == 2
    assert arguments[0] in capsys.readouterr().err


@pytest.mark.parametrize("key", ["rdd-segmenter", "rdd-cityscapes"])
def test_with_and_without_rdd_differ_in_the_weighting_alone(key):
    pytest.importorskip("mmseg")
    *weighted, plain = (rival.algorithm() for rival in CASES[key].rivals.values())
    assert "weighting" not in plain
    for algorithm in weighted:
        assert algorithm.pop("weighting")["type"] == "mmdist.RDDWeighting"
        assert algorithm == plain


def test_the_steps_of_each_contender_are_of_its_stage(monkeypatch):
    case, *models = small("rdd-segmenter", 64)  # more pixels than `min_kept`
    data, searched = batches(case)[0], []
    kthvalue = torch.Tensor.kthvalue
    monkeypatch.setattr(torch.Tensor, "kthvalue", lambda *args: searched.append(True) or kthvalue(*args))
    found = {}
    for name, contender in contenders(case, *models, "cpu").items():
        logs = []
        if contender.model.weighting is not None:
            original = contender.model.weighting.logs
            contender.model.weighting.logs = lambda original=original, logs=logs: logs.append(original()) or {}
        searched.clear()
        _, losses = clocks.seconds_of(contender, data, "cpu")
        assert "distill.loss_kd" in losses
        found[name] = [int(log["rdd.stage"]) for log in logs], len(searched)
    assert found == {
        "RDD, stage 1": ([1], 0),
        "RDD, stage 2": ([2], 0),
        "RDD, stage 2, sure": ([2], 4),  # for both networks, for both heads
        "KD": ([], 0),
    }
    assert MessageHub.get_current_instance().get_info("max_iters") is None


def test_sdd_classifies_as_many_regions_as_it_says():
    case, *models = small("sdd-resnet")
    data = batches(case)[0]
    for name, contender in contenders(case, *models, "cpu").items():
        regions = []
        for _, connector in contender.model.distiller.connectors.items():
            connector.register_forward_hook(lambda *args, regions=regions: regions.append(args[-1].shape[2]))
        _, losses = clocks.seconds_of(contender, data, "cpu")
        assert math.isfinite(losses["loss"])
        assert regions == ([] if name == "KD" else [int(name.split()[1])] * 2)


def test_a_loss_of_logits_takes_the_place_of_kd():
    case, *models = small("logits-resnet")
    data = batches(case)[0]
    for name, contender in contenders(case, *models, "cpu").items():
        _, losses = clocks.seconds_of(contender, data, "cpu")
        assert [key for key in losses if key.startswith("distill.")] == [f"distill.loss_{name.lower()}"]
        assert math.isfinite(losses["loss"])
    assert name == "KD"  # the reference


def test_distplus_trains_two_layers_of_its_teacher_and_dist_none():
    case, *models = small("distplus-resnet")
    data = batches(case)[0]
    for name, contender in contenders(case, *models, "cpu").items():
        losses = clocks.seconds_of(contender, data, "cpu")[1]
        trained = [key for key, value in contender.model.teacher.named_parameters() if value.requires_grad]
        layers = ["backbone.layer4.2.conv2.weight", "head.fc.weight", "head.fc.bias"]
        assert (trained, "distill.loss_teacher" in losses) == ((layers, True) if name == "DIST+" else ([], False))


def test_a_method_is_not_asked_for_the_losses_of_the_reference(tmp_path, capsys):
    pytest.importorskip("mmseg")
    arguments = ["--quick", "--case", "rdd-segmenter", "--repeats", "1"]
    assert step.main([*arguments, "--json", f"{tmp_path}/out.json", "--markdown", f"{tmp_path}/out.md"]) == 0
    *weighted, plain = json.loads((tmp_path / "out.json").read_text())["results"]
    assert (plain["class"], plain["ratio"]) == ("KD", 1)
    assert {line["loss_difference"] for line in [*weighted, plain]} == {None}
    assert capsys.readouterr().out.count("times KD, wanted: at most 1.07") == len(weighted)
    lines = (tmp_path / "out.md").read_text().splitlines()
    assert len(lines) == 2 + 4 and len({line.count("|") for line in lines}) == 1


def test_the_weighting_alone_is_measured_in_both_stages(tmp_path):
    assert step.main(["--weighting", "--quick", "--repeats", "1", "--json", f"{tmp_path}/out.json"]) == 0
    lines = json.loads((tmp_path / "out.json").read_text())["results"]
    assert [(line["classes"], line["stage"]) for line in lines] == [(19, 1), (19, 2), (150, 1), (150, 2)]
    for line in lines:
        assert line["logits_mib"] == 2 * line["classes"] * 64 * 128 * 4 / 2**20
        assert line["peak_mib"] >= 2 * 64 * 128 * 4 / 2**20  # a weight for each pixel at least
        assert line["ms"] > 0

"""``tools/analysis_tools/list_modules.py``: what runs, how often, with which shapes; mistakes answered in a line."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
import torch
from helpers.tiny_data import write_detection
from helpers.tiny_run import ROOT, run_tool, write_run
from mmengine.config import Config
from torch import Tensor, nn

from mmdist.engine.modules import list_modules
from mmdist.engine.modules.batch import size_advice
from mmdist.engine.modules.table import merged, outputs_of, stride
from mmdist.engine.modules.trace import trace
from mmdist.errors import ConfigError, MMDistError

spec = importlib.util.spec_from_file_location("list_modules", ROOT / "tools" / "analysis_tools" / "list_modules.py")
tool = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tool)

RETINANET = ROOT / "configs" / "demo" / "dist_retinanet_r18-w32_retinanet_r18-w8_1xb32-800_digits.py"
UPERNET = ROOT / "configs" / "demo" / "dist_upernet_r18-w32_upernet_r18-w4_1xb32-800_digits.py"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_run(tmp_path)
    return tmp_path


def line_of(text: str, name: str) -> str:
    """A module's first line in a table, single-spaced."""
    return next(" ".join(line.split()) for line in text.splitlines() if line.startswith(f"{name} "))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.twice, self.direct, self.unused = nn.Linear(2, 2), nn.Linear(2, 3), nn.Linear(2, 2)
        self.both = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.both.forward(self.both(self.direct.forward(self.twice(self.twice(x)))))


def test_calls_through_a_hook_and_direct_ones_are_told_apart() -> None:
    model = Net()
    found = {module.name: module for module in trace(model, lambda: model(torch.zeros(5, 2)))}
    assert {name: (m.calls, m.direct) for name, m in found.items()} == {
        "twice": (2, 0),
        "direct": (0, 1),
        "unused": (0, 0),
        "both": (1, 1),
    }
    assert found["direct"].outputs == [[((), (5, 3))]]
    assert found["direct"].remark == "called by method: use mmdist.Method"
    assert found["both"].remark.startswith("also called")
    assert found["unused"].remark == found["twice"].remark == ""


def test_watching_leaves_no_trace_even_when_the_model_fails() -> None:
    model = Net()
    before = [dict(vars(module)) for module in model.modules()]
    with pytest.raises(RuntimeError):
        trace(model, lambda: model(torch.zeros(5, 9)))
    assert [dict(vars(module)) for module in model.modules()] == before
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize(
    ("shape", "size", "expected"),
    [
        ((2, 8, 4, 8), (32, 64), (8, 8)),
        ((2, 8, 25, 42), (800, 1333), (32, 32)),  # rounded up
        ((2, 8, 16, 16), (224, 224), (14, 14)),
        ((2, 8, 4, 2), (32, 32), (8, 16)),
        ((2, 8, 1, 1), (224, 224), (224, 224)),
        ((2, 8, 64, 64), (32, 32), (0.5, 0.5)),
        ((9, 8, 7, 7), (32, 32), None),  # regions, not pictures
        ((2, 8), (32, 32), None),
    ],
)
def test_strides_are_those_of_maps_of_the_whole_picture(shape: tuple, size: tuple, expected: tuple | None) -> None:
    assert stride(shape, (2, 3, *size)) == expected


def test_names_of_both_models_keep_their_order() -> None:
    assert merged([["a", "a.1", "c"], ["a", "a.0", "b", "c", "d"]]) == ["a", "a.0", "b", "a.1", "c", "d"]


def test_teacher_and_student_stand_side_by_side_on_real_data(folder: Path) -> None:
    listing = list_modules(str(folder / "distill.py"))
    assert listing.notices == []
    assert listing.modes == {"student": "loss", "teacher": "loss"}
    assert listing.input_shape == (2, 3, 16, 16)
    for side in ("student", "teacher"):
        assert listing.modules[side]["backbone"].outputs == [[((0,), (2, 32, 2, 2))]]
        assert listing.modules[side]["head.fc"].calls == 1
        assert listing.modules[side]["head.loss_module"].calls == 1
    assert line_of(listing.text(), "head.fc") == "head.fc Linear 1 (2, 2) Linear 1 (2, 2)"


def test_a_plain_config_is_one_model_and_random_pictures_take_the_place_of_missing_data(folder: Path) -> None:
    listing = list_modules(str(folder / "plain.py"), options={"train_dataloader.dataset.data_root": "gone"}, depth=1)
    assert list(listing.modules) == ["model"]
    assert listing.modes == {"model": "tensor"}
    assert "'gone' does not exist" in listing.notices[0]
    assert list(listing.modules["model"]) == ["data_preprocessor", "backbone", "neck", "head"]
    assert listing.text().startswith("notice: random pictures")


def test_a_segmenters_heads_are_marked_as_called_by_method() -> None:
    listing = list_modules(str(UPERNET), size=(32, 64), mode="loss", pattern="*_head")
    assert listing.input_shape == (2, 3, 32, 64)
    for modules in listing.modules.values():
        assert {name: (m.calls, m.direct) for name, m in modules.items()} == {
            "decode_head": (0, 1),
            "auxiliary_head": (0, 1),
        }
    line = line_of(listing.text(), "decode_head")
    assert line.startswith("decode_head UPerHead - (2, 11, 8, 16) 4 ")
    assert line.endswith("called by method: use mmdist.Method")
    silent = list_modules(str(UPERNET), size=(32, 32), pattern="auxiliary_head.conv_seg")
    assert line_of(silent.text(), "auxiliary_head.conv_seg") == "auxiliary_head.conv_seg Conv2d - Conv2d -"


def test_a_detectors_levels_are_listed_with_the_indices_that_ask_for_them(tmp_path: Path) -> None:
    write_detection(tmp_path, tuple("0123456789"))
    listing = list_modules(str(RETINANET), options={"train_dataloader.dataset.data_root": str(tmp_path)})
    assert set(listing.modes.values()) == {"loss"}
    modules = listing.modules["teacher"]
    neck = [[(index, shape[2:]) for index, shape in call] for call in modules["neck"].outputs]
    sizes = [(16, 16), (8, 8), (4, 4), (2, 2)]
    assert neck == [[((index,), size) for index, size in enumerate(sizes)]]
    assert modules["bbox_head.retina_cls"].calls == 4
    assert [label for label, _ in outputs_of(modules["bbox_head.retina_cls"])] == ["#0", "#1", "#2", "#3"]
    assert [stride(shape, listing.input_shape)[0] for _, (_, shape) in outputs_of(modules["neck"])] == [4, 8, 16, 32]
    assert modules["bbox_head.cls_convs"].calls == 0


def test_a_detector_runs_on_random_pictures_with_boxes() -> None:
    listing = list_modules(str(RETINANET), size=(64, 96), mode="loss", pattern="loss_cls")
    assert listing.modules["student"]["bbox_head.loss_cls"].calls == 4


def test_a_wrong_recorder_or_missing_weights_do_not_stand_in_the_way(folder: Path) -> None:
    options = {
        "model.distiller.student_recorders.logits.source": "head.fcc",
        "model.teacher_ckpt": "gone.pth",
        "optim_wrapper.type": "AmpOptimWrapper",
    }
    assert "head.fc" in list_modules(str(folder / "distill.py"), options=options).modules["teacher"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (dict(pattern="head.fv"), r"--filter = 'head\.fv'.*'head\.fc'"),
        (dict(depth=0), "--depth = 0: expected a number above 0"),
        (dict(batch_size=0), "--batch-size = 0"),
        (dict(size=(0, 5)), "--input-size = '0 5': expected height and width"),
        (dict(options={"model.architecture.backbone.type": "ResNit"}), r"model\.architecture\.backbone\.type = 'ResN"),
        (dict(options={"model.architecture.backbone.depht": 18}), r"backbone\.depht = 18"),
        (dict(options={"model.teacher": "plane.py"}), r"model\.teacher = 'plane\.py'"),
    ],
)
def test_a_mistake_is_answered_with_its_key(folder: Path, change: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        list_modules(str(folder / "distill.py"), **change)


def test_a_model_that_cannot_run_on_the_batch_says_which_and_no_size_where_none_helps(folder: Path) -> None:
    cfg = Config.fromfile(folder / "distill.py")
    cfg.model.teacher = {**cfg.plain, "head": {**cfg.plain.head, "in_channels": 5}}
    cfg.dump(folder / "bad.py")
    with pytest.raises(MMDistError, match=r"the teacher \(ImageClassifier\) does not run in mode='tensor'") as caught:
        list_modules(str(folder / "bad.py"))
    assert "--input-size" not in str(caught.value)
    text = "Calculated padded input size per channel: (1 x 1). Kernel size can't be greater than actual input size"
    assert "--input-size" in size_advice(RuntimeError(text))


def test_the_json_file_has_what_the_table_has(folder: Path, capsys: pytest.CaptureFixture) -> None:
    out = folder / "modules.json"
    assert tool.main([str(folder / "distill.py"), "--filter", "head*", "--json", str(out)]) == 0
    content = json.loads(out.read_text())
    assert content["input"] == [2, 3, 16, 16]
    assert content["models"]["student"]["mode"] == "loss"
    entry = next(m for m in content["models"]["teacher"]["modules"] if m["name"] == "head.fc")
    assert entry == {
        "name": "head.fc",
        "type": "Linear",
        "calls": 1,
        "direct_calls": 0,
        "outputs": [{"record_idx": 0, "index": [], "shape": [2, 2], "stride": None}],
        "remark": "",
    }
    assert line_of(capsys.readouterr().out, "head.fc")
    assert sorted(path.name for path in folder.iterdir()) == ["data", "distill.py", "modules.json", "plain.py"]


def test_a_json_file_that_cannot_be_written_is_named(folder: Path, capsys: pytest.CaptureFixture) -> None:
    assert tool.main([str(folder / "plain.py"), "--json", str(folder / "no" / "a.json")]) == 2
    assert capsys.readouterr().err.startswith("error: --json = ")


def test_an_unknown_config_is_one_line_and_exit_code_2(folder: Path) -> None:
    done = run_tool("analysis_tools/list_modules.py", "distil.py", cwd=folder)
    assert done.returncode == 2
    assert done.stderr.strip() == (
        "error: config = 'distil.py': expected an existing config file; did you mean 'distill.py'?"
    )

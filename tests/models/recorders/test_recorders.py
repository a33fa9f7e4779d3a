"""``mmdist.Module`` and ``mmdist.Method``: one instance, one record a call, no trace afterwards."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import pytest
import torch
from mmengine.registry import TASK_UTILS, DefaultScope
from mmrazor.models.task_modules import RecorderManager
from torch import Tensor, nn

from mmdist.errors import ConfigError, MMDistError
from mmdist.models.recorders import MethodRecorder, ModuleRecorder

BOTH = pytest.mark.parametrize("kind", [ModuleRecorder, MethodRecorder])


class Head(nn.Module):
    """Calls its own forward directly, as mmseg's heads do."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(2, 3)

    def forward(self, x: Tensor, scale: float = 1.0, shift: float = 0.0) -> Tensor:
        return self.fc(x) * scale + shift

    def predict(self, x: Tensor) -> Tensor:
        return self.forward(x)


class Net(nn.Module):
    """One layer called twice, under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.alias = self.layer
        self.levels = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
        self.steps = nn.Sequential(nn.ReLU(), nn.Linear(2, 2))
        self.head = Head()
        self.other_head = Head()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.alias(self.layer(x))
        x = self.steps[1](x)  # the Sequential itself is not called
        return self.head.predict(x), self.other_head(x, shift=1.0, scale=2.0)


def ready(kind: type, source: str, model: nn.Module, **kwargs: Any) -> Any:
    recorder = kind(source, **kwargs)
    recorder.initialize(model)
    return recorder


def source_of(kind: type, name: str) -> str:
    return name if kind is ModuleRecorder else f"{name}.forward"


def traces(model: nn.Module) -> list[str]:
    """What recording leaves behind in a model: hooks, and methods on instances."""
    hooks = [name for name, module in model.named_modules() if module._forward_hooks or module._forward_pre_hooks]
    return hooks + [name for name, module in model.named_modules() if "forward" in vars(module)]


@pytest.mark.parametrize("scope", ["mmrazor", "mmdet", "mmseg", "mmpretrain", None])
@pytest.mark.parametrize(("name", "kind"), [("Module", ModuleRecorder), ("Method", MethodRecorder)])
def test_mmrazors_manager_builds_them_under_any_default_scope(scope: str | None, name: str, kind: type) -> None:
    with DefaultScope.overwrite_default_scope(scope):
        manager = RecorderManager(dict(a=dict(type=f"mmdist.{name}", source="head.forward", what="inputs")))
        assert type(TASK_UTILS.build(dict(type=f"mmdist.{name}Recorder", source="a"))) is kind
    assert type(manager.get_recorder("a")) is kind
    assert manager.get_recorder("a").what == "inputs"


@BOTH
@pytest.mark.parametrize("name", ["layer", "alias"])
def test_a_shared_module_called_twice_gives_two_records_in_order(kind: type, name: str) -> None:
    model, x = Net(), torch.randn(4, 2)
    with ready(kind, source_of(kind, name), model) as recorder:
        model(x)
    first = x @ model.layer.weight.T + model.layer.bias
    second = first @ model.layer.weight.T + model.layer.bias
    torch.testing.assert_close(recorder.get_record_data(0), first)
    torch.testing.assert_close(recorder.get_record_data(1), second)
    torch.testing.assert_close(recorder.get_record_data(-1), second)
    assert len(recorder.data_buffer) == 2


@BOTH
def test_only_the_one_model_is_recorded_and_only_while_entered(kind: type) -> None:
    model, twin, x = Net(), Net(), torch.randn(4, 2)
    recorder = ready(kind, source_of(kind, "head.fc"), model)
    model(x)
    assert not recorder.recording
    with recorder:
        assert recorder.recording
        twin(x)
        assert recorder.data_buffer == []
        y, _ = model(x)
    model(x)
    assert len(recorder.data_buffer) == 1
    assert torch.equal(recorder.get_record_data(), y)
    recorder.reset_data_buffer()
    assert recorder.data_buffer == []


def test_a_method_is_recorded_where_a_hook_is_silent_and_on_that_instance_alone() -> None:
    model, x = Net(), torch.randn(4, 2)
    hooked, method = ready(ModuleRecorder, "head", model), ready(MethodRecorder, "head.forward", model)
    other = ready(MethodRecorder, "other_head.predict", model)
    with hooked, method, other:
        y, _ = model(x)
    assert hooked.data_buffer == []
    assert other.data_buffer == []
    assert [record is y for record in method.data_buffer] == [True]


def test_the_models_own_methods_and_those_of_objects_that_it_holds_can_be_recorded() -> None:
    class Coder:
        def decode(self, x: int) -> int:
            return x + 1

    model = Net()
    model.head.coder = Coder()
    whole, coder = ready(MethodRecorder, "forward", model), ready(MethodRecorder, "head.coder.decode", model)
    with whole, coder:
        outputs = model(torch.zeros(1, 2))
        model.head.coder.decode(1)
    assert whole.get_record_data() is outputs
    assert coder.get_record_data() == 2
    assert vars(model.head.coder) == {}


@BOTH
def test_inputs_are_recorded_in_the_order_of_the_signature(kind: type) -> None:
    model, x = Net(), torch.randn(4, 2)
    with ready(kind, source_of(kind, "other_head"), model, what="inputs") as recorder:
        model(x)
    record = recorder.get_record_data()
    assert record[0].shape == (4, 2)
    assert record[1:] == (2.0, 1.0)  # given as shift, scale
    assert recorder.get_record_data(0, 2) == 1.0


@BOTH
def test_nothing_is_left_in_the_model_not_even_after_an_exception(kind: type) -> None:
    model = Net()
    recorder = ready(kind, source_of(kind, "head.fc"), model)
    assert traces(model) == []
    with pytest.raises(RuntimeError), recorder:
        assert traces(model) == ["head.fc"]
        model(torch.randn(4, 7))
    assert traces(model) == []
    assert not recorder.recording


@pytest.mark.parametrize("order", [1, -1])
def test_recorders_of_one_method_may_leave_in_any_order(order: int) -> None:
    model, x = Net(), torch.randn(4, 2)
    own = model.head.forward
    model.head.forward = lambda *args: own(*args) + 1  # somebody else's
    theirs = model.head.forward
    both = [ready(MethodRecorder, "head.forward", model, what=what) for what in ("outputs", "inputs")]
    for recorder in both:
        recorder.__enter__()
    y, _ = model(x)
    for recorder in both[::order]:
        recorder.__exit__(None, None, None)
    assert vars(model.head)["forward"] is theirs
    model(x)
    assert both[0].data_buffer == [y]
    assert len(both[1].data_buffer) == 1


def test_a_patch_of_the_class_is_still_in_effect_while_an_instance_is_recorded(monkeypatch) -> None:
    model = Net()
    with ready(MethodRecorder, "head.predict", model) as recorder:
        monkeypatch.setattr(Head, "predict", lambda self, x: "patched")  # as MMRazor's deliveries do
        model(torch.zeros(1, 2))
    assert recorder.data_buffer == ["patched"]


def test_the_signature_of_a_recorded_method_stays_visible() -> None:
    model = Net()
    with ready(MethodRecorder, "head.forward", model):
        assert list(inspect.signature(model.head.forward).parameters) == ["x", "scale", "shift"]


def test_a_module_that_was_exchanged_after_the_preparation_is_recorded() -> None:
    model = Net()
    recorder = ready(ModuleRecorder, "head.fc", model)
    model.head.fc = nn.Linear(2, 9)  # as the runner exchanges SyncBN
    with recorder:
        model.head(torch.zeros(1, 2))
    assert recorder.get_record_data().shape == (1, 9)


@BOTH
@pytest.mark.parametrize("during", [False, True])
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copy_of_model_and_recorder_records_for_itself_alone(kind: type, during: bool, duplicate: Any) -> None:
    """Also when the copy is made in the middle of recording, with tensors of a graph in the buffer."""
    model, x = Net(), torch.randn(4, 2)
    recorder = ready(kind, source_of(kind, "head.fc"), model)
    with recorder:
        model(x)
        if during:
            other_recorder, other = duplicate((recorder, model))
            other(x)
    if not during:
        other_recorder, other = duplicate((recorder, model))
    assert len(recorder.data_buffer) == 1
    assert other_recorder.data_buffer == []
    with other_recorder:
        model(x)
        assert other_recorder.data_buffer == []
        other(x)
    assert len(other_recorder.data_buffer) == len(recorder.data_buffer) == 1
    assert traces(model) == []


@BOTH
def test_a_copied_recorder_follows_a_model_that_was_not_copied(kind: type) -> None:
    model = Net()
    other = copy.deepcopy(ready(kind, source_of(kind, "head.fc"), model))
    with other:
        model(torch.zeros(1, 2))
    assert len(other.data_buffer) == 1


@BOTH
def test_a_copy_of_a_model_alone_has_no_part_in_the_recording(kind: type) -> None:
    model, x = Net(), torch.randn(4, 2)
    with ready(kind, source_of(kind, "head.fc"), model) as recorder:
        other = copy.deepcopy(model)
        other(x)
        assert recorder.data_buffer == []
    assert traces(copy.deepcopy(model)) == []
    assert torch.equal(other(x)[0], model(x)[0])


@pytest.mark.parametrize(
    ("kind", "source", "said"),
    [
        (ModuleRecorder, "head.fcc", "did you mean 'head.fc' or"),
        (ModuleRecorder, "head.classifier", "'head' has 'head.fc'"),
        (ModuleRecorder, "zzz", "the model has 'layer'"),
        (ModuleRecorder, "head.forward", "type='mmdist.Method'"),
        (ModuleRecorder, "levels", "record 'levels.0', 'levels.1'"),
        (ModuleRecorder, "head.fc.in_features", "a module of Net"),
        (MethodRecorder, "hed.forward", "did you mean 'head.forward'"),
        (MethodRecorder, "head.predct", "did you mean 'head.predict'? Methods of Head: 'forward', 'predict'"),
        (MethodRecorder, "head.decode", "Methods of Head: 'forward', 'predict'"),
        (MethodRecorder, "forwrd", "did you mean 'forward'?"),
        (MethodRecorder, "head.fc", "type='mmdist.Module', or its method 'head.fc.forward'"),
        (MethodRecorder, "head.training", "Methods of Head"),
        (MethodRecorder, "levels.forward", "a module of Net"),
        (MethodRecorder, "mmseg.models.decode_heads.FCNHead.forward", "not a Python path"),
    ],
)
def test_a_wrong_source_is_an_error_when_the_model_is_known(kind: type, source: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ready(kind, source, Net())
    assert str(caught.value).startswith(f"source = {source!r}: ")
    assert said in str(caught.value)


@BOTH
@pytest.mark.parametrize(("source", "what", "key"), [("", "outputs", "source"), (3, "outputs", "source")])
def test_a_source_that_is_no_name_is_refused(kind: type, source: Any, what: str, key: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{key} = "):
        kind(source, what)


@BOTH
def test_what_is_recorded_is_checked(kind: type) -> None:
    with pytest.raises(ConfigError, match=r"what = 'output'.*did you mean 'outputs'"):
        kind("head", "output")


@BOTH
def test_a_recorder_without_a_model_says_so(kind: type) -> None:
    with pytest.raises(MMDistError, match="initialize"), kind("head"):
        pass
    with pytest.raises(ConfigError, match=r"model = 'NoneType'"):
        kind("head").initialize(None)


@pytest.mark.parametrize(
    ("kind", "source", "said"),
    [
        (ModuleRecorder, "head", r"type='mmdist\.Method', source='head\.forward'"),
        (ModuleRecorder, "steps", r"record one of 'steps\.0', 'steps\.1'"),
        (MethodRecorder, "other_head.predict", "nobody called this method of this instance"),
    ],
)
def test_a_recorder_that_did_not_fire_says_why(kind: type, source: str, said: str) -> None:
    model = Net()
    with ready(kind, source, model) as recorder:
        model(torch.zeros(1, 2))
    with pytest.raises(MMDistError, match=rf"\(source '{source}'\) did not fire in this iteration: .*{said}"):
        recorder.get_record_data()


def test_a_silent_auxiliary_head_is_explained() -> None:
    model = Net()
    model.auxiliary_head = Head()
    with ready(ModuleRecorder, "auxiliary_head.fc", model) as recorder:
        model(torch.zeros(1, 2))
    with pytest.raises(MMDistError, match="auxiliary head does not run in mode='tensor'"):
        recorder.get_record_data()


def test_an_index_out_of_range_says_how_often_it_fired_and_what_there_is() -> None:
    model = Net()
    with ready(ModuleRecorder, "layer", model) as layer, ready(MethodRecorder, "forward", model) as whole:
        model(torch.zeros(1, 2))
    with pytest.raises(ConfigError, match=r"record_idx = 2: expected 0 to 1; .*'layer'\) fired 2 times"):
        layer.get_record_data(2)
    with pytest.raises(ConfigError, match=r"record_idx = 1: expected 0; .*fired once"):
        whole.get_record_data(1)
    with pytest.raises(ConfigError, match=r"data_idx = 2: expected 0 to 1; .*2 part\(s\) a call"):
        whole.get_record_data(0, 2)
    with pytest.raises(ConfigError, match=r"data_idx = 0: expected None; .*one Tensor a call"):
        layer.get_record_data(0, 0)
    assert whole.get_record_data(0, 1).shape == (1, 3)

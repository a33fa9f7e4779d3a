"""A checkpoint to go on from is data: whatever else it tries is answered in one line, before the first iteration."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.toy_runner import toy
from mmengine.runner import Runner

from mmdist.compat.checkpoint import load_checkpoint_file
from mmdist.engine.hooks import random_state
from mmdist.errors import CheckpointError

BEST = dict(save_best="score", rule="greater")
RUNS: dict[str, dict[str, Any]] = {
    "iters": dict(iters=9, checkpoint=dict(interval=4, by_epoch=False, max_keep_ckpts=2, **BEST), val_interval=4),
    "epochs": dict(epochs=3, checkpoint=dict(interval=1, max_keep_ckpts=2, **BEST), val_interval=1),
}
Content = dict[str, Any]
Attack = Callable[[Content], None]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run of each kind that was interrupted: its folder, with the checkpoint to go on from."""
    folders = {}
    for kind, run in RUNS.items():
        folders[kind] = tmp_path_factory.mktemp(kind) / "run"
        runner = toy(folders[kind], **run, seed=3)
        runner.train()
    return folders


def first(folder: Path) -> Path:
    return next(path for name in ("iter_8.pth", "epoch_2.pth") if (path := folder / name).exists())


def resumed(saved: dict[str, Path], tmp_path: Path, attack: Attack, kind: str = "iters") -> Runner:
    """The run that goes on from a checkpoint after an attack on it."""
    content = load_checkpoint_file(first(saved[kind]))
    attack(content)
    torch.save(content, tmp_path / "changed.pth")
    return toy(tmp_path / "run", **RUNS[kind], seed=3, resume=True, load_from=str(tmp_path / "changed.pth"))


def put(path: str, value: Any) -> Attack:
    """Write a value at a place, such as ``meta.iter``; a function changes what is there."""

    def attack(content: Content) -> None:
        *way, last = [int(key) if key.isdigit() else key for key in path.split("|" if "|" in path else ".")]
        for key in way:
            content = content[key]
        content[last] = value(content[last]) if callable(value) else value

    return attack


def drop(path: str) -> Attack:
    def attack(content: Content) -> None:
        *way, last = path.split(".")
        for key in way:
            content = content[int(key) if key.isdigit() else key]
        del content[last]

    return attack


def nested(depth: int) -> list:
    value: list = []
    for _ in range(depth):
        value = [value]
    return value


class Disguised:
    """A dictionary whose methods are hidden by attributes, as a pickle can make it."""

    def __init__(self, original: Any) -> None:
        self.pairs = list(original.items())

    def __reduce__(self) -> tuple:
        return OrderedDict, (self.pairs,), {"items": 7}


def in_state(change: Callable[[torch.Tensor], torch.Tensor]) -> Attack:
    """Change the first moment of the first parameter."""
    return put("optimizer.state.0.exp_avg", change)


def torch_state(offset: int, count: int, value: int) -> Attack:
    """Write a number into the bytes of torch's state."""

    def change(state: torch.Tensor) -> torch.Tensor:
        state = state.clone()
        state[offset : offset + count] = torch.tensor(list(value.to_bytes(count, "little")), dtype=torch.uint8)
        return state

    return put("mmdist.random.0.torch", change)


NUMPY, PYTHON = "mmdist.random.0.numpy", "mmdist.random.0.python"
INFO = "message_hub|runtime_info"
ATTACKS: dict[str, Attack] = {
    **{f"iter {value!r}": put("meta.iter", value) for value in (-1, 10, 10**18, 1.0, True, "4", None, [4])},
    **{f"epoch {value!r}": put("meta.epoch", value) for value in (-1, 10**18, 0.0, "0", None)},
    **{f"seed {value!r}": put("meta.seed", value) for value in (-1, 2**32, "3", 1.5, True)},
    **{f"pass {value!r}": put("mmdist.pass", value) for value in (-1, 10, 10**18, 0.0, "0", None)},
    **{f"done {value!r}": put("mmdist.done", value) for value in (-1, 9, 10**18, 4.0, "4", None)},
    **{f"sampler seed {value!r}": put("mmdist.sampler_seed", value) for value in (-1, 2**63, "3", 0.5)},
    **{f"world {value!r}": put("mmdist.world", value) for value in (0, -1, "1", None)},
    "random no list": put("mmdist.random", {}),
    "random of text": put("mmdist.random", ["abc"]),
    "no numpy": drop("mmdist.random.0.numpy"),
    "another generator": put("mmdist.random.0.jax", 1),
    **{f"numpy position {value!r}": put(f"{NUMPY}.2", value) for value in (700, 625, -50, 2**30, 2**70, 1.0, "624")},
    "numpy kind": put(f"{NUMPY}.0", "PCG64"),
    "numpy short": put(f"{NUMPY}.1", lambda words: words[:-1]),
    "numpy long": put(f"{NUMPY}.1", lambda words: torch.cat([words, words])),
    "numpy floats": put(f"{NUMPY}.1", lambda words: words.double()),
    "numpy large words": put(f"{NUMPY}.1", lambda words: words + 2**32),
    "numpy zeros": put(f"{NUMPY}.1", torch.zeros_like),  # from which drawing a normal number never ends
    "numpy text": put(f"{NUMPY}.1", "words"),
    "numpy gauss": put(f"{NUMPY}.3", 2),
    "numpy cached": put(f"{NUMPY}.4", float("nan")),
    "python version": put(f"{PYTHON}.0", 2),
    "python position": put(f"{PYTHON}.1", lambda words: torch.cat([words[:-1], torch.tensor([625])])),
    "python negative": put(f"{PYTHON}.1", lambda words: torch.cat([words[:-1], torch.tensor([-1])])),
    "python short": put(f"{PYTHON}.1", lambda words: words[1:]),
    "python gauss": put(f"{PYTHON}.2", "1"),
    "torch short": put("mmdist.random.0.torch", lambda state: state[:-1]),
    "torch huge": put("mmdist.random.0.torch", lambda state: torch.cat([state] * 3)),
    "torch spread": put("mmdist.random.0.torch", lambda state: torch.stack([state, state], 1)[:, 0]),
    "numpy negated": put(f"{NUMPY}.1", lambda words: torch._neg_view(-words)),
    "torch floats": put("mmdist.random.0.torch", lambda state: state.float()),
    "torch reads on": torch_state(8, 16, 624 | 1 << 32 | 624 << 64),  # as many left as there are, from the end on
    "torch none left": torch_state(8, 4, 0),
    "torch unseeded": torch_state(12, 4, 0),
    "torch next": torch_state(16, 8, 2**63),
    "torch words": torch_state(24, 8, 2**63),
    "torch normal": torch_state(24 + 8 * 624, 8, 0x7FF8 << 48),
    "torch flag": torch_state(5052, 1, 3),
    "cuda offset": put("mmdist.random.0", lambda state: state | dict(cuda=torch.full((16,), 255, dtype=torch.uint8))),
    "cuda short": put("mmdist.random.0", lambda state: state | dict(cuda=torch.zeros(8, dtype=torch.uint8))),
    **{
        f"kept {value!r}": put(f"{INFO}|keep_ckpt_ids", value)
        for value in ("34", ["../../x"], [True], [-1], [10**9], 3)
    },
    "kept text": put(f"{INFO}|keep_ckpt_ids", [1.0]),
    "best a number": put(f"{INFO}|best_ckpt", 3),
    "score text": put(f"{INFO}|best_score", "high"),
    "score nan": put(f"{INFO}|best_score", float("nan")),
    "iter in notes": put(f"{INFO}|iter", "x"),
    "notes a list": put(INFO, []),
    "scalars a list": put("message_hub.log_scalars", []),
    "not resumed": put("message_hub|resumed_keys|keep_ckpt_ids", False),
    "no sampler seed": drop("mmdist.sampler_seed"),
    "resumed numbers": put("message_hub|resumed_keys", {"a": 7}),
    "a key that is a number": put("message_hub|runtime_info", lambda notes: {**notes, 7: 1}),
    "deep": put(f"{INFO}|note", nested(200)),
    "note without elements": put(f"{INFO}|note", torch.zeros(3, device="meta")),
    "deep in meta": put("meta.dataset_meta", nested(70)),
    "disguised": put("message_hub|log_scalars", Disguised),
    "disguised weights": put("state_dict", Disguised),
    "history of text": put(
        "message_hub|log_scalars", lambda logs: _with_history(logs, _log_history=np.array(["a", "b"]))
    ),
    "history length": put("message_hub|log_scalars", lambda logs: _with_history(logs, _log_history=np.zeros(3))),
    "history shape": put("message_hub|log_scalars", lambda logs: _with_history(logs, _log_history=np.zeros((2, 2)))),
    "history max": put("message_hub|log_scalars", lambda logs: _with_history(logs, max_length=10**18)),
    "history max 0": put("message_hub|log_scalars", lambda logs: _with_history(logs, max_length=0)),
    "no optimizer": drop("optimizer"),
    "no schedule": drop("param_schedulers"),
    "no hub": drop("message_hub"),
    "no iter": drop("meta.iter"),
    "no groups": drop("optimizer.param_groups"),
    "optimizer a list": put("optimizer", []),
    "another key": put("optimizer", lambda state: state | {"evil": 1}),
    "a setting more": put("optimizer|param_groups|0", lambda group: group | {"nesterov": True}),
    "a setting less": drop("optimizer.param_groups.0.lr"),
    **{f"lr {value!r}": put("optimizer.param_groups.0.lr", value) for value in (-1.0, float("nan"), "0.1", None, [])},
    "betas": put("optimizer.param_groups.0.betas", (1.5, 0.9)),
    "one beta": put("optimizer.param_groups.0.betas", (0.5,)),
    "params twice": put("optimizer.param_groups.0.params", lambda names: [0] * len(names)),
    "params text": put("optimizer.param_groups.0.params", lambda names: [str(name) for name in names]),
    "params fewer": put("optimizer.param_groups.0.params", lambda names: names[1:]),
    "state of nobody": put("optimizer.state", lambda state: state | {99: {}}),
    "moment of another shape": in_state(lambda x: torch.zeros(3)),
    "moment of one number": in_state(lambda x: torch.zeros(())),
    "moment of integers": in_state(lambda x: x.long()),
    "moment sparse": in_state(lambda x: x.to_sparse()),
    "moment complex": in_state(lambda x: x.to(torch.complex64)),
    "moment negated": in_state(torch._neg_view),
    "moment meta": in_state(lambda x: x.to("meta")),
    "moment text": in_state(lambda x: "x"),
    "no moment": drop("optimizer.state.0.exp_avg"),
    "step negative": put("optimizer.state.0.step", torch.tensor(-1.0)),
    "step text": put("optimizer.state.0.step", "1"),
    "schedule a dict": put("param_schedulers", {}),
    "schedule of text": put("param_schedulers", ["a", "b"]),
    "param name": put("param_schedulers.0.param_name", "params"),
    "another attribute": put("param_schedulers.0.step", 7),
    "schedule without a step": drop("param_schedulers.0.last_step"),
    **{f"last step {value!r}": put("param_schedulers.0.last_step", value) for value in (-2, 10**18, 4.0, "4", None)},
    "total 0": put("param_schedulers.0.total_iters", 0),
    "values fewer": put("param_schedulers.0._last_value", []),
    "values nan": put("param_schedulers.0._last_value", [float("nan")]),
    "values text": put("param_schedulers.0.base_values", ["x"]),
    "weight gone": put("state_dict", lambda state: {k: v for k, v in state.items() if k != "net.0.weight"}),
    "weight of another shape": put("state_dict|net.0.weight", torch.zeros(3)),
    "weight a number": put("state_dict|net.0.weight", 7),
    "weight complex": put("state_dict|net.0.weight", lambda x: x.to(torch.complex64)),
    "weight sparse": put("state_dict|net.0.weight", lambda x: x.to_sparse()),
    "weights renamed": put("state_dict", lambda state: {f"x.{key}": value for key, value in state.items()}),
    "average of another shape": put("ema_state_dict|module.net.0.weight", torch.zeros(3)),
    "average of another name": put("ema_state_dict|module.other", torch.zeros(3)),
}


def _with_history(logs: Any, **changes: Any) -> Any:
    logs = copy.deepcopy(logs)
    for name, value in changes.items():
        setattr(logs["train/loss"], name, value)
    return logs


@pytest.mark.parametrize("name", list(ATTACKS))
def test_what_is_not_data_of_this_run_is_refused_before_the_first_iteration(
    name: str, saved: dict[str, Path], tmp_path: Path
) -> None:
    before = random_state.capture()
    runner = resumed(saved, tmp_path, ATTACKS[name])
    with pytest.raises(CheckpointError, match=r"changed\.pth") as caught:  # by the loader, or by the checks of a run
        runner.train()
    assert str(caught.value).isprintable() and len(str(caught.value)) < 1000
    assert runner.model.losses == []
    assert not list((tmp_path / "run").glob("*.pth"))
    random_state.restore(before)


@pytest.mark.parametrize("name", ["epoch", "iter", "pass", "done"])
def test_in_a_run_of_epochs_they_are_within_the_schedule_too(saved: dict[str, Path], tmp_path: Path, name: str) -> None:
    attack = put(f"meta.{name}" if name in ("epoch", "iter") else f"mmdist.{name}", 1000)
    with pytest.raises(CheckpointError, match=rf"\.{name} = 1000: expected a whole number from 0 to \d+"):
        resumed(saved, tmp_path, attack, "epochs").train()


def untouched(content: Content) -> None:
    """No attack at all."""


@pytest.mark.parametrize("kind", list(RUNS))
def test_a_checkpoint_as_it_was_saved_is_gone_on_from(saved: dict[str, Path], tmp_path: Path, kind: str) -> None:
    runner = resumed(saved, tmp_path, untouched, kind)
    runner.train()
    assert 0 < len(runner.model.losses) < 9


def test_a_config_in_a_checkpoint_is_never_run(saved: dict[str, Path], tmp_path: Path) -> None:
    code = f"open({str(tmp_path / 'ran')!r}, 'w')"

    def attack(content: Content) -> None:
        content["meta"]["config"] = code
        content["message_hub"]["runtime_info"]["cfg"] = code

    runner = resumed(saved, tmp_path, attack)
    runner.train()
    assert not (tmp_path / "ran").exists()
    assert runner.message_hub.get_info("cfg") == runner.cfg.pretty_text


def test_a_file_that_a_checkpoint_names_outside_the_run_is_left_alone(saved: dict[str, Path], tmp_path: Path) -> None:
    thesis = tmp_path / "thesis.txt"
    inside = tmp_path / "run" / "notes.txt"
    best = tmp_path / "other" / "best_score_iter_8.pth"
    for path in (thesis, inside, best):
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    named = [str(thesis), f"{tmp_path}/run/../thesis.txt", "../../thesis.txt", str(inside), str(best), str(tmp_path)]
    for path in named:
        attack = put(f"{INFO}|best_ckpt", path)

        def poor(content: Content, attack: Attack = attack) -> None:
            attack(content)
            content["message_hub"]["runtime_info"]["best_score"] = -1e9

        resumed(saved, tmp_path, poor).train()
        assert [file.read_text() for file in (thesis, inside, best)] == ["mine"] * 3
        assert list((tmp_path / "run").glob("best_score_iter_*.pth"))
    logs = "".join(path.read_text() for path in (tmp_path / "run").glob("*/*.log"))
    assert logs.count("is none in the folder of this run") >= len(named)


def test_the_best_checkpoint_of_this_run_goes_when_a_better_one_is_there(tmp_path: Path) -> None:
    run = RUNS["iters"] | dict(val_interval=1)
    folder = tmp_path / "run"
    toy(folder, **run | dict(iters=8), seed=3).train()
    (best,) = folder.glob("best_*.pth")
    rest = toy(folder, **run, seed=3, resume=True, load_from=str(folder / "iter_8.pth"))
    rest.train()
    assert not best.exists() and len(list(folder.glob("best_*.pth"))) == 1


def test_weights_to_start_from_may_come_with_anything(saved: dict[str, Path], tmp_path: Path) -> None:
    content = load_checkpoint_file(first(saved["iters"]))
    content["meta"]["iter"], content["mmdist"], content["optimizer"] = "many", 7, None
    torch.save(content, tmp_path / "weights.pth")
    runner = toy(tmp_path / "new", iters=2, load_from=str(tmp_path / "weights.pth"))
    runner.train()
    assert len(runner.model.losses) == 2


def test_an_optimizer_of_another_class_is_refused(saved: dict[str, Path], tmp_path: Path) -> None:
    runner = resumed(saved, tmp_path, untouched)
    runner.optim_wrapper["optimizer"] = dict(type="SGD", lr=0.01, momentum=0.9)
    with pytest.raises(CheckpointError, match="another optimizer's"):
        runner.train()


def test_moments_that_share_memory_get_their_own(saved: dict[str, Path], tmp_path: Path) -> None:
    losses = []
    for share in (False, True):

        def attack(content: Content, share: bool = share) -> None:
            for state in content["optimizer"]["state"].values():
                mean = torch.full((), 0.1)
                for name in ("exp_avg", "exp_avg_sq"):
                    shape = state[name].shape
                    state[name] = mean.expand(shape) if share else torch.full(shape, 0.1)

        (tmp_path / str(share)).mkdir()
        runner = resumed(saved, tmp_path / str(share), attack)
        runner.train()
        losses.append((runner.model.losses, [x.tolist() for x in runner.model.parameters()]))
    assert losses[0] == losses[1]


@pytest.mark.parametrize(
    "optimizer",
    [
        dict(type="SGD", lr=0.01),
        dict(type="SGD", lr=0.01, momentum=0.9, nesterov=True),
        dict(type="Adam", lr=0.01, amsgrad=True),
        dict(type="RMSprop", lr=0.01, momentum=0.9, centered=True),
        dict(type="Adagrad", lr=0.01),
        dict(type="Adadelta", lr=1),
        dict(type="NAdam", lr=0.01),
        dict(type="RAdam", lr=0.01),
        dict(type="Rprop", lr=0.01),
        dict(type="ASGD", lr=0.01),
    ],
    ids=lambda optimizer: "-".join(map(str, optimizer.values())),
)
def test_every_optimizer_of_torch_goes_on_from_its_own_state(tmp_path: Path, optimizer: dict[str, Any]) -> None:
    losses = []
    for resume in (False, True):
        source = dict(resume=True, load_from=str(tmp_path / "False" / "iter_3.pth")) if resume else {}
        runner = toy(tmp_path / str(resume), iters=6, checkpoint=dict(interval=3, by_epoch=False), seed=3, **source)
        runner.optim_wrapper["optimizer"] = dict(optimizer)
        runner.train()
        losses.append(runner.model.losses)
    assert losses[1] == losses[0][3:]


SCHEDULERS = [
    dict(type="MultiStepLR", by_epoch=False, milestones=[2, 4]),
    dict(type="StepLR", by_epoch=False, step_size=2),
    dict(type="ExponentialLR", by_epoch=False, gamma=0.9),
    dict(type="PolyLR", by_epoch=False, end=9, power=0.9),
    dict(type="CosineAnnealingLR", by_epoch=False, T_max=6),
    dict(type="CosineRestartLR", by_epoch=False, periods=[2, 4], restart_weights=[1, 0.5], eta_min=0),
    dict(type="OneCycleLR", by_epoch=False, eta_max=0.1, total_steps=20),
    dict(type="ConstantLR", by_epoch=False),
    dict(type="LinearMomentum", by_epoch=False, start_factor=0.5, end=5),
    dict(type="QuadraticWarmupLR", by_epoch=False, end=5),
    dict(type="ReduceOnPlateauLR", monitor="score"),
]


@pytest.mark.parametrize("schedule", SCHEDULERS, ids=lambda schedule: schedule["type"])
def test_every_schedule_of_mmengine_goes_on_from_its_own_state(tmp_path: Path, schedule: dict[str, Any]) -> None:
    pytest.importorskip("mmdet")  # of the warmup that is quadratic
    losses = []
    for resume in (False, True):
        source = dict(resume=True, load_from=str(tmp_path / "False" / "iter_3.pth")) if resume else {}
        runner = toy(tmp_path / str(resume), iters=6, checkpoint=dict(interval=3, by_epoch=False), seed=3, **source)
        if schedule["type"].startswith("Quadratic"):
            schedule = schedule | dict(_scope_="mmdet")
        runner.param_schedulers = [dict(schedule)]
        runner.train()
        losses.append(runner.model.losses)
    assert losses[1] == losses[0][3:]

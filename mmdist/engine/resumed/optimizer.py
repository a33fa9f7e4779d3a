"""The state of an optimizer that a file brought, compared with the optimizer that it is for."""

from __future__ import annotations

import inspect
import re
from typing import Any

import torch
from mmengine.optim import BaseOptimWrapper, OptimWrapperDict
from torch import Tensor
from torch.optim import Optimizer

from mmdist.engine.resumed.values import IN_MEMORY, check_like, dictionary, is_usual, shown, tensor_of, unfit
from mmdist.errors import CheckpointError

INITIAL = re.compile(r"initial_\w+")  # a scheduler's note, in a run that may have no schedulers any more
SCALERS = ("loss_scaler", "apex_amp")
CAST = {torch.float16, torch.bfloat16, torch.float32, torch.float64}  # torch casts these to the parameter's


def check_optimizer(place: str, given: Any, wrapper: Any) -> list[str]:
    """The state of an optimizer wrapper, or of a dictionary of them.

    Args:
        place (str): Where it stands in the checkpoint.
        given (Any): What the file says. What only mixed precision needs is removed where the run has none.
        wrapper (Any): The run's, newly built; of another framework than mmengine's: nothing is checked.

    Returns:
        list[str]: What was removed.

    Raises:
        CheckpointError: It has keys that the run's optimizer has not, or values of another kind, shape or range.
    """
    dictionary(place, given)
    if isinstance(wrapper, OptimWrapperDict):
        parts = dict(wrapper.items())
        if given.keys() != parts.keys():
            raise CheckpointError(f"{place} is of {_names(given)}, this run has {_names(parts)}")
        return [gone for name, part in parts.items() for gone in check_optimizer(f"{place}.{name}", given[name], part)]
    if not isinstance(wrapper, BaseOptimWrapper):
        return []
    fresh = wrapper.state_dict()
    for name in ("state", "param_groups"):
        if name not in given:
            raise CheckpointError(f"{place} has no {name}, expected the state of {type(wrapper.optimizer).__name__}")
    removed = [name for name in SCALERS if name in given and name not in fresh]
    for name in removed:
        del given[name]
    unknown = given.keys() - fresh.keys()
    if unknown:
        raise unfit(place, min(unknown), f"no other keys than {_names(fresh)}")
    for name in given.keys() - {"state", "param_groups"}:
        # A scaler that is switched off has an empty state, and takes none.
        if name == "base_param_settings" or (name == "loss_scaler" and fresh[name] and given[name]):
            check_like(f"{place}.{name}", given[name], fresh[name])
    _check_groups(f"{place}.param_groups", given["param_groups"], fresh["param_groups"])
    _check_state(f"{place}.state", given, wrapper.optimizer)
    return [f"{place}.{name}" for name in removed]


def _check_groups(place: str, given: Any, fresh: list[dict[str, Any]]) -> None:
    if not isinstance(given, list) or len(given) != len(fresh):
        raise unfit(place, given, f"a list of {len(fresh)}, as many as this run has")
    names: list[Any] = []
    for index, (group, own) in enumerate(zip(given, fresh, strict=True)):
        here = f"{place}.{index}"
        dictionary(here, group)
        unknown = sorted(key for key in group.keys() - own.keys() if not INITIAL.fullmatch(key))
        if unknown:
            raise unfit(here, unknown[0], f"no other keys than {_names(own)}: is it another optimizer's?")
        for key, value in own.items():
            if key not in group and (value is None or isinstance(value, bool)):
                group[key] = value  # a switch that an older torch did not have
            if key not in group:
                raise CheckpointError(f"{here} has no {key}: is it another optimizer's?")
        for key in group.keys() - {"params"}:
            check_like(f"{here}.{key}", group[key], own.get(key, 0.0))
        params = group["params"]
        if not isinstance(params, list) or len(params) != len(own["params"]):
            raise unfit(f"{here}.params", params, f"a list of {len(own['params'])}, as many as this run has")
        if not all(type(name) is int for name in params):
            raise unfit(f"{here}.params", params, "whole numbers")
        names += params
    if len(set(names)) != len(names):
        raise CheckpointError(f"{place}: a parameter stands there twice")


def _check_state(place: str, given: dict[str, Any], optimizer: Optimizer) -> None:
    state = given["state"]
    if not isinstance(state, dict):
        raise unfit(place, state, "a dictionary by parameter")
    places = [
        (name, parameter, group)
        for group, own in zip(given["param_groups"], optimizer.param_groups, strict=True)
        for name, parameter in zip(group["params"], own["params"], strict=True)
    ]
    unknown = state.keys() - {name for name, _, _ in places}
    if unknown:
        raise unfit(place, next(iter(unknown)), "no other keys than those of the parameters")
    known: dict[Any, dict[str, Any] | None] = {}
    storages: set[int] = set()
    for name, parameter, group in places:
        if name not in state:
            continue
        kind = (id(group), tuple(parameter.shape), parameter.dtype, parameter.device)
        if kind not in known:
            known[kind] = first_state(optimizer, group, parameter, f"{place}.{name}")
        _check_entry(f"{place}.{name}", dictionary(f"{place}.{name}", state[name]), known[kind], storages)


def first_state(optimizer: Optimizer, group: dict[str, Any], parameter: Tensor, place: str) -> dict[str, Any] | None:
    """What an optimizer notes of a parameter at its first step: a second one is built, for zeros of that shape.

    Args:
        optimizer (Optimizer): The run's; it is left alone.
        group (dict): Settings, checked to be of the kind of the optimizer's own.
        parameter (Tensor): One of that group.
        place (str): For messages.

    Returns:
        dict | None: None where an optimizer of this class cannot be built so.

    Raises:
        CheckpointError: The settings are none that the class takes.
    """
    accepted = inspect.signature(type(optimizer)).parameters.keys() - {"params"}
    settings = {key: value for key, value in {**optimizer.defaults, **group}.items() if key in accepted}
    own = {key: value for key, value in optimizer.defaults.items() if key in accepted}
    zeros = torch.zeros_like(parameter, requires_grad=True)
    zeros.grad = torch.zeros_like(zeros)
    try:
        type(optimizer)([zeros], **own)
    except Exception:
        return None  # a class with a constructor of its own kind
    try:
        twin = type(optimizer)([zeros], **settings)
    except Exception as error:
        raise CheckpointError(f"{place}: its group has settings that are none: {error}") from error
    random = torch.get_rng_state()
    try:
        twin.step()
    except Exception:
        return None  # one that needs more than gradients, such as a closure
    finally:
        torch.set_rng_state(random)
    return dict(twin.state[zeros])


def _check_entry(place: str, given: dict[str, Any], expected: dict[str, Any] | None, storages: set[int]) -> None:
    if expected is not None and given.keys() != expected.keys():
        odd = min(given.keys() ^ expected.keys())
        what = "is missing" if odd in expected else "is none of this run's optimizer"
        raise CheckpointError(f"{place}: {shown(odd)} {what}, which notes {_names(expected)}")
    for key, value in given.items():
        here = f"{place}[{shown(key)}]"
        if isinstance(value, Tensor) and not is_usual(value):
            raise unfit(here, value, IN_MEMORY)
        if expected is None:  # of an optimizer that keeps its notes to itself
            continue
        like = expected[key]
        if isinstance(value, Tensor) and isinstance(like, Tensor):
            if value.shape != like.shape or _family(value.dtype) != _family(like.dtype):
                raise unfit(here, value, tensor_of(like.dtype, like.shape))
            storage = value.untyped_storage().data_ptr()
            if storage in storages or not (value.is_contiguous() or value.stride() == like.stride()):
                given[key] = value.clone()  # written to in place, it would change another one, or itself
            storages.add(storage)
        elif key != "momentum_buffer" or value is not None:  # None: SGD's, of an unused parameter
            check_like(here, value, like)
        if key == "step":
            check_like(here, value, 0)


def _family(dtype: torch.dtype) -> Any:
    return "floating" if dtype in CAST else dtype


def _names(mapping: dict[str, Any]) -> str:
    return ", ".join(sorted(shown(key).strip("'") for key in mapping))

"""The weights of a run that a file brought, compared with the model that they are for."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from torch import nn

from mmdist.engine.resumed.values import IN_MEMORY, dictionary, is_usual, shown, unfit
from mmdist.errors import CheckpointError

UNNEEDED = "num_batches_tracked"  # mmengine, too, takes weights without it


def check_weights(content: dict[str, Any], model: nn.Module) -> None:
    """``state_dict``, and ``ema_state_dict`` where there is one: a run goes on from all of its weights, or not at all.

    Args:
        content (dict): The checkpoint.
        model (nn.Module): The run's, without a wrapper; it has the weights afterwards.

    Raises:
        CheckpointError: They are no tensors, of other shapes, or some are missing.
    """
    state = dictionary("state_dict", content["state_dict"])
    _check_tensors("state_dict", state)
    _check_metadata(state)
    if "ema_state_dict" in content:
        average = dictionary("ema_state_dict", content["ema_state_dict"])
        _check_tensors("ema_state_dict", average)
        for name, tensor in average.items():
            if name.startswith("module."):
                other = state.get(name.removeprefix("module."))
                if other is None or other.shape != tensor.shape:
                    raise unfit(f"ema_state_dict[{shown(name)}]", tensor, "what state_dict has, too, of one shape")
    named = OrderedDict((name.removeprefix("module."), tensor) for name, tensor in state.items())
    named._metadata = getattr(state, "_metadata", {})  # versions of the layers' formats
    for name, own in model.state_dict().items():
        if name in named and named[name].is_complex() != own.is_complex():
            raise unfit(
                f"state_dict[{shown(name)}]", named[name], f"a tensor of {str(own.dtype).removeprefix('torch.')}"
            )
    try:
        missing = [name for name in model.load_state_dict(named, strict=False).missing_keys if UNNEEDED not in name]
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()]
        raise CheckpointError(f"state_dict is not of this model: {lines[1] if len(lines) > 1 else lines[0]}") from error
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise CheckpointError(f"state_dict has no {missing[0]}{more}, which this run's model has")


def _check_tensors(place: str, state: dict[str, Any]) -> None:
    for name, tensor in dict.items(state):
        if not is_usual(tensor):
            raise unfit(f"{place}[{shown(name)}]", tensor, IN_MEMORY)


def _check_metadata(state: dict[str, Any]) -> None:
    metadata = getattr(state, "_metadata", {})
    for name, entry in dictionary("state_dict._metadata", metadata).items():
        version = dictionary(f"state_dict._metadata[{shown(name)}]", entry).get("version")
        if version is not None and type(version) is not int:
            raise unfit(f"state_dict._metadata[{shown(name)}].version", version, "a whole number")

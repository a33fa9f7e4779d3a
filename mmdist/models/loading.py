"""What weights would do to a model, known before the model is changed."""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from mmdist.errors import printable

# torch's words for a tensor of another shape, which it does not tell otherwise
MISMATCH = re.compile(
    r"size mismatch for (\S+): .* shape torch\.Size\((\[.*?\])\) from checkpoint, .* torch\.Size\((\[.*?\])\)"
)
COUNTER = "num_batches_tracked"  # of batch norms: mmengine does without it too, and old files have none


@dataclass
class Loading:
    """Weights as the load hooks of a model's modules have prepared them, beside the model.

    Args:
        wrong (list[str]): What the model needs and does not get, by name, with the reason.
        failure (str): How a load hook failed; empty if none did.
        fits_nowhere (bool): The model would get not one of the weights.
        values (list[tuple[Tensor, Tensor]]): Tensors of the model, and what they would become.
    """

    wrong: list[str] = field(default_factory=list)
    failure: str = ""
    fits_nowhere: bool = True
    values: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    def take(self) -> None:
        """Copy the weights into the model: those that fit."""
        with torch.no_grad():
            for own, value in self.values:
                own.copy_(value)


def prepare_loading(model: nn.Module, state: Mapping[str, Any]) -> Loading:
    """Let the modules of a model prepare weights for themselves, and leave the model as it is.

    Old names, position embeddings of another picture size and the like are set right by the modules' own load hooks,
    so only what these leave can be compared. They may also drop what the model computes for itself: that is not
    missing.

    Args:
        model (nn.Module): The model.
        state (Mapping[str, Any]): The weights, with torch's ``_metadata`` if there are any.

    Returns:
        Loading: What fits, to be taken, and what does not.
    """
    loading = Loading()
    missing: list[str] = []
    handle = model.register_load_state_dict_post_hook(lambda _, keys: missing.extend(keys.missing_keys))
    with stand_ins(model) as stands:
        try:
            # By reference (`assign`): nothing is copied, so nothing is written into the model's own tensors.
            nn.Module.load_state_dict(model, state, strict=False, assign=True)
        except Exception as error:  # of torch, which has loaded all else; or of a hook, which may fail in any way
            told = str(error).split("\n\t")
            reason = str(error).partition("\n")[0]
            if isinstance(error, RuntimeError) and told[0].startswith("Error(s) in loading state_dict"):
                loading.wrong = [_wrong(text) for text in told[1:]]
            else:
                loading.failure = f"{type(error).__name__}: {reason}"
                return loading
        finally:
            handle.remove()
        for module, name, own, stand in stands:
            value = getattr(module, name)
            if value is not own:
                loading.values.append((own, value))
            loading.fits_nowhere &= value is stand
    absent = [name for name in missing if name not in state and not name.endswith(COUNTER)]
    loading.wrong = [f"{printable(name)} (missing)" for name in absent] + loading.wrong
    return loading


@contextmanager
def stand_ins(model: nn.Module) -> Iterator[list[tuple[nn.Module, str, Tensor, Tensor]]]:
    """Inside, whatever is put in the place of a model's tensors, or written into its buffers, is not the model's.

    Buffers, which are small, are copied: the load hooks of some modules (mmcv's ``ConvAWS2d``) compute theirs in place.

    Yields:
        list[tuple[nn.Module, str, Tensor, Tensor]]: Module, name, its own tensor, and what stands there at first.
    """
    stands: list[tuple[nn.Module, str, Tensor, Tensor]] = []
    for module in model.modules():
        stands += [(module, name, own, own) for name, own in _named(module.named_parameters)]
        stands += [(module, name, own, own.clone()) for name, own in _named(module.named_buffers)]
    try:
        for module, name, own, stand in stands:
            if stand is not own:
                setattr(module, name, stand)
        yield stands
    finally:
        for module, name, own, _ in stands:
            setattr(module, name, own)


def _named(tensors: Callable[..., Iterator[tuple[str, Tensor]]]) -> Iterator[tuple[str, Tensor]]:
    return tensors(recurse=False, remove_duplicate=False)


def _wrong(text: str) -> str:
    found = MISMATCH.match(text)
    if found is None:
        return printable(" ".join(text.split()))
    given, needed = (tuple(json.loads(shape)) for shape in found.group(2, 3))
    return f"{printable(found[1])} ({given} in the file, {needed} in the model)"


def without_wrapper(state: Mapping[str, Any]) -> OrderedDict[str, Any]:
    """Weights by the names that they have outside of a model wrapper such as DDP, with the versions of their modules.

    Example:
        >>> dict(without_wrapper({'module.head.fc.bias': 0}))
        {'head.fc.bias': 0}
    """
    plain = OrderedDict((name.removeprefix("module."), value) for name, value in state.items())
    versions = getattr(state, "_metadata", None)
    versions = versions if isinstance(versions, Mapping) else {}
    plain._metadata = OrderedDict(
        (re.sub(r"^module(\.|$)", "", name), dict(of))
        for name, of in versions.items()
        if isinstance(name, str) and isinstance(of, Mapping)
    )
    return plain

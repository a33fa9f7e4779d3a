"""MMRazor's losses and MMCV's operators want maps that are contiguous in memory.

Reason: the losses take ``view`` of what was recorded. Convolutions answer a map in
the channels-last layout with one in the same layout, as behind a transformer's
backbone (SegFormer) or in a model that was moved to channels-last, and ``view``
then fails: "view size is not compatible with input tensor's size and stride".
MMCV's RoIAlign reads such a map, and ModulatedDeformConv2d such offsets, as if
they were contiguous, and returns other values without a word; other operators fail.

Window: every mmrazor and mmcv. A copy is made of such maps alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmdist.compat import versions

if TYPE_CHECKING:
    from torch import nn

NUMBER = 10
NAME = "maps in channels-last layout"
REASON = "MMRazor's losses fail on them, and MMCV's operators read them in the wrong order"
WINDOW = "mmrazor, mmcv"
WHEN = "mmdist's algorithms"

OPERATORS = "mmcv.ops."
PACKAGES = ("mmrazor.", OPERATORS)


def needed() -> bool:
    """Whether there is an MMRazor, without which there is no algorithm of mmdist's."""
    return versions.installed("mmrazor") is not None


def active() -> bool:
    """Never by itself: the algorithms call :func:`give_contiguous_maps`."""
    return False


def apply() -> None:
    """Nothing to do for the process as a whole."""


def give_contiguous_maps(model: nn.Module) -> list[str]:
    """Hand MMRazor's losses and MMCV's operators their tensors in contiguous form.

    Args:
        model (nn.Module): A module, or what holds several; those of other packages stay as they are.

    Returns:
        list[str]: Names of the modules that were changed, as in ``named_modules`` (the module itself is ``''``).

    Example:
        >>> from torch import nn
        >>> give_contiguous_maps(nn.L1Loss())
        []
    """
    changed = []
    for name, module in model.named_modules():
        if type(module).__module__.startswith(PACKAGES) and _contiguous not in module._forward_pre_hooks.values():
            module.register_forward_pre_hook(_contiguous, with_kwargs=True)
            # A deformable convolution that computes its offsets itself hands them to the operator from inside.
            for part in module.modules():
                if part is not module and _contiguous_output not in part._forward_hooks.values():
                    part.register_forward_hook(_contiguous_output)
            changed.append(name)
    return changed


def in_channels_last(model: nn.Module) -> nn.Module:
    """A model in the channels-last layout, but for the weights of MMCV's operators, which refuse them.

    Args:
        model (nn.Module): Changed in place.

    Returns:
        nn.Module: The model.

    Example:
        >>> from torch import nn
        >>> in_channels_last(nn.Conv2d(4, 4, 3)).weight.is_contiguous()
        False
    """
    import torch

    model.to(memory_format=torch.channels_last)
    for module in model.modules():
        if type(module).__module__.startswith(OPERATORS):
            for parameter in module.parameters(recurse=False):
                parameter.data = parameter.data.contiguous()
    return model


def _contiguous_output(_module: nn.Module, _args: tuple, output: Any) -> Any:
    return _copied(output)


def _contiguous(_module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
    return tuple(map(_copied, args)), {name: _copied(value) for name, value in kwargs.items()}


def _copied(value: Any) -> Any:
    if type(value) in (list, tuple):
        return type(value)(map(_copied, value))
    return value.contiguous() if hasattr(value, "contiguous") else value

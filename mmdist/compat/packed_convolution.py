"""PyTorch brings a convolution's weight into the layout of oneDNN in every call on a CPU, but for compiled graphs.

Reason: the operators that take a weight in that layout are there, but private. A convolution that never trains pays
for the layout in every iteration. These operators answer in channels-last order; ``benchmarks/step.py`` measures both.

Window: every version. Where the operators are missing, or do not compute what the convolution does, it is computed as
ever.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

TOLERANCE = 1e-4  # relative to the largest value


class PackedConvolution:
    """A convolution with other weights, which are laid out for oneDNN and the size of the map.

    The layout is that of the latest size: to make another from the dense weight takes no longer than PyTorch needs for
    it in every call. The answer does not depend on the sizes that were met before.

    Args:
        module (nn.Module): The convolution, for its stride, padding, dilation and groups.
        weight (Tensor): (C_out, C_in / groups, ...), taken in place of the module's.
        bias (Tensor, optional): (C_out,), likewise.
    """

    def __init__(self, module: nn.Module, weight: Tensor, bias: Tensor | None) -> None:
        self.module = module
        self.weight = weight.detach()
        self.bias = None if bias is None else bias.detach()
        self.packed: tuple[torch.Size, Tensor] | None = None  # a map's size, and the weight for it
        self._possible = (
            isinstance(module, nn.Conv2d)
            and module.padding_mode == "zeros"
            and not isinstance(module.padding, str)
            and weight.device.type == "cpu"
            and weight.dtype == torch.float32
            and (bias is None or bias.dtype == torch.float32)
            and available()
        )

    def __call__(self, inputs: Tensor) -> Tensor:
        """The convolution of a map (N, C_in, H, W)."""
        if not self._possible or not _usable(inputs):
            return self._dense(inputs)
        if self.packed is None:
            return self._first(inputs)
        if self.packed[0] != inputs.shape:
            self.packed = inputs.shape, self._pack(inputs)
        return self._convolve(inputs, self.packed[1])

    def _first(self, inputs: Tensor) -> Tensor:
        """Compare with the convolution, and stay with that if the operators do something else."""
        expected = self._dense(inputs)
        try:
            packed = self._pack(inputs)
            found = self._convolve(inputs, packed)
            fits = bool((found - expected).abs().max() <= TOLERANCE * expected.abs().max())
        except (RuntimeError, TypeError):  # another signature, another processor
            fits = False
        if not fits:
            self._possible = False
            return expected
        self.packed = inputs.shape, packed
        return found  # not what was expected: the first pass is like all others

    def _dense(self, inputs: Tensor) -> Tensor:
        return self.module._conv_forward(inputs, self.weight, self.bias)

    def _pack(self, inputs: Tensor) -> Tensor:
        module = self.module
        return torch._C._nn.mkldnn_reorder_conv2d_weight(
            *(self.weight.to_mkldnn(), module.padding, module.stride, module.dilation, module.groups),
            list(inputs.shape),
        )

    def _convolve(self, inputs: Tensor, weight: Tensor) -> Tensor:
        module = self.module
        return torch.ops.mkldnn._convolution_pointwise(
            *(inputs, weight, self.bias, module.padding, module.stride, module.dilation, module.groups),
            *("none", [], ""),  # nothing is computed after it
        )


def available() -> bool:
    """Whether this PyTorch has the operators, and may use oneDNN."""
    return (
        torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
        and hasattr(torch._C._nn, "mkldnn_reorder_conv2d_weight")
    )


def _usable(inputs: Tensor) -> bool:
    """Whether the operators know such a map: they have no gradient, and autocast does not see them."""
    return (
        type(inputs) is Tensor
        and inputs.device.type == "cpu"
        and inputs.dtype == torch.float32
        and inputs.dim() == 4
        and inputs.numel() > 0
        and torch.backends.mkldnn.enabled
        and not (torch.is_grad_enabled() and inputs.requires_grad)
        and not torch.is_autocast_enabled("cpu")
    )

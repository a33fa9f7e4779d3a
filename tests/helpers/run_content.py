"""What a checkpoint of a run has in it, as small as it gets."""

from __future__ import annotations

from typing import Any


def run_content(weights: dict[str, Any], step: int = 1) -> dict[str, Any]:
    """A checkpoint that the checks before a run take for one to go on from."""
    return dict(
        meta=dict(epoch=step, iter=step),
        state_dict=weights,
        message_hub=dict(log_scalars={}, runtime_info={}, resumed_keys={}),
        optimizer=dict(state={}, param_groups=[]),
        param_schedulers=[],
    )

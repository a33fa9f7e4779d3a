"""The outcome of listing modules: for people and for programs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmdist.engine import atomic
from mmdist.engine.modules.table import LEGEND, stride, table
from mmdist.engine.modules.trace import ModuleTrace, Shape
from mmdist.errors import CheckpointError, ConfigError


@dataclass
class Listing:
    """The modules of a config's models in one pass.

    Args:
        config (str): The config, as it was named.
        input_shape (Shape): (N, C, H, W) of what the models were given.
        modes (dict[str, str]): By model, the mode it ran in.
        types (dict[str, str]): By model, its class.
        modules (dict[str, dict[str, ModuleTrace]]): By model, then by name.
        notices (list[str]): What was not as asked for, or not as in training.
    """

    config: str
    input_shape: Shape
    modes: dict[str, str]
    types: dict[str, str]
    modules: dict[str, dict[str, ModuleTrace]]
    notices: list[str]

    def text(self) -> str:
        """A table for people."""
        modes = ", ".join(dict.fromkeys(self.modes.values()))
        notices = [f"notice: {notice}" for notice in self.notices]
        head = f"{self.config}: input {self.input_shape}, mode {modes}"
        return "\n".join([*notices, head, "", table(self.modules, self.types, self.input_shape), "", LEGEND])

    def as_dict(self) -> dict[str, Any]:
        """Everything, for programs."""
        models = {}
        for side, found in self.modules.items():
            entries = [self._entry(module) for module in found.values()]
            models[side] = {"type": self.types[side], "mode": self.modes[side], "modules": entries}
        return {"config": self.config, "input": self.input_shape, "notices": self.notices, "models": models}

    def _entry(self, module: ModuleTrace) -> dict[str, Any]:
        outputs = [
            {"record_idx": call, "index": index, "shape": shape, "stride": stride(shape, self.input_shape)}
            for call, returned in enumerate(module.outputs)
            for index, shape in returned
        ]
        entry = {"name": module.name, "type": module.type, "calls": module.calls, "direct_calls": module.direct}
        return {**entry, "outputs": outputs, "remark": module.remark}


def write_json(listing: Listing, path: str) -> None:
    """Write a listing into a file, whole or not at all.

    Args:
        listing (Listing): What is written.
        path (str): The file; its folder has to exist.

    Raises:
        ConfigError: It does not, or cannot be written to.
    """
    try:
        atomic.write_text(json.dumps(listing.as_dict(), indent=1) + "\n", Path(path))
    except CheckpointError as error:
        raise ConfigError("--json", path, "a file that can be written", str(error)) from error

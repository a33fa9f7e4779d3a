"""The checkpoints that the installed task libraries publish."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import yaml

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@cache
def published(package: str) -> dict[str, set[str]]:
    """Weights by config, as the package's own metafiles have them.

    Args:
        package (str): mmpretrain, mmdet or mmseg.

    Returns:
        dict[str, set[str]]: URLs by ``<folder>/<config>.py``.
    """
    folder = Path(find_spec(package).origin).parent / ".mim"
    found: dict[str, set[str]] = {}
    for path in folder.glob("configs/**/metafile.y*ml"):
        content = yaml.load(path.read_text(), LOADER)
        models = content.get("Models", []) if isinstance(content, dict) else content
        for model in models:
            weights = model.get("Weights", [])
            if "Config" in model:
                urls = weights if isinstance(weights, list) else [weights]  # MMDetection writes lists
                found.setdefault(model["Config"].removeprefix("configs/"), set()).update(urls)
    return found

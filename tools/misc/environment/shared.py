"""Modules of mmdist that need the standard library alone, loaded from their files: mmdist itself needs torch."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

MMDIST = Path(__file__).resolve().parents[3] / "mmdist"


def load(path: str) -> ModuleType:
    """A module by its file below ``mmdist``."""
    name = f"environment.shared.{Path(path).stem}"
    spec = importlib.util.spec_from_file_location(name, MMDIST / path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


kernel_cache = load("functional/_cpu_cache.py")
cpus = load("engine/_cpus.py")

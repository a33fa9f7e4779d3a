"""Packages that stand for others, in a folder that goes to the front of the import path."""

from __future__ import annotations

from pathlib import Path

_PARTS = ("activations", "modeling_outputs", "modeling_utils", "utils/__init__", "utils/logging", "models/__init__")
_MODELS = ("auto", "bert", "opt")
_FILES = ("auto_factory", "configuration_bert", "modeling_bert", "configuration_opt")

# A class that is whatever a module at import makes of it: a base, a decorator, a function, a logger.
_ANYTHING = """
class _Meta(type):
    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return cls

class Anything(metaclass=_Meta):
    def __init__(self, *args, **kwargs): pass
    def __call__(self, value=None, *args, **kwargs): return value

def __getattr__(name):
    if name.startswith("__") or name in GONE:
        raise AttributeError(name)
    if name in UNFIT:
        return 1
    # _BaseAutoModelClass is the base of the others; mmpretrain mixes GenerationMixin with classes of its own.
    plain = name == "GenerationMixin"
    return Anything if name.startswith("_") else type(name, (), {}) if plain else _Meta(name, (Anything,), {})
"""


def write_package(site: Path, name: str, version: str, text: str) -> Path:
    """Write a package and its metadata into ``site``; returns ``site``."""
    for folder in (site / name, site / f"{name}-{version}.dist-info"):
        folder.mkdir(parents=True)
    (site / name / "__init__.py").write_text(text)
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    (site / f"{name}-{version}.dist-info" / "METADATA").write_text(metadata)
    return site


def write_transformers(site: Path, version: str, gone: tuple[str, ...] = (), unfit: tuple[str, ...] = ()) -> Path:
    """Write a ``transformers`` of any name but those that are ``gone``; the ``unfit`` are no classes."""
    write_package(site, "transformers", version, f"GONE, UNFIT = {gone!r}, {unfit!r}\n{_ANYTHING}")
    package = site / "transformers"
    for model in _MODELS:
        (package / "models" / model).mkdir(parents=True)
        for file in ("__init__", *_FILES):
            (package / "models" / model / f"{file}.py").write_text("from transformers import __getattr__\n")
    (package / "utils").mkdir()
    for part in _PARTS:
        (package / f"{part}.py").write_text("from transformers import __getattr__\n")
    return site

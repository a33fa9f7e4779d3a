"""What the documentation shows works."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

import mmdist.functional
from mmdist import registry

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs" / "en"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


CONFIGS = [block for block in blocks(ROOT / "README.md", "python") if "_base_" in block]


@pytest.mark.slow
@pytest.mark.parametrize("text", CONFIGS, ids=range(len(CONFIGS)))
def test_a_config_of_the_readme_builds(text, tmp_path):
    path = tmp_path / "config.py"
    path.write_text(re.sub(r'teacher_ckpt="\w+.pth"', "random_teacher=True", text))
    cfg = Config.fromfile(path)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model)
    assert len(model.distiller.distill_losses) == len(cfg.model.distiller.loss_forward_mappings)
    assert len(CONFIGS) == 2


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_somewhere(page):
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing


def toctree_entries(page: Path) -> set[Path]:
    """The pages that the toctrees of a page take in, globs resolved."""
    lines = [line for block in blocks(page, r"\{toctree\}") for line in block.splitlines()]
    entries = [line for line in lines if line and not line.startswith(":")]
    return {found for entry in entries for found in page.parent.glob(f"{entry}.md")} - {page}


def test_every_page_is_in_a_toctree():
    index = DOCS / "index.md"
    pages = set(DOCS.rglob("*.md"))
    assert pages - {index} == set().union(*map(toctree_entries, pages))


def documented() -> set[str]:
    """The full names that the API pages document: a module stands for what its ``__all__`` lists."""
    text = "\n".join(page.read_text() for page in (DOCS / "api").glob("*.md"))
    modules = re.findall(r"^\.\. automodule:: (\S+)\n   :members:$", text, re.MULTILINE)
    return {f"{name}.{member}" for name in modules for member in vars(importlib.import_module(name)).get("__all__", ())}


def public_name(kind: type) -> str:
    """Where users find a class: in the package of the module that defines it."""
    return f"{kind.__module__.rpartition('.')[0]}.{kind.__name__}"


def test_every_registered_type_is_in_the_api_reference():
    registries = (registry.MODELS, registry.TASK_UTILS, registry.HOOKS, registry.LOOPS)
    for node in registries:
        node.import_from_location()
    kinds = [kind for node in registries for kind in node.module_dict.values()]
    registered = {public_name(kind) for kind in kinds if kind.__module__.startswith("mmdist.")}
    assert len(registered) > 20
    assert not registered - documented()


def test_every_function_is_in_the_api_reference():
    assert {f"mmdist.functional.{name}" for name in mmdist.functional.__all__} <= documented()


MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(mmdist.__path__, "mmdist.")
    if not module.name.endswith("__main__") and ">>>" in Path(importlib.util.find_spec(module.name).origin).read_text()
)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_the_docstrings_hold(name):
    module = importlib.import_module(name)
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert doctest.testmod(module, optionflags=options).failed == 0

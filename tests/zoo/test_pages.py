"""What the zoo says about itself: metafiles, README tables, the teachers' checkpoints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from mmengine.config import Config
from zoo.runs import ROOT, Entry, entries
from zoo.weights import published

INDEX = yaml.safe_load((ROOT / "model-index.yml").read_text())["Import"]
METAFILES = [path for path in INDEX if not path.startswith("configs/demo/")]
FOLDERS = sorted(Path(path).parent.name for path in METAFILES)
PAIRS = sorted(path for path in (ROOT / "configs/_base_/pairs").rglob("*.py") if path.parent.name != "demo")
ENTRY = pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.name)


def names(folder: str) -> set[str]:
    return {path.stem for path in (ROOT / "configs" / folder).glob("*.py")}


def test_the_model_index_lists_every_metafile_once():
    there = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "configs").glob("*/metafile.yml"))
    assert sorted(INDEX) == there


def test_every_folder_of_configs_has_a_metafile():
    folders = {path.name for path in (ROOT / "configs").iterdir() if any(path.glob("*.py"))}
    assert folders - {"demo"} == set(FOLDERS)


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_metafile_lists_every_config_of_its_folder_once(folder):
    content = yaml.safe_load((ROOT / "configs" / folder / "metafile.yml").read_text())
    assert sorted(model["Name"] for model in content["Models"]) == sorted(names(folder))
    known = {collection["Name"] for collection in content["Collections"]}
    assert {model["In Collection"] for model in content["Models"]} <= known
    assert all((ROOT / collection["README"]).is_file() for collection in content["Collections"])


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_readme_links_every_config_of_its_folder(folder):
    readme = ROOT / "configs" / folder / "README.md"
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", readme.read_text())
    assert {Path(link).stem for link in links if link.endswith(".py") and "/" not in link} == names(folder)
    missing = [link for link in links if "://" not in link and not (readme.parent / link).exists()]
    assert not missing


@ENTRY
def test_an_entry_names_its_config_its_data_and_the_method_of_its_folder(entry: Entry):
    assert entry.path.is_file()
    assert entry.path.stem == entry.name
    assert entry.data
    assert re.fullmatch(r"[a-z0-9.+-]+(_[a-z0-9.+-]+)+", entry.name)


@ENTRY
def test_a_result_is_marked_as_published(entry: Entry):
    assert all(result["Published"] is True and result["Metrics"] for result in entry.results)


@ENTRY
def test_a_config_with_a_teacher_is_named_after_the_one_pair_that_it_is_of(entry: Entry):
    pairs = re.findall(r"/pairs/\w+/([\w.-]+)\.py", entry.path.read_text())
    assert len(pairs) == ("Teacher" in entry.metadata)
    assert all(f"_{pair}_" in entry.name for pair in pairs)


@pytest.mark.parametrize("path", PAIRS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_teacher_of_a_pair_has_a_checkpoint_that_its_library_publishes_or_a_config_to_train_it(path: Path):
    model = Config.fromfile(path).model
    if model.teacher_ckpt is None:
        assert Path(model.teacher).is_file()
        return
    package, _, config = model.teacher.partition("::")
    assert model.teacher_ckpt in published(package)[config]


@ENTRY
def test_a_config_stands_in_its_readme_with_its_published_results(entry: Entry):
    rows = (entry.path.parent / "README.md").read_text().splitlines()
    (row,) = [row for row in rows if f"({entry.name}.py)" in row and row.startswith("|")]
    cells = re.findall(r"(?<![\w.-])\d+(?:\.\d+)?(?![\w.-])", row.partition(f"({entry.name}.py)")[2])
    wanted = {float(value) for result in entry.results for value in result["Metrics"].values()}
    assert wanted <= {float(cell) for cell in cells}

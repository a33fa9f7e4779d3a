"""Every config of the zoo trains one real iteration; a few do in `make test`, all with MMDIST_ZOO=all."""

from __future__ import annotations

import math
import os
import shutil

import pytest
import torch
from mmengine.config import Config
from zoo.quick import QUICK
from zoo.runs import Entry, demo_entries, entries, prepare, teacher_weights, train_one_iteration

EVERY = (*entries(), *demo_entries())
ENTRIES = [entry for entry in EVERY if entry.name in QUICK or os.environ.get("MMDIST_ZOO") == "all"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Data and teachers, written once a process; gigabytes, which pytest would keep."""
    path = tmp_path_factory.mktemp("zoo")
    yield path
    shutil.rmtree(path)


def test_the_configs_of_the_quick_subset_exist():
    assert not set(QUICK) - {entry.name for entry in EVERY}


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_a_config_of_the_zoo_trains_one_iteration(entry: Entry, folder):
    lines = train_one_iteration(entry, folder)
    (losses,) = [line for line in lines if "loss" in line]
    assert all(math.isfinite(value) for key, value in losses.items() if "loss" in key or key == "grad_norm")
    distilled = [key for key in losses if key.startswith("distill.")]
    weighted = [key for key in losses if key.startswith("rdd.")]
    assert bool(distilled or weighted) == ("Teacher" in entry.metadata)
    assert [line for line in lines if "loss" not in line], "no validation"


def test_a_teachers_file_is_really_loaded_and_what_the_tool_says_is_told(tmp_path):
    entry = next(entry for entry in entries() if entry.name.startswith("dist_resnet32x4_resnet8x4"))
    prepare("mmpretrain")
    path = teacher_weights(Config.fromfile(entry.path), tmp_path / "teachers")
    weights = torch.load(path)
    del weights["state_dict"]["head.fc.weight"]
    torch.save(weights, path)
    with pytest.raises(RuntimeError, match=r"head\.fc\.weight \(missing\)"):
        train_one_iteration(entry, tmp_path)

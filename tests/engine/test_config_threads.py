"""Configs read by several threads at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mmdist.engine.config import load_config

DEMO = Path(__file__).parents[2] / "configs" / "demo"
NAMES = ("resnet18-w2_1xb64-500_mnist5k.py", "kd_resnet18-w16_resnet18-w2_1xb64-500_mnist5k.py")


def test_threads_that_read_configs_at_once_all_get_them():
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda index: load_config(str(DEMO / NAMES[index % 2])).to_dict(), range(12)))
    for index, config in enumerate(found):
        assert config == found[index % 2]
    assert found[0]["model"]["head"]["in_channels"] == found[1]["model"]["architecture"]["head"]["in_channels"] == 16

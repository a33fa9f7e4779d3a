"""What has to be different where there is no GPU."""

from __future__ import annotations

from typing import Any

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import print_log

from mmdist.engine.config import load_config
from mmdist.errors import ConfigError

SYNC_NORMS = {"SyncBN": "BN", "MMSyncBN": "BN", "naiveSyncBN": "BN"}


def adapt_to_cpu(cfg: Config) -> None:
    """Make a config that was written for GPUs run on a machine without one; elsewhere do nothing.

    SyncBN, which has no CPU implementation, becomes BN.

    Args:
        cfg (Config): Changed in place.

    Raises:
        ConfigError: Mixed precision is asked for, which mmengine's wrapper offers on accelerators only.
    """
    if get_device() != "cpu":
        return
    wrapper = cfg.get("optim_wrapper")
    if isinstance(wrapper, dict) and wrapper.get("type") == "AmpOptimWrapper":
        raise ConfigError("optim_wrapper.type", "AmpOptimWrapper", "a machine with an accelerator", "leave out --amp")
    # The Runner too reverts SyncBN in a single process, but after the recorders have been hooked to its modules.
    for name in ("architecture", "teacher"):  # a path may have SyncBN behind it
        if isinstance(cfg.model, dict) and isinstance(cfg.model.get(name), str):
            _inline_if_synchronised(cfg, name)
    changed = _replace_sync_norms(cfg._cfg_dict.get("model"))
    if cfg.get("sync_bn") is not None:
        cfg.sync_bn = None
        changed += 1
    if changed:
        print_log("There is no GPU here: SyncBN cannot run on the CPU, BN takes its place", "current")


def _inline_if_synchronised(cfg: Config, name: str) -> None:
    """Replace the path of a config by its model when that has SyncBN in it."""
    inner = load_config(cfg.model[name], f"model.{name}")
    if not isinstance(inner.get("model"), dict) or not _replace_sync_norms(inner.model):
        return
    from mmdist.models.builder import load_model_config

    cfg.model[name] = load_model_config(cfg.model[name], f"model.{name}")


def _replace_sync_norms(node: Any) -> int:
    """Exchange the synchronised norm layers of a config for plain ones; how many there were."""
    if isinstance(node, dict):
        found = int(isinstance(node.get("type"), str) and node["type"] in SYNC_NORMS)
        if found:
            node["type"] = SYNC_NORMS[node["type"]]
        return found + sum(_replace_sync_norms(value) for value in node.values())
    if isinstance(node, list | tuple):
        return sum(_replace_sync_norms(value) for value in node)
    return 0

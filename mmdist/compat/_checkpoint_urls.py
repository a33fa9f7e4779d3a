"""Checkpoints from the network, loaded as safely as local ones.

mmengine's own loader for URLs, which its names for published models
(``torchvision://resnet50``) go through as well, loads with
``weights_only=False``. The functions here keep its rules: the file is kept in
torch's hub cache, and rank 0 downloads while the other ranks wait.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from mmdist.compat import checkpoint
from mmdist.errors import CheckpointError, spelling_hint


def load_from_http(filename: str, map_location: Any = None, model_dir: str | None = None) -> dict[str, Any]:
    """Load a checkpoint from a URL, through the cache.

    Args:
        filename (str): The URL.
        map_location (Any): Where the tensors go, as for :func:`torch.load`.
        model_dir (str | None): Folder of the cache; None: torch's hub folder.

    Returns:
        dict[str, Any]: The checkpoint.

    Raises:
        CheckpointError: the download failed or brought something else, or the file is refused.
    """
    import torch.distributed as dist

    in_group = dist.is_available() and dist.is_initialized()
    rank, size = (dist.get_rank(), dist.get_world_size()) if in_group else (0, 1)
    if size > 1 and rank > 0:
        dist.barrier()
        return checkpoint.load_checkpoint_file(_fetch(filename, model_dir), map_location)
    try:
        path = _fetch(filename, model_dir)
    finally:
        # Also when it failed: the other ranks would wait for ever.
        if size > 1:
            dist.barrier()
    return checkpoint.load_checkpoint_file(path, map_location)


def _fetch(url: str, model_dir: str | None) -> Path:
    """The cached file of a URL, downloaded if it is not there."""
    import torch

    folder = Path(model_dir or os.path.join(torch.hub.get_dir(), "checkpoints"))
    path = folder / Path(urlparse(url).path).name
    if path.exists():
        return path
    partial = path.with_name(f"{path.name}.part{os.getpid()}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(partial), progress=sys.stderr.isatty())
        # A connection that broke leaves a short file: it must not stay in the cache.
        checkpoint.check_file(partial)
        partial.replace(path)
    except (OSError, ValueError, CheckpointError) as error:
        raise CheckpointError(f"cannot download {url}: {error}".replace(str(partial), "the answer")) from error
    finally:
        partial.unlink(missing_ok=True)
    return path


def load_from_torchvision(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Load weights that torchvision publishes, such as ``torchvision://resnet50``."""
    from mmengine.runner.checkpoint import get_torchvision_models

    return load_from_http(_look_up(filename, get_torchvision_models()), map_location)


def load_from_openmmlab(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Load weights that OpenMMLab publishes, such as ``open-mmlab://resnet50_v1c``."""
    from mmengine.runner.checkpoint import get_deprecated_model_names, get_external_models

    models = get_external_models()
    renamed = {old: models[new] for old, new in get_deprecated_model_names().items() if new in models}
    target = _look_up(filename, {**models, **renamed})
    if urlparse(target).scheme in ("http", "https"):
        return load_from_http(target, map_location)
    # A user's own entry may be a path below mmengine's home folder.
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.path.expanduser(os.environ.get("MMENGINE_HOME", os.path.join(cache, "mmengine")))
    return checkpoint.load_checkpoint_file(os.path.join(home, target), map_location)


def load_from_mmcls(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Load the backbone of a classifier that OpenMMLab publishes."""
    from mmengine.runner.checkpoint import get_mmcls_models

    content = load_from_http(_look_up(filename, get_mmcls_models()), map_location)
    weights = content.get("state_dict", content)
    prefix = "backbone."
    return {"state_dict": {key[len(prefix) :]: value for key, value in weights.items() if key.startswith(prefix)}}


def _look_up(filename: str, models: Mapping[str, str]) -> str:
    scheme, _, name = filename.partition("://")
    if name not in models:
        raise CheckpointError(f"{scheme}:// knows no model {name!r}: {spelling_hint(name, models)}")
    return models[name]

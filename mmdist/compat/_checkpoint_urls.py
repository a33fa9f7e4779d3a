"""Checkpoints from the network, loaded as safely as local ones.

mmengine's own loader for URLs, which its names for published models
(``torchvision://resnet50``) go through as well, loads with
``weights_only=False``, and so do those for other storage. The functions here
keep its rules: the file is kept in torch's hub cache, and rank 0 downloads
while the other ranks wait.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlparse

from mmdist.compat import _checkpoint_download as web
from mmdist.compat import checkpoint
from mmdist.compat._checkpoint_hash import file_digest, name_hash
from mmdist.errors import CheckpointError, MissingPackageError, spelling_hint


def register(loader: Any) -> None:
    """Give every scheme that mmengine knows a loader of this package; what a user registered is left alone.

    Args:
        loader (Any): ``mmengine.runner.CheckpointLoader``, or that of a fork of mmengine's.
    """
    own = {
        "": checkpoint.load_from_local,
        **dict.fromkeys(("http://", "https://"), load_from_http),
        **dict.fromkeys(("torchvision://", "modelzoo://"), load_from_torchvision),
        **dict.fromkeys(("open-mmlab://", "openmmlab://"), load_from_openmmlab),
        "mmcls://": load_from_mmcls,
        **dict.fromkeys((r"(\S+\:)?s3://", r"(\S+\:)?petrel://"), load_from_storage),
        "pavi://": load_from_pavi,
    }
    for prefix, known in loader._schemes.items():
        if prefix not in own and getattr(known, "__module__", "").partition(".")[0] == "mmengine":
            own[prefix] = load_from_unknown
    for prefix, function in own.items():
        loader.register_scheme(prefixes=prefix, loader=function, force=True)


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
    """The cached file of a URL, downloaded if it is not there, or is not what its name says."""
    import torch

    folder = Path(model_dir or os.path.join(torch.hub.get_dir(), "checkpoints"))
    path = folder / web.cached_name(url)
    start = name_hash(path.name)
    try:
        if path.is_file() and (not start or file_digest(path).startswith(start)):
            return path
        folder.mkdir(parents=True, exist_ok=True)
        with web.partial(path) as temporary:
            try:
                web.download(url, temporary, start)
                checkpoint.check_file(temporary)  # such as a page that says that there is no such file
            except (OSError, ValueError, CheckpointError) as error:
                raise CheckpointError(str(error).replace(str(temporary), "the answer")) from error
            temporary.replace(path)
    except (OSError, CheckpointError) as error:
        raise CheckpointError(f"cannot download {url}: {error}. Without a network, put the file at {path}") from error
    return path


def load_from_storage(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Load from ``s3://`` or ``petrel://``, also with a cluster in front, through mmengine's storage backend."""
    from mmengine.fileio import get_file_backend

    def write(path: Path) -> None:
        path.write_bytes(get_file_backend(filename, backend_args={"backend": "petrel"}).get(filename))

    return _load_copy(filename, write, map_location)


def load_from_pavi(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Load from ``pavi://``.

    Raises:
        MissingPackageError: Without ``pavi``.
    """
    if find_spec("pavi") is None:
        raise MissingPackageError("pavi", f"loading {filename}")
    from pavi import modelcloud

    def write(path: Path) -> None:
        modelcloud.get(filename.removeprefix("pavi://")).download(str(path))

    return _load_copy(filename, write, map_location)


def load_from_unknown(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Stands for a loader of mmengine's that came after this module, and restricts nothing."""
    raise CheckpointError(
        f"{filename} has a scheme that mmdist cannot load safely: copy the file to a disk, and name that"
    )


def _load_copy(filename: str, write: Callable[[Path], Any], map_location: Any) -> dict[str, Any]:
    """Load a copy on this disk, which goes again."""
    with TemporaryDirectory(prefix="mmdist-") as folder:
        path = Path(folder, "checkpoint.pth")
        try:
            write(path)
        except Exception as error:  # whatever the client of the storage raises
            raise CheckpointError(f"cannot load {filename}: {' '.join(str(error).split())}") from error
        try:
            return checkpoint.load_checkpoint_file(path, map_location)
        except CheckpointError as error:
            reason = str(error).partition(" If you trust ")[0].replace(str(path), filename)
            raise CheckpointError(f"{reason} (copied to a disk, a file can be trusted by name)") from error


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

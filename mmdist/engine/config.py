"""Config files: found, read, and answered for when they cannot be."""

from __future__ import annotations

import re
import threading
import traceback
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import FrameType

from mmengine.config import Config
from mmengine.config.utils import MODULE2PACKAGE

from mmdist.errors import ConfigError, MissingPackageError, MMDistError, nearest

SUFFIXES = (".py", ".yml", ".yaml", ".json")
# mmengine's reading is not made for threads: it reloads pkg_resources and changes sys.path meanwhile
_reading = threading.RLock()


def did_you_mean(value: str, options: list[str]) -> str:
    """``did you mean ...?`` for the nearest options, or nothing.

    Example:
        >>> did_you_mean('ResNit', ['ResNet', 'FCNHead'])
        "did you mean 'ResNet'?"
    """
    close = nearest(value, options)
    return f"did you mean {' or '.join(repr(option) for option in close)}?" if close else ""


def not_installed(module: str, feature: str) -> MMDistError:
    """The answer to a module that cannot be imported, by the name that pip knows.

    Example:
        >>> str(not_installed('mmseg.models', 'the demo'))
        "the demo needs the package 'mmsegmentation', which is not installed: pip install mmsegmentation"
    """
    name = module.partition(".")[0]
    if name == "mmcls":  # it works with no mmcv that the others accept
        return MMDistError(f"{feature} needs mmcls, which is now called mmpretrain: write mmpretrain instead")
    return MissingPackageError(MODULE2PACKAGE.get(name, name), feature)


def find_config(path: str, key: str = "config") -> Path:
    """The file that a config path, or a ``pkg::path``, stands for.

    Args:
        path (str): A file, or ``mmseg::pspnet/...py`` for one that an installed package brings.
        key (str): Where the path was given, for messages.

    Returns:
        Path: An existing file.

    Raises:
        ConfigError: There is no such file; names the nearest ones.
        MissingPackageError: The package of a ``pkg::path`` is not installed.

    Example:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile(suffix='.py') as file:
        ...     find_config(file.name) == Path(file.name)
        True
    """
    if "::" in path:
        return _find_packaged(path, key)
    file = Path(path).expanduser()
    if file.is_dir():
        raise ConfigError(key, path, "a config file", "this is a folder")
    if not file.is_file():
        raise ConfigError(key, path, "an existing config file", _nearest_file(file))
    if file.suffix not in SUFFIXES:
        raise ConfigError(key, path, f"a file ending in {', '.join(SUFFIXES)}")
    return file


def _find_packaged(path: str, key: str) -> Path:
    package, _, name = path.partition("::")
    if find_spec(package) is None:
        known = [*MODULE2PACKAGE, "mmdist"]
        if package not in known:
            raise ConfigError(key, path, "a package of OpenMMLab before `::`", did_you_mean(package, known))
        raise not_installed(package, f"{key} = {path!r}")
    origin = find_spec(package).origin
    folder = Path(origin).parent / ".mim" / "configs"
    file = folder / name
    if not file.is_file():
        options = [f"{package}::{other.relative_to(folder).as_posix()}" for other in folder.rglob("*.py")]
        raise ConfigError(key, path, f"a config that {package} brings", did_you_mean(path, options))
    return file


def _nearest_file(file: Path) -> str:
    folder = file.parent
    if not folder.is_dir():
        return f"the folder {str(folder)!r} does not exist"
    near = [str(folder / name) for name in nearest(file.name, [other.name for other in folder.iterdir()])]
    return did_you_mean(str(file), near)


def load_config(path: str, key: str = "config") -> Config:
    """Read a config file; everything that can be wrong with it is a clear error.

    Args:
        path (str): A file or ``pkg::path``.
        key (str): Where the path was given, for messages.

    Returns:
        Config: The config, its ``custom_imports`` done.

    Raises:
        ConfigError: The file, or one of its bases, does not exist or cannot be read; names the file and the line.
        MissingPackageError: A base, or a custom import, is of a package that is not installed.
    """
    file = find_config(path, key)
    try:
        with _reading:
            return Config.fromfile(file)
    except MMDistError:
        raise
    except Exception as error:
        raise _explain(error, file, key) from error


def _explain(error: Exception, file: Path, key: str) -> MMDistError:
    """What went wrong inside a config file, as the user's mistake that it is."""
    place, line = _locate(error, file)
    cause = error.__context__ if isinstance(error.__context__, SyntaxError) else error
    if isinstance(cause, SyntaxError):
        return ConfigError(key, f"{place}:{cause.lineno}", hint=f"not valid Python: {cause.msg}")
    if isinstance(error, FileNotFoundError) and not place.is_file():
        return ConfigError(f"{key}: _base_", str(place), "an existing config file", _nearest_file(place))
    where = f"{place}:{line}" if line else str(place)
    root = error
    while isinstance(root.__cause__, ImportError):
        root = root.__cause__
    if isinstance(root, ModuleNotFoundError) and root.name:
        return not_installed(root.name, where)
    if isinstance(error, ModuleNotFoundError):  # mmengine's own, for the package of a base: no name, only a message
        return not_installed(str(error).partition(" ")[0], where)
    imported = re.match(r"Failed to import ([\w]+)", str(root))
    if imported and imported.group(1) in MODULE2PACKAGE and find_spec(imported.group(1)) is None:
        return not_installed(imported.group(1), f"{where}: custom_imports")
    return ConfigError(key, where, hint=f"{type(root).__name__}: {_first_line(root)}")


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


def _locate(error: Exception, file: Path) -> tuple[Path, int | None]:
    """The config file, of the one given and its bases, in which reading failed, and the line if one is known."""
    place, line = file, None
    for frame, number in _frames(error):
        if frame.f_code.co_name in ("_file2dict", "_parse_lazy_import") and "filename" in frame.f_locals:
            place, line = Path(frame.f_locals["filename"]), None
        elif Path(frame.f_code.co_filename) == place.absolute():
            line = number
    return place, line


def _frames(error: Exception) -> Iterator[tuple[FrameType, int]]:
    return traceback.walk_tb(error.__traceback__)

"""The images of a folder or of a list file, and a look at each: can it be read, and how large is it?"""

from __future__ import annotations

import os
import re
import stat
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from mmdist.errors import ConfigError, one_line, printable

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
REMOTE = re.compile(r"[\w.+-]{2,}:")  # s3://; one letter is a Windows drive
ORIENTATION, TURNED = 274, (5, 6, 7, 8)  # of EXIF: width and height are exchanged when the image is read
LONGEST_LIST = 1 << 30  # bytes
THREADS = 8  # the look at an image waits for the disk


class Look(NamedTuple):
    """What the head of an image file says.

    Args:
        width (int): In pixels, as the image is shown.
        height (int): Likewise.
        fault (str): What is wrong with it; empty: nothing.
    """

    width: int = 0
    height: int = 0
    fault: str = ""


def images_in(folder: Path, key: str, *, follow_links: bool) -> list[Path]:
    """The images of a folder and of the folders in it, sorted by their paths; hidden files are passed over.

    Args:
        folder (Path): The folder.
        key (str): Where it stands in the config.
        follow_links (bool): Take links that lead out of the folder.

    Returns:
        list[Path]: At least one.

    Raises:
        ConfigError: No image, or a link that leads out of the folder.
    """
    root = folder.resolve()
    found, seen = [], set()

    def is_taken(path: Path) -> bool:
        """No link; or one that leads out of the folder, once: what a link inside leads to is found anyway."""
        if not path.is_symlink():
            return True
        target = path.resolve()
        if _is_inside(target, root) or target in seen:
            return False
        _check_inside(path, target, root, key, follow_links)
        seen.add(target)
        return target not in root.parents

    def fail(error: OSError) -> None:
        raise ConfigError(key, str(folder), "a folder that can be read", one_line(error)) from error

    for place, folders, names in os.walk(folder, followlinks=True, onerror=fail):
        folders[:] = [name for name in sorted(folders) if name[0] != "." and is_taken(Path(place, name))]
        paths = (Path(place, name) for name in names if name[0] != ".")
        found += [path for path in paths if path.suffix.lower() in SUFFIXES and is_taken(path)]
    if not found:
        raise ConfigError(key, str(folder), f"a folder with images ({', '.join(SUFFIXES)}): it has none")
    return sorted(found)


def images_of_list(file: Path, root: Path, key: str, *, follow_links: bool) -> list[Path]:
    """The images that a text file names, one in each line; empty lines are passed over.

    Args:
        file (Path): The list.
        root (Path): What relative paths are relative to.
        key (str): Where the list stands in the config.
        follow_links (bool): Take relative paths that lead out of ``root``.

    Returns:
        list[Path]: At least one, in the order of the file, each once.

    Raises:
        ConfigError: A file that is no list, or a relative path that leads out of ``root``.
    """
    try:
        if file.stat().st_size > LONGEST_LIST:
            raise ConfigError(key, str(file), f"a list of images of {LONGEST_LIST:,} bytes at most")
        lines = [line.strip() for line in file.read_text(encoding="utf-8").split("\n")]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            key, str(file), "a text file with the path of an image in each line", one_line(error)
        ) from None
    names = list(dict.fromkeys(line for line in lines if line))
    if not names:
        raise ConfigError(key, str(file), "the path of an image in each line: it is empty")
    inside = root.resolve()
    for name in names:
        if not Path(name).is_absolute() and "\0" not in name:
            _check_inside(Path(root, name), Path(root, name).resolve(), inside, key, follow_links)
    return [Path(root, name) for name in names]


def look_at(path: str | Path, max_pixels: int) -> Look:
    """Read the head of an image file, without its pixels.

    Args:
        path (str | Path): The file.
        max_pixels (int): More than this is a fault.

    Returns:
        Look: Its size, or what is wrong with it.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # opening a pipe would wait for ever
            return Look(fault="is no file")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                width, height = image.size
                turned = _orientation(image) in TURNED
    except Image.DecompressionBombError:
        return Look(fault=f"has more than {max_pixels:,} pixels")
    except Exception as error:  # whatever a damaged file makes of the reader
        return Look(fault=f"cannot be read ({one_line(error)})")
    if width * height > max_pixels:
        return Look(fault=f"has {width} x {height} pixels, more than {max_pixels:,}")
    return Look(height, width) if turned else Look(width, height)


def look_at_all(paths: Sequence[str | Path], max_pixels: int) -> Iterator[Look]:
    """:func:`look_at` each of them, several at a time."""
    with ThreadPoolExecutor(THREADS) as pool:
        yield from pool.map(lambda path: look_at(path, max_pixels), paths)


def is_local(path: str) -> bool:
    """Whether a path is one of this machine's files, not of a storage backend."""
    return not REMOTE.match(path)


def _is_inside(target: Path, root: Path) -> bool:
    return target == root or root in target.parents


def _check_inside(path: Path, target: Path, root: Path, key: str, follow_links: bool) -> None:
    if not follow_links and not _is_inside(target, root):
        hint = f"{printable(path)} leads to {printable(target)}; follow_links=True takes it"
        raise ConfigError(key, str(root), "images that are inside of it", hint)


def _orientation(image: Image.Image) -> int | None:
    try:
        return image.getexif().get(ORIENTATION)
    except Exception:  # a damaged entry, which whoever decodes the pixels passes over
        return None

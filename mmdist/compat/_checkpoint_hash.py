"""The hash in a file's name, as torch.hub has it: ``resnet50-0676ba61.pth``."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

BLOCK = 1 << 20
# Digits alone are a date or an iteration far more often than a hash, one in forty of which has no letter.
HASH = re.compile(r"-(?!\d+\.)([0-9a-f]{8,64})\.[^.]+$")


def name_hash(name: str) -> str:
    """The beginning of the SHA-256 that a file's name carries; empty if none.

    Args:
        name (str): Without its folder.

    Returns:
        str: 8 to 64 hexadecimal digits, or nothing.

    Example:
        >>> name_hash('resnet50-0676ba61.pth'), name_hash('run-20230131.pth'), name_hash('iter-00040000.pth')
        ('0676ba61', '', '')
    """
    found = HASH.search(name)
    return found[1] if found else ""


def file_digest(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()

"""Files from the web: whole, of the hash that their name carries, and in the time that a server may take."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import re
import shutil
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urldefrag, urlparse

from mmdist.compat._checkpoint_hash import BLOCK, name_hash
from mmdist.errors import CheckpointError, ConfigError

TIMEOUT_VARIABLE = "MMDIST_DOWNLOAD_TIMEOUT"
TIMEOUT = 60.0  # seconds without an answer, or with next to nothing
TRICKLE = 1 << 10  # bytes that must come within that time
RESERVE = 1 << 28  # bytes that a download of unknown size leaves free
LONGEST_NAME = 150


def cached_name(url: str) -> str:
    """The name of a URL's file in the cache: its own if that carries a hash, else one that no other URL has.

    Example:
        >>> cached_name('https://a.org/resnet50-0676ba61.pth'), cached_name('https://a.org/last.pth')
        ('resnet50-0676ba61.pth', 'last_url_21b01e6b5687.pth')
    """
    name = re.sub(r"[^\w.+-]", "_", Path(urlparse(url).path).name)[-LONGEST_NAME:].lstrip(".") or "checkpoint.pth"
    if name_hash(name):
        return name
    own = hashlib.sha256(urldefrag(url).url.encode()).hexdigest()[:12]
    path = Path(name)
    return f"{path.stem}_url_{own}{path.suffix}"


def timeout() -> float:
    """How many seconds a server may be silent.

    Raises:
        ConfigError: The environment variable for it is no number above 0.
    """
    text = os.environ.get(TIMEOUT_VARIABLE, "")
    try:
        seconds = float(text or TIMEOUT)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 1e6:
        raise ConfigError(TIMEOUT_VARIABLE, text, "a number of seconds above 0")
    return seconds


def download(url: str, path: Path, start: str) -> None:
    """Write what a URL brings to a new file.

    Args:
        url (str): ``http://`` or ``https://``; where it leads on to something else than these, it is not followed.
        path (Path): Must not exist.
        start (str): Of the SHA-256 of the content; may be empty.

    Raises:
        CheckpointError: The server is silent, says that there is no such file, or brings less than it announced, or
            another file; or the disk is too small. What was written stays for the caller to remove.
    """
    seconds = timeout()
    try:
        with _ask(url, seconds) as answer:
            announced = answer.length  # None where the server does not say
            free = shutil.disk_usage(path.parent).free
            if announced is not None and announced > free:
                raise CheckpointError(f"it has {announced} bytes, and {path.parent} has room for {free}")
            digest, size = hashlib.sha256(), 0
            with path.open("xb") as file:
                for block in _blocks(answer, announced, seconds):
                    size += len(block)
                    if announced is None and size > free - RESERVE:
                        raise CheckpointError(f"it would fill the disk of {path.parent}")
                    digest.update(block)
                    file.write(block)
                file.flush()
                os.fsync(file.fileno())
    except TimeoutError as error:
        raise CheckpointError(_silent(seconds)) from error
    except HTTPError as error:  # before URLError, which it is as well
        raise CheckpointError(str(error)) from error
    except URLError as error:
        silent = isinstance(error.reason, TimeoutError)
        raise CheckpointError(_silent(seconds) if silent else str(error.reason)) from error
    except http.client.HTTPException as error:
        raise CheckpointError(f"the answer is none ({type(error).__name__})") from error
    if announced is not None and size != announced:
        raise CheckpointError(f"the answer is cut short ({size} of {announced} bytes)")
    if not digest.hexdigest().startswith(start):
        raise CheckpointError(f"it is another file than its name says (sha256 {digest.hexdigest()[:8]}, not {start})")


def _ask(url: str, seconds: float) -> Any:
    """The answer of a server, once its head is there; looking for the server counts, too."""
    request = urllib.request.Request(url, headers={"User-Agent": "mmdist"})
    came: list[Any] = []

    def ask() -> None:
        try:
            came.append(_opener().open(request, timeout=seconds))
        except BaseException as error:
            came.append(error)

    # A timeout of a socket starts anew with every byte, and looking up an address has none.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    if not came:
        raise TimeoutError
    if isinstance(came[0], BaseException):
        raise came[0]
    return came[0]


def _blocks(answer: Any, announced: int | None, seconds: float) -> Iterator[bytes]:
    shown, size = sys.stderr.isatty(), 0
    since, before = time.monotonic(), 0
    while block := answer.read1(BLOCK):
        size += len(block)
        now = time.monotonic()
        if size - before >= TRICKLE:
            since, before = now, size
        elif now - since > seconds:  # a byte now and then keeps a connection open for ever
            raise TimeoutError
        if shown:
            of = f" of {announced / 1e6:.1f}" if announced else ""
            print(f"\r{size / 1e6:.1f}{of} MB", end="", file=sys.stderr, flush=True)
        yield block
    if shown:
        print(file=sys.stderr)


def _silent(seconds: float) -> str:
    return f"the server brought nothing for {seconds:g} s ({TIMEOUT_VARIABLE} sets how long to wait)"


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows from the web to the web, and never from an encrypted address to one that is not."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        allowed = ("https",) if urlparse(req.full_url).scheme == "https" else ("http", "https")
        if urlparse(newurl).scheme not in allowed:
            raise CheckpointError(f"the server sends on to {newurl[:100]!r}, which is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """Speaks http and https alone; urllib's own opens local files and FTP as well."""
    opener = urllib.request.OpenerDirector()
    kinds = (urllib.request.ProxyHandler, urllib.request.HTTPHandler, urllib.request.HTTPSHandler, _Redirects)
    for kind in (*kinds, urllib.request.HTTPDefaultErrorHandler, urllib.request.HTTPErrorProcessor):
        opener.add_handler(kind())
    opener.add_handler(urllib.request.UnknownHandler())
    return opener


@contextlib.contextmanager
def partial(path: Path) -> Iterator[Path]:
    """Where a file is written until it is whole; it is removed if it is still there afterwards."""
    temporary = path.with_name(f"{path.name}.part{os.getpid()}")
    temporary.unlink(missing_ok=True)  # of a process that was killed
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)

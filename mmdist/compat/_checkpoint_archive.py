"""The zip archive of ``torch.save``: its form, its checksums, and the SHA-256 that mmdist adds to what it writes.

torch reads past a flipped bit: it never looks at the checksums that it writes. And where two readers understand an
archive differently, what one of them has checked is not what the other loads; so the form is that of ``torch.save``
to the last byte, or the file is refused.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mmdist.errors import CheckpointError, printable

DIGEST = ".mmdist/sha256"
PICKLES = ("/data.pkl", "/constants.pkl")  # of a checkpoint, of a TorchScript program
CHUNK = 2**22
END, END_SIZE, LOCATOR = b"PK\x05\x06", 22, b"PK\x06\x07"
WIDE_SIZES = 20 + 56  # of the two parts that stand before the end of an archive above 4 GB, or of torch's


@dataclass(frozen=True)
class Record:
    """One entry of an archive.

    Args:
        start (int): Where its bytes begin in the file.
        size (int): How many there are.
        crc (int): Their checksum, as the archive has it.
        header (int): Where the entry itself begins, which is before its bytes.
    """

    start: int
    size: int
    crc: int
    header: int = 0


class _Foreign(Exception):
    """An archive of something else."""


class Damaged(Exception):
    """An archive that is not whole, and why."""


def read_records(path: Path) -> dict[str, Record]:
    """The entries of an archive, without the folder that torch puts them in.

    Args:
        path (Path): The file.

    Returns:
        dict[str, Record]: By name: ``data.pkl``, ``data/0`` and the like.

    Raises:
        CheckpointError: The archive is damaged, or not of the form that ``torch.save`` writes.
    """
    try:
        with path.open("rb") as file:
            return dict(_records(file))
    except _Foreign:
        raise CheckpointError(f"{path} is a zip archive that torch.save did not write, expected a checkpoint") from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from error
    except Damaged as error:
        raise CheckpointError(
            f"{path} is no archive as torch.save writes it: {error}: copy or download it again"
        ) from error
    # The package reports damage in whatever way it comes upon it, as UnicodeDecodeError or NotImplementedError.
    except Exception as error:
        size = path.stat().st_size
        raise CheckpointError(f"{path} is cut short or damaged ({size} bytes): copy or download it again") from error


def _records(file: BinaryIO) -> Iterator[tuple[str, Record]]:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - END_SIZE - WIDE_SIZES))
    tail = file.read()
    with zipfile.ZipFile(file) as archive:
        if tail[-END_SIZE:][:4] != END or archive.comment:
            raise Damaged("it does not end where it should")
        if tail[-END_SIZE - 20 :][:4] == LOCATOR and tail[-END_SIZE - 12 : -END_SIZE - 4] != _position(size):
            raise Damaged("its directory is not where it should be")
        entries = archive.infolist()
    if not any(entry.filename.endswith(PICKLES) for entry in entries):
        raise _Foreign
    seen: set[str] = set()
    root = ""
    for entry in entries:
        folder, separator, name = entry.filename.partition("/")
        root = root or folder
        if not separator or folder != root or entry.filename.lower() in seen:
            raise Damaged(f"its entry {printable(entry.filename)!r} is twice there or in no folder")
        seen.add(entry.filename.lower())
        if name:
            yield name, _record(file, entry, size)
    if min(entry.header_offset for entry in entries):
        raise Damaged("it does not begin where it should")


def _position(size: int) -> bytes:
    return (size - END_SIZE - WIDE_SIZES).to_bytes(8, "little")


def _record(file: BinaryIO, entry: zipfile.ZipInfo, size: int) -> Record:
    if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 or entry.file_size != entry.compress_size:
        raise Damaged(f"its entry {printable(entry.filename)!r} is compressed or encrypted")
    file.seek(entry.header_offset)
    head = file.read(30)
    name_size, extra_size = (int.from_bytes(head[at : at + 2], "little") for at in (26, 28))
    name = file.read(name_size).decode("utf-8" if entry.flag_bits & 0x800 else "cp437")
    if head[:4] != b"PK\x03\x04" or name != entry.orig_filename or name != entry.filename:
        raise Damaged(f"its entry {printable(entry.filename)!r} has another name where it lies")
    start = entry.header_offset + 30 + name_size + extra_size
    if start + entry.file_size > size:
        raise Damaged(f"its entry {printable(entry.filename)!r} reaches beyond its end")
    return Record(start, entry.file_size, entry.CRC, entry.header_offset)


def read_record(path: Path, record: Record) -> bytes:
    """The bytes of one entry."""
    with path.open("rb") as file:
        file.seek(record.start)
        return file.read(record.size)


def check_records(path: Path, records: dict[str, Record]) -> str:
    """Compare an archive with the SHA-256 that mmdist wrote into it, or else with its checksums.

    Args:
        path (Path): The file.
        records (dict[str, Record]): Of :func:`read_records`.

    Returns:
        str: What the archive's content was compared with: ``sha256``, ``crc32``, or nothing.

    Raises:
        CheckpointError: They differ.
    """
    with path.open("rb") as file:
        if DIGEST in records and _is_as_written(file, records[DIGEST]):
            return "sha256"
        wrong = [name for name, record in records.items() if _crc(file, record) != record.crc]
    again = f"{f' (wrong checksum: {printable(wrong[0])})' if wrong else ''}: copy or download it again"
    if DIGEST in records:
        raise CheckpointError(f"{path} is damaged: its SHA-256 is not the one that was written into it{again}")
    # torch.serialization.set_crc32_options(False) leaves all of them out.
    if wrong and len(wrong) < sum(record.size > 0 for record in records.values()):
        raise CheckpointError(f"{path} is damaged{again}")
    return "" if wrong else "crc32"


def _is_as_written(file: BinaryIO, record: Record) -> bool:
    file.seek(record.start)
    written = file.read(record.size)
    return hash_of(file, Record(0, record.header, 0)).encode() == written


def _crc(file: BinaryIO, record: Record) -> int:
    crc = 0
    for chunk in _chunks(file, record):
        crc = zlib.crc32(chunk, crc)
    return crc


def hash_of(file: BinaryIO, part: Record) -> str:
    """The SHA-256 of a part of a file, in hexadecimal."""
    digest = hashlib.sha256()
    for chunk in _chunks(file, part):
        digest.update(chunk)
    return digest.hexdigest()


def _chunks(file: BinaryIO, part: Record) -> Iterator[bytes]:
    file.seek(part.start)
    left = part.size
    while left and (chunk := file.read(min(CHUNK, left))):
        left -= len(chunk)
        yield chunk


def stamp(file: BinaryIO) -> None:
    """Add the SHA-256 of all that it holds to an archive that ``torch.save`` has just written; torch ignores it.

    Args:
        file (BinaryIO): The archive, open for reading and writing.

    Example:
        >>> import io, torch
        >>> file = io.BytesIO()
        >>> torch.save({'weight': torch.ones(2)}, file)
        >>> stamp(file)
        >>> torch.load(io.BytesIO(file.getvalue()))
        {'weight': tensor([1., 1.])}
    """
    with zipfile.ZipFile(file, "a") as archive:
        root = archive.namelist()[0].partition("/")[0]
        digest = hash_of(file, Record(0, archive.start_dir, 0))
        # Of a fixed date: the same content gives the same file.
        archive.writestr(zipfile.ZipInfo(f"{root}/{DIGEST}"), digest)

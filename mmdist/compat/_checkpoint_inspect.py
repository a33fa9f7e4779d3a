"""A file of ``torch.save`` looked through before torch loads it: its pickles, and that its storages are all there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from mmdist.compat._checkpoint_archive import read_record, read_records
from mmdist.compat._checkpoint_description import damaged
from mmdist.compat._checkpoint_pickle import inspect_pickle
from mmdist.compat._checkpoint_rules import Rules

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # how the format before torch 1.6 begins


def inspect_archive(path: Path) -> None:
    """Look through a zip archive.

    Args:
        path (Path): The file.

    Raises:
        CheckpointError: It is no archive of ``torch.save``.
        UnpicklingError: Its content is damaged, or not to be loaded.
    """
    records, rules = read_records(path), Rules()
    if "data.pkl" not in records:
        raise damaged("it has no pickle")
    rules.finish(inspect_pickle(read_record(path, records["data.pkl"]), rules))
    for key, (count, size) in rules.storages.items():
        record = records.get(f"data/{key}")
        if record is None or record.size != count * size:
            raise damaged("a storage is missing or of another size")


def inspect_legacy(path: Path) -> None:
    """Look through a file of the format before torch 1.6: pickles one after the other, then the storages.

    Args:
        path (Path): The file.

    Raises:
        UnpicklingError: Its content is damaged, or not to be loaded.
    """
    with path.open("rb") as file:
        for expected in (MAGIC, PROTOCOL):
            if inspect_pickle(file, Rules()) != expected:
                raise damaged("it does not begin as torch.save begins")
        inspect_pickle(file, Rules())  # the machine that it was written on
        rules = Rules(legacy=True)
        rules.finish(inspect_pickle(file, rules))
        keys = inspect_pickle(file, Rules())
        # What is not read from the file would be memory that nothing was written into.
        if type(keys) is not list or len(keys) != len(rules.storages) or set(map(str, keys)) != rules.storages.keys():
            raise damaged("its list of storages is not that of its tensors")
        for key in keys:
            count, size = rules.storages[key]
            _skip(file, count, size)


def _skip(file: BinaryIO, count: int, size: int) -> None:
    if int.from_bytes(file.read(8), "little") != count:
        raise damaged("a storage is of another size")
    if file.tell() + count * size > os.fstat(file.fileno()).st_size:
        raise damaged("it is cut short")
    file.seek(count * size, os.SEEK_CUR)

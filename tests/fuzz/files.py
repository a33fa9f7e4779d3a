"""Checkpoints that are damaged at random, or changed where it matters; each by its number, the same every time."""

from __future__ import annotations

import io
import itertools
import json
import random
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from fuzz.resumed_run import change_run, write_run

EXTREMES = [0, 1, -1, 4, 127, 255, 65536, 2**27, 2**31 - 1, -(2**31), 2**40, 2**63 - 1, 2**64]
NAMES = [
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_sparse_tensor",
    "torch FloatStorage",
    "torch DoubleStorage",
    "torch.storage UntypedStorage",
    "torch Tensor",
    "torch Size",
    "torch float64",
    "numpy dtype",
    "numpy ndarray",
    "numpy.core.multiarray _reconstruct",
    "numpy.core.multiarray scalar",
    "collections OrderedDict",
    "collections Counter",
    "__builtin__ bytearray",
    "__builtin__ getattr",
    "__builtin__ eval",
    "mmengine.logging.history_buffer HistoryBuffer",
    "posix system",
]
TEXTS = ["", "O", "U99999999", "cpu", "meta", "../../thesis.txt", "/etc/passwd", "x" * 5000]
TEXTS += ["\x1b[2J", "a\nb", "\u202e"]


@dataclass(frozen=True)
class Form:
    """A format of files.

    Args:
        suffix (str): What a file's name ends in.
        write (Callable[[], bytes]): A whole file.
        change (Callable[[bytes, random.Random], bytes]): Changes a file where its format is damaged most; checksums
            are made to fit.
        command (tuple[str, ...]): The arguments of the program; ``FILE`` stands for the file, ``OUT`` for what is to be
            written.
        program (str): Module and function that take the arguments and return an exit code, by default ``mmdist``.
        beside (dict[str, str]): Other files that the command needs in the work dir, such as a config, by their names.
        writes (bool): The command may leave any files in the work dir, as a run does, and not just ``OUT``.
        files (int): In a whole series; the more, the more there is in such a file that a command believes.
        share (float): Of what is not damage but a change of the format.
    """

    suffix: str
    write: Callable[[], bytes]
    change: Callable[[bytes, random.Random], bytes]
    command: tuple[str, ...] = ("export", "FILE", "OUT")
    program: str = "mmdist.cli.main:main"
    beside: dict[str, str] = field(default_factory=dict)
    writes: bool = False
    files: int = 100
    share: float = 0.6


def checkpoint() -> dict:
    """What a run leaves, as small as it gets."""
    from mmengine.logging import HistoryBuffer

    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(8, 8, generator=generator)
    state = OrderedDict({"architecture.a.weight": weight, "architecture.a.bias": weight[0], "teacher.b": weight[:2]})
    scalars = {"train/loss": HistoryBuffer([1.0, 2.0], [1, 1])}
    extra = dict(array=np.arange(5, dtype="f4"), name=np.array(["ab", "c"]), one=np.float64(2))
    classes = dict(classes=("dark", "light"), palette=np.zeros((2, 3), dtype="u1"), **extra)
    meta = dict(epoch=1, iter=4, dataset_meta=classes, cfg="model = dict(type='X')")
    return dict(
        meta=meta,
        state_dict=state,
        message_hub=dict(log_scalars=scalars, runtime_info=dict(extra)),
        optimizer=dict(state={0: dict(step=torch.tensor(3.0))}, param_groups=[dict(lr=0.1, params=[0])]),
    )


def write_torch(new: bool = True) -> bytes:
    file = io.BytesIO()
    torch.save(checkpoint(), file, _use_new_zipfile_serialization=new)
    return file.getvalue()


def write_safetensors() -> bytes:
    from safetensors.torch import save

    state = {name: value.clone() for name, value in checkpoint()["state_dict"].items()}
    return save(state, metadata=dict(iter="4", dataset_meta=json.dumps(dict(classes=["a", "b"])), weights="ema"))


def damage(data: bytes, rng: random.Random) -> bytes:
    """What disks and networks do: flipped bits, missing, foreign and repeated parts."""
    changed, size = bytearray(data), len(data)
    start = rng.randrange(size)
    end = min(size, start + rng.choice([1, 4, 64, 1024]))
    kind = rng.randrange(6)
    if kind == 0:
        for _ in range(rng.choice([1, 1, 2, 8, 64])):
            changed[rng.randrange(size)] ^= 1 << rng.randrange(8)
    elif kind == 1:
        changed[start:end] = rng.randbytes(end - start)
    elif kind == 2:
        del changed[start:]
    elif kind == 3:
        del changed[start:end]
    elif kind == 4:
        changed[start:start] = changed[start:end]
    else:
        changed += rng.randbytes(rng.choice([1, 22, 1000]))
    return bytes(changed)


def change_pickle(data: bytes, rng: random.Random) -> bytes:
    """Numbers, names and texts of a pickle become others; sometimes its instructions too."""
    import pickletools

    try:
        steps = list(pickletools.genops(data))
    except Exception:  # after an earlier change
        return damage(data, rng)
    ends = [position for _, _, position in steps[1:]] + [len(data)]
    parts = [data[step[2] : end] for step, end in zip(steps, ends, strict=True)]
    for _ in range(rng.choice([1, 1, 2, 4])):
        kind = rng.choice(["number", "name", "text", "drop", "swap", "deep"])
        wanted = {"number": ("INT", "LONG1"), "name": ("GLOBAL",), "text": ("BINUNICODE",)}.get(kind)
        places = [i for i, step in enumerate(steps) if wanted is None or step[0].name.endswith(wanted)]
        if not places:
            continue
        place = rng.choice(places[1:-1] or places)
        if kind == "number":
            value = rng.choice(EXTREMES)
            content = value.to_bytes((value.bit_length() + 8) // 8, "little", signed=True)
            parts[place] = b"\x8a" + bytes([len(content)]) + content
        elif kind == "name":
            parts[place] = b"c" + rng.choice(NAMES).replace(" ", "\n").encode() + b"\n"
        elif kind == "text":
            content = rng.choice(TEXTS).encode()
            parts[place] = b"X" + struct.pack("<I", len(content)) + content
        elif kind == "drop":
            parts[place] = b""
        elif kind == "swap":
            parts[place] = parts[rng.choice(places)]
        else:
            parts[place] += rng.choice([b"]" * 5000, b"\x85" * 5000, b"}" * 500])
    return b"".join(parts)


def change_zip(data: bytes, rng: random.Random) -> bytes:
    """The pickle, a storage or the entries change, and the checksums with them."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(file, "w") as target:
        for name in source.namelist():
            content, chosen = source.read(name), rng.random() < 0.15
            if name.endswith("data.pkl"):
                content = change_pickle(content, rng) if rng.random() < 0.9 else content
            elif chosen:
                content = damage(content, rng) if content else b"x"
            if rng.random() < 0.02:
                name = rng.choice(["../../thesis.txt", "/etc/passwd", name.upper(), "archive/\x1b[2J", "x"])
            target.writestr(name, content, zipfile.ZIP_DEFLATED if rng.random() < 0.02 else zipfile.ZIP_STORED)
    return file.getvalue()


def change_legacy(data: bytes, rng: random.Random) -> bytes:
    """One of the pickles changes."""
    import pickletools

    stream, starts = io.BytesIO(data), []
    for _ in range(5):
        starts.append(stream.tell())
        for _step in pickletools.genops(stream):
            pass
    end, which = stream.tell(), rng.choice([3, 3, 3, 3, 4, 0, 2])
    bounds = [*starts, end]
    parts = [data[a:b] for a, b in itertools.pairwise(bounds)]
    parts[which] = change_pickle(parts[which], rng)
    return b"".join(parts) + (damage(data[end:], rng) if rng.random() < 0.2 else data[end:])


def change_safetensors(data: bytes, rng: random.Random) -> bytes:
    """A value of the head becomes another."""
    size = int.from_bytes(data[:8], "little")
    head = json.loads(data[8 : 8 + size])
    entry = head[rng.choice(list(head))]
    key = rng.choice(list(entry))
    values = [*EXTREMES, *TEXTS, [], {}, [2**40], [4, -1], [0, 2**62], "F64", "BOOL", "C64", "[" * 9999, "9" * 5000]
    if isinstance(entry[key], list) and rng.random() < 0.5:
        entry[key][rng.randrange(len(entry[key]))] = rng.choice(EXTREMES)
    else:
        entry[key] = rng.choice(values)
    if rng.random() < 0.2:
        head[rng.choice(TEXTS)] = rng.choice([*values, dict(entry)])
    content = json.dumps(head).encode()
    length = len(content) if rng.random() < 0.9 else rng.choice([0, 2**31, 2**63, len(data)])
    return length.to_bytes(8, "little") + content + data[8 + size :]


# A format more is an entry more: `command` says what a user would do with such a file.
FORMS: dict[str, Form] = {
    "zip": Form(".pth", write_torch, change_zip),
    "legacy": Form(".pth", lambda: write_torch(new=False), change_legacy),
    "safetensors": Form(".safetensors", write_safetensors, change_safetensors),
    "run": Form(
        ".pth", write_run, change_run, ("FILE",), program="fuzz.resumed_run:main", writes=True, files=600, share=0.8
    ),
}


def fuzzed(name: str, number: int, seed: int = 0) -> bytes:
    """The content of one file.

    Args:
        name (str): Its format, a key of :data:`FORMS`.
        number (int): Which.
        seed (int): Of the whole series.
    """
    rng, form = random.Random(f"{seed}.{name}.{number}"), FORMS[name]
    return (form.change if rng.random() < form.share else damage)(form.write(), rng)

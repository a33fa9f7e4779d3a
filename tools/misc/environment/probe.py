"""Run inside ``.venv``: says, as JSON, what is installed there and what is damaged.

    python probe.py requirements/constraints.txt ...

Reads metadata only, so it takes a fraction of a second.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import re
import sys
import sysconfig
from pathlib import Path
from typing import Any

try:
    from packaging.requirements import Requirement
except ImportError:  # an environment that holds nothing but pip yet
    from pip._vendor.packaging.requirements import Requirement


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def is_whole(distribution: importlib.metadata.Distribution) -> bool:
    """Whether the files that an import starts from are where the record says."""
    record = distribution.read_text("RECORD")
    if record is None:
        return False
    paths = (line.rsplit(",", 2)[0].strip('"') for line in record.splitlines())
    starts = (path for path in paths if re.fullmatch(r"[^/]+(/__init__)?\.py|([^/]+/){0,2}[^/]+\.so", path))
    return all(Path(str(distribution.locate_file(path))).exists() for path in starts)


def installed() -> dict[str, list[importlib.metadata.Distribution]]:
    """The distributions in this environment alone, by name; two of one name are a fault."""
    found: dict[str, list[importlib.metadata.Distribution]] = {}
    folders = list(dict.fromkeys([sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]))
    for distribution in importlib.metadata.distributions(path=folders):
        if distribution.metadata and distribution.metadata["Name"]:
            found.setdefault(canonical(distribution.metadata["Name"]), []).append(distribution)
    return found


def check(line: str, found: dict[str, list[importlib.metadata.Distribution]]) -> dict[str, Any] | None:
    """What is to be said about one pinned requirement; nothing where its marker rules it out."""
    requirement = Requirement(line)
    if requirement.marker is not None and not requirement.marker.evaluate():
        return None
    name = canonical(requirement.name)
    distributions = found.get(name, [])
    version = distributions[0].version if distributions else None
    fits = version is not None and requirement.specifier.contains(version, prereleases=True)
    whole = len(distributions) == 1 and is_whole(distributions[0])
    # pip cannot uninstall what has no record: such leftovers are removed before pip is called
    leftovers = [d for d in distributions if len(distributions) > 1 or d.read_text("RECORD") is None]
    return {
        "name": name,
        "pin": f"{requirement.name}{requirement.specifier}",
        "version": version,
        "ok": fits and whole,
        "leftovers": [str(d._path) for d in leftovers],  # type: ignore[attr-defined]
    }


def torch_build(purelib: str) -> dict[str, str | None]:
    """The full version of torch and its CUDA version, without importing it."""
    source = Path(purelib, "torch", "version.py")
    text = source.read_text(encoding="utf-8") if source.is_file() else ""
    version = re.search(r"^__version__ = '([^']+)'", text, re.MULTILINE)
    cuda = re.search(r"^cuda.* = '([^']+)'", text, re.MULTILINE)
    return {"version": version and version.group(1), "cuda": cuda and cuda.group(1)}


def origin_of(distribution: importlib.metadata.Distribution) -> dict[str, Any]:
    """Where pip says that it was installed from; empty where it does not say, or the note is damaged."""
    try:
        noted = json.loads(distribution.read_text("direct_url.json") or "{}")
    except ValueError:
        return {}
    return noted if isinstance(noted, dict) else {}


def main() -> None:
    found = installed()
    checks = []
    for path in map(Path, sys.argv[1:]):
        lines = path.read_text(encoding="utf-8").splitlines()
        answers = (check(line, found) for line in lines if line.strip() and not line.startswith("#"))
        checks += [answer | {"source": path.stem} for answer in answers if answer is not None]
    plugin = check("mmdist", found) or {}
    origin = origin_of(found["mmdist"][0]) if plugin["version"] else {}
    print(
        json.dumps(
            {
                "python": platform.python_version(),
                "prefix": sys.prefix,
                "tag": "cp{}{}".format(*sys.version_info[:2]),
                "platform": re.sub(r"[-.]", "_", sysconfig.get_platform()),
                "headers": Path(sysconfig.get_path("include"), "Python.h").exists(),
                "pins": checks,
                "torch": torch_build(sysconfig.get_path("platlib")),
                "plugin": plugin | {"origin": origin},
            }
        )
    )


if __name__ == "__main__":
    main()

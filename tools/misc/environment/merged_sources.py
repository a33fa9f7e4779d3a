"""mmcv's C++ sources, merged into a few files before they are compiled.

Each of mmcv's 80 small files includes PyTorch's headers, and to read those takes a compiler 8 seconds: seven eighths of
its time. Files that are included into one file read them once. Files that define the same name at file scope cannot be
in one file; neither can a macro that one leaves behind be seen by the next.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

SOURCES = Path("mmcv", "ops", "csrc", "pytorch")
BINDINGS = "pybind.cpp"
# What its headers, a line and a binding take on the machine where this was measured: only their ratio counts.
HEADERS_S, LINE_S, BINDING_S = 8.0, 0.005, 0.4

COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
MACRO = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)", re.MULTILINE)
UNDEFINED = re.compile(r"^[ \t]*#[ \t]*undef[ \t]+(\w+)", re.MULTILINE)
TYPE = re.compile(r"^(?:struct|class|enum(?: class)?|union)\s+(\w+)", re.MULTILINE)
FUNCTION = re.compile(
    r"^(?:static |inline |const |constexpr )*[A-Za-z_][\w:<>, ]*[ *&]+(\w+)\s*\([^;{}]*\)\s*\{",
    re.MULTILINE,
)
CONSTANT = re.compile(r"^(?:static|const|constexpr)\b[^({;]*?\b(\w+)(?:\[[^]]*\])?\s*=", re.MULTILINE)


@dataclass
class Unit:
    """Sources that are compiled as one file.

    Args:
        names: What they define at file scope.
        files: The sources, in the order in which they are included.
        seconds: About how long the compiler takes.
    """

    names: set[str] = field(default_factory=set)
    files: list[Path] = field(default_factory=list)
    seconds: float = HEADERS_S

    def add(self, path: Path, text: str, names: set[str]) -> None:
        self.files.append(path)
        self.names |= names
        self.seconds += LINE_S * text.count("\n") + BINDING_S * text.count("m.def(")


def defined_names(text: str) -> set[str]:
    """The functions, types and constants that a C++ source defines at file scope.

    Example:
        >>> sorted(defined_names('template <typename T>\\nstruct P {\\n};\\nstatic int f(int a) {\\n}\\n'))
        ['P', 'f']
    """
    text = COMMENT.sub("", text)
    bare = re.sub(r"^template\s*<[^>]*>\s*", "", text, flags=re.MULTILINE)
    return {name for pattern in (TYPE, FUNCTION, CONSTANT) for name in pattern.findall(bare)}


def left_macros(text: str) -> set[str]:
    """The macros that a source defines and does not undefine."""
    text = COMMENT.sub("", text)
    return set(MACRO.findall(text)) - set(UNDEFINED.findall(text))


def divide(paths: Iterable[Path]) -> list[Unit]:
    """Divide sources into as few units as their names allow; the one that takes longest comes first."""
    texts = {path: path.read_text(encoding="utf-8", errors="replace") for path in sorted(paths)}
    bindings = [path for path in texts if path.name == BINDINGS]
    leaving = [path for path in texts if left_macros(texts[path])]
    ordinary = [path for path in texts if path not in bindings and path not in leaving]
    units: list[Unit] = []
    closed: list[Unit] = []
    for path in [*ordinary, *leaving]:
        names = defined_names(texts[path])
        unit = next((unit for unit in units if not unit.names & names), None)
        if unit is None:
            unit = Unit()
            units.append(unit)
        unit.add(path, texts[path], names)
        if path in leaving:  # nothing may follow its macros
            units.remove(unit)
            closed.append(unit)
    for path in bindings:  # they take as long as all the rest
        unit = Unit()
        unit.add(path, texts[path], set())
        units.append(unit)
    return sorted([*units, *closed], key=lambda unit: -unit.seconds)


def merge_sources(folder: Path) -> dict[str, float]:
    """Merge the C++ sources of an unpacked mmcv, in place; CUDA's stay as they are.

    Args:
        folder: With mmcv's ``setup.py``.

    Returns:
        File name of each unit to the seconds that it takes, about.
    """
    root = folder / SOURCES
    expected = {}
    for number, unit in enumerate(divide([*root.glob("*.cpp"), *(root / "cpu").glob("*.cpp")])):
        lines = []
        for path in unit.files:
            hidden = path.with_suffix(".inc")  # where setup.py does not look for sources
            path.rename(hidden)
            lines.append(f'#include "{hidden.relative_to(root).as_posix()}"\n')
        target = root / f"unit_{number}.cpp"
        target.write_text("".join(lines), encoding="utf-8")
        expected[target.name] = unit.seconds
    return expected

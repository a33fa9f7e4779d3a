"""The modules of teacher and student as a table, side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mmdist.engine.modules.trace import ModuleTrace, Part, Shape

HEAD = ("type", "calls", "output", "stride")
MOST_LINES = 12
LEGEND = "calls: how often a forward hook fires in one pass (-: never). #1: record_idx=1. [1]: data_idx=1."


def stride(shape: Shape, input_shape: Shape) -> tuple[float, float] | None:
    """How many pixels of the input one position of a map stands for, vertically and horizontally.

    Args:
        shape (Shape): Of the output; a map has (N, C, H, W) with the N of the input.
        input_shape (Shape): (N, C, H, W) of the model's input.

    Returns:
        tuple[float, float] | None: None for what is no map. A whole number where the input was padded to fit it.

    Example:
        >>> stride((2, 8, 42, 4), (2, 3, 333, 28)), stride((2, 10), (2, 3, 32, 32))
        ((8, 8), None)
    """
    if len(shape) != 4 or len(input_shape) != 4 or shape[0] != input_shape[0] or 0 in shape:
        return None
    return _ratio(input_shape[2], shape[2]), _ratio(input_shape[3], shape[3])


def _ratio(whole: int, cells: int) -> float:
    exact = whole / cells
    power = 2 ** round(math.log2(exact)) if exact > 1 and cells > 1 else 1
    for candidate in (power, max(1, round(exact))):  # 28 pixels, 4 cells: three halvings, each rounded up
        if cells in (whole // candidate, math.ceil(whole / candidate)):
            return candidate
    return round(exact, 2)


def stride_text(found: tuple[float, float] | None) -> str:
    """A stride for people.

    Example:
        >>> stride_text((8, 8)), stride_text((8, 4)), stride_text(None)
        ('8', '8x4', '')
    """
    if found is None:
        return ""
    down, across = (f"{value:g}" for value in found)
    return down if down == across else f"{down}x{across}"


def outputs_of(module: ModuleTrace) -> list[tuple[str, Part]]:
    """What a module returns, each part once, labelled as a loss mapping would ask for it.

    Calls that all return the same shapes are given as one.

    Example:
        >>> outputs_of(ModuleTrace('a', 'A', 2, 0, [[((), (1, 4))], [((), (1, 2))]]))
        [('#0', ((), (1, 4))), ('#1', ((), (1, 2)))]
    """
    alike = all(call == module.outputs[0] for call in module.outputs)
    found = []
    for number, call in enumerate(module.outputs[:1] if alike else module.outputs):
        for index, shape in call:
            label = "" if alike else f"#{number}"
            found.append((label + "".join(f"[{step}]" for step in index), (index, shape)))
    return found


def table(sides: dict[str, dict[str, ModuleTrace]], types: dict[str, str], input_shape: Shape) -> str:
    """Rows for all modules, columns for each model.

    Args:
        sides (dict[str, dict[str, ModuleTrace]]): By model (``student``, ...), then by module name.
        types (dict[str, str]): Class of each model.
        input_shape (Shape): (N, C, H, W) of what the models were given.

    Returns:
        str: Lines of text.
    """
    rows = [["module", *(text for _ in sides for text in HEAD), "remark"]]
    top = ["", *(text for side in sides for text in (f"{side}: {types[side]}", "", "", "")), ""]
    for name in merged([list(modules) for modules in sides.values()]):
        cells = [_cells(modules.get(name), input_shape) for modules in sides.values()]
        remarks = {side: modules[name].remark for side, modules in sides.items() if name in modules}
        for line in range(max(len(cell) for cell in cells)):
            first = line == 0
            row = [name if first else ""]
            for cell in cells:
                row += cell[line] if line < len(cell) else [""] * len(HEAD)
            rows.append([*row, _remark(remarks) if first else ""])
    return "\n".join(_aligned(top, rows))


def merged(lists: Sequence[list[str]]) -> list[str]:
    """All names, in an order that keeps each list's own as far as they agree.

    Example:
        >>> merged([['a', 'c'], ['a', 'b', 'c']])
        ['a', 'b', 'c']
    """
    names = list(lists[0])
    known = set(names)
    for others in lists[1:]:
        place = 0
        for name in others:
            if name in known:
                place = names.index(name) + 1
            else:
                names.insert(place, name)
                known.add(name)
                place += 1
    return names


def _cells(module: ModuleTrace | None, input_shape: Shape) -> list[list[str]]:
    if module is None:
        return [[""] * len(HEAD)]
    found = outputs_of(module)
    lines = [[f"{label} {shape}".strip(), stride_text(stride(shape, input_shape))] for label, (_, shape) in found]
    if len(lines) > MOST_LINES:
        lines[MOST_LINES:] = [[f"and {len(lines) - MOST_LINES} more", ""]]
    lines = lines or [["", ""]]
    calls = str(module.calls) if module.calls else "-"
    return [[module.type, calls, *lines[0]], *(["", "", *line] for line in lines[1:])]


def _remark(remarks: dict[str, str]) -> str:
    if len(set(remarks.values())) == 1:
        return next(iter(remarks.values()))
    return "; ".join(f"{side}: {remark}" for side, remark in remarks.items() if remark)


def _aligned(top: list[str], rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for start in range(1, len(top) - 1, len(HEAD)):  # the model's name stands over its four columns
        room = sum(widths[start : start + len(HEAD)]) + 2 * (len(HEAD) - 1)
        widths[start + 2] += max(0, len(top[start]) - room)
    heading = " " * widths[0]
    for start in range(1, len(top) - 1, len(HEAD)):
        room = sum(widths[start : start + len(HEAD)]) + 2 * (len(HEAD) - 1)
        heading += "  " + top[start].ljust(room)
    lines = [heading.rstrip()]
    for row in rows:
        lines.append("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    return lines

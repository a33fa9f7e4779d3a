"""``mmdist doctor``: can what is installed here work, and which fixes are in force?"""

from __future__ import annotations

import importlib
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from mmdist import compat
from mmdist.compat import versions
from mmdist.compat.fix import FixStatus
from mmdist.compat.versions import PYTHON, TABLE, Supported


@dataclass(frozen=True)
class Verdict:
    """What the doctor says about one package.

    Args:
        package (str): Its name.
        installed (str): Its version, or ``-``.
        window (str): The versions that are supported.
        text (str): The verdict in words.
        problem (str): What cannot work, and why; empty: nothing.
        remedy (str): The command that puts it right.
    """

    package: str
    installed: str
    window: str
    text: str
    problem: str = ""
    remedy: str = ""


def run() -> int:
    """Print the table of packages and the table of fixes.

    Returns:
        int: 1 if something installed here cannot work, else 0.
    """
    verdicts = [_judge_python(), *(judge(row) for row in TABLE)]
    operators = _judge_operators()
    if operators is not None:
        verdicts.append(operators)
    print(_table(("package", "installed", "supported", "verdict"), [_cells(verdict) for verdict in verdicts]))
    print()
    print(_table(("", "fix", "state", "why"), [_fix_cells(fix) for fix in compat.status()]))
    problems = [verdict for verdict in verdicts if verdict.problem]
    print()
    print(f"relation losses on the CPU: {_kernels()}")
    print(f"relation losses on a GPU: {_gpu_kernels()}")
    for verdict in problems:
        print(f"error: {verdict.problem}\n       {verdict.remedy}")
    if not problems:
        print("Everything that is installed works together.")
    return 1 if problems else 0


def judge(row: Supported) -> Verdict:
    """Compare one package with the table.

    Args:
        row (Supported): The package's row.

    Returns:
        Verdict: What to print about it.
    """
    version = versions.installed(*row.distributions)
    wanted = not row.needed_by or versions.installed(*versions.supported(row.needed_by).distributions) is not None
    if version is None:
        return _judge_missing(row, wanted)
    too_old = bool(row.minimum) and not versions.at_least(version, row.minimum)
    too_new = bool(row.below) and versions.at_least(version, row.below)
    if wanted and (too_old or too_new):
        why = f": {row.reason}" if row.reason and too_new else ""
        problem = f"{row.package} {version} cannot work, supported is {row.window}{why}"
        return Verdict(row.package, version, row.window, "cannot work", problem, row.remedy)
    return Verdict(row.package, version, row.window, _tested(version, row.tested))


def _judge_missing(row: Supported, wanted: bool) -> Verdict:
    if row.purpose:
        return Verdict(row.package, "-", row.window, f"optional; install it {row.purpose}")
    # Some packages come without metadata, as in a system's own Python.
    if not wanted or find_spec(row.module) is not None:
        return Verdict(row.package, "-", row.window, "ok" if wanted else f"only needed with {row.needed_by}")
    why = f" ({row.reason})" if row.reason else ""
    user = row.needed_by or "mmdist"
    return Verdict(
        row.package, "-", row.window, "missing", f"{user} needs {row.package}, which is missing{why}", row.remedy
    )


def _judge_python() -> Verdict:
    version = platform.python_version()
    if versions.at_least(version, PYTHON.minimum):
        return Verdict("python", version, PYTHON.window, _tested(version, PYTHON.tested))
    problem = f"python {version} cannot work, supported is {PYTHON.window}"
    return Verdict("python", version, PYTHON.window, "cannot work", problem, f"use Python {PYTHON.tested}")


def _judge_operators() -> Verdict | None:
    """Whether mmcv's compiled operators load beside this torch; None where there is no mmcv."""
    mmcv = versions.supported("mmcv")
    version = versions.installed(*mmcv.distributions)
    if version is None:
        return None
    rebuild = mmcv.remedy.replace("pip install", "pip install --force-reinstall --no-cache-dir")
    try:
        importlib.import_module("mmcv._ext")
    except ModuleNotFoundError as error:
        if error.name != "mmcv._ext":
            return _broken("mmcv cannot be imported", error, f"pip install {error.name}")
        lacking = "mmcv was installed without its operators, which detectors and segmenters need"
        return _broken(lacking, None, f"pip uninstall mmcv-lite, then {rebuild}")
    except ImportError as error:
        return _broken("mmcv's operators do not load beside this torch; rebuild mmcv", error, rebuild)
    # A mmcv that is broken in another way is news for the user, not a reason to fall over.
    except Exception as error:
        return _broken("mmcv cannot be imported", error, rebuild)
    return Verdict("mmcv operators", version, "", "ok")


def _kernels() -> str:
    if find_spec("torch") is None:
        return "-"
    from mmdist.functional import _cpu_build

    reason = _cpu_build.kernels().reason
    return f"PyTorch operations, slower, same results ({reason})" if reason else "C kernels"


def _gpu_kernels() -> str:
    if find_spec("torch") is None:
        return "-"
    from mmdist.functional import _triton_check

    return _triton_check.describe()


def _broken(problem: str, error: Exception | None, remedy: str) -> Verdict:
    reason = f" ({str(error).splitlines()[0]})" if error is not None and str(error) else ""
    return Verdict("mmcv operators", "-", "", "cannot work", problem + reason, remedy)


def _tested(version: str, tested: str) -> str:
    want = versions.parse(tested)
    same = versions.parse(version)[: len(want)] == want
    return "ok" if same or not tested else f"should work; the tests ran with {tested}"


def _cells(verdict: Verdict) -> tuple[str, ...]:
    return verdict.package, verdict.installed, verdict.window, verdict.text


def _fix_cells(fix: FixStatus) -> tuple[str, ...]:
    if not fix.needed:
        return str(fix.number), fix.name, "not needed", f"only with {fix.window}"
    state = "active" if fix.active else "when used"
    return str(fix.number), fix.name, state, fix.reason if fix.active else f"{fix.when}: {fix.reason}"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [tuple(header), *(tuple(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    lines.insert(1, tuple("-" * width for width in widths))
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines)

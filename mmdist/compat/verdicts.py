"""What ``mmdist doctor`` thinks of each package, by its version and by its import."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from importlib.util import find_spec

from mmdist.compat import versions
from mmdist.compat.import_trials import Trial
from mmdist.compat.versions import PYTHON, TABLE, Supported

OPERATORS = "mmcv._ext"
_DISTRIBUTIONS = {"PIL": "pillow", "yaml": "pyyaml", "skimage": "scikit-image", "google": "protobuf"}


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


def judge_python() -> Verdict:
    """Compare this Python with what is supported."""
    version = platform.python_version()
    if versions.at_least(version, PYTHON.minimum):
        return Verdict("python", version, PYTHON.window, _tested(version, PYTHON.tested))
    problem = f"python {version} cannot work, supported is {PYTHON.window}"
    return Verdict("python", version, PYTHON.window, "cannot work", problem, f"use Python {PYTHON.tested}")


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


def judge_import(trial: Trial) -> Verdict:
    """What became of an import: of a library, or of mmcv's compiled operators.

    Args:
        trial (Trial): The import.

    Returns:
        Verdict: What to print about it.
    """
    if trial.library == OPERATORS:
        return _judge_operators(trial)
    name = f"import {trial.library}"
    if not trial.module:
        return Verdict(name, "", "", "ok")
    return Verdict(name, "", "", "fails", f"import {trial.module} fails: {trial.reason}", _remedy(trial))


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


def _judge_operators(trial: Trial) -> Verdict:
    """Whether mmcv's compiled operators load beside this torch."""
    mmcv = versions.supported("mmcv")
    rebuild = mmcv.remedy.replace("pip install", "pip install --force-reinstall --no-cache-dir")
    if not trial.module:
        return Verdict("mmcv operators", versions.installed(*mmcv.distributions) or "-", "", "ok")
    if trial.missing == OPERATORS:
        problem = "mmcv was installed without its operators, which detectors and segmenters need"
        remedy = f"pip uninstall mmcv-lite, then {rebuild}"
    elif trial.missing:
        problem, remedy = f"mmcv cannot be imported ({trial.reason})", _remedy(trial)
    elif trial.reason.startswith("ImportError"):
        problem, remedy = f"mmcv's operators do not load beside this torch; rebuild mmcv ({trial.reason})", rebuild
    # A mmcv that is broken in another way is news for the user, not a reason to fall over.
    else:
        problem, remedy = f"mmcv cannot be imported ({trial.reason})", rebuild
    return Verdict("mmcv operators", "-", "", "cannot work", problem, remedy)


def _remedy(trial: Trial) -> str:
    known = {row.module: row for row in TABLE}
    shown = f"{trial.command} shows all of it"
    if trial.missing:
        root = trial.missing.split(".")[0]
        if find_spec(root) is not None:
            return f"pip install --force-reinstall --no-deps {_distribution(root)}; it lacks {trial.missing}"
        return known[root].remedy if root in known else f"pip install {_distribution(root)}"
    if "libGL.so" in trial.reason:
        return f"pip uninstall opencv-python opencv-contrib-python, then {known['cv2'].remedy}"
    if "numpy.dtype size changed" in trial.reason or "numpy.core.multiarray failed" in trial.reason:
        return f"a package was built for another numpy: {known['numpy'].remedy}; {shown}"
    if trial.crashed or not trial.origin:
        return shown
    if trial.origin in known:
        row = known[trial.origin]
        again = row.remedy
        if versions.installed(*row.distributions) == row.tested and "--no-deps" not in again:
            again = again.replace("pip install", "pip install --force-reinstall --no-deps")
        return f"the error comes from {row.package}: {again}; {shown}"
    package = _distribution(trial.origin)
    version = versions.installed(package)
    installed = f"{package} {version}" if version else package
    return f"the error comes from {installed}: install another version, or pip uninstall {package}; {shown}"


def _distribution(module: str) -> str:
    """What pip calls the package that holds a module, as well as can be known."""
    named = {row.module: row.distributions[0] for row in TABLE} | _DISTRIBUTIONS
    return next(iter(packages_distributions().get(module, ())), named.get(module, module))


def _tested(version: str, tested: str) -> str:
    want = versions.parse(tested)
    same = versions.parse(version)[: len(want)] == want
    return "ok" if same or not tested else f"should work; the tests ran with {tested}"

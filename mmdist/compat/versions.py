"""The versions mmdist works with, read by the fixes, by error messages and by ``mmdist doctor``."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from importlib import metadata

Version = tuple[int, ...]


@dataclass(frozen=True)
class Supported:
    """One package of the stack.

    Args:
        package (str): The name people use.
        distributions (tuple[str, ...]): What pip calls it; the first one is the one to install.
        module (str): What Python imports.
        minimum (str): The oldest version that can work; empty: any.
        below (str): The first version that cannot work; empty: none is known.
        tested (str): The version all tests ran with.
        purpose (str): What an optional package is for; empty: mmdist needs it.
        needed_by (str): The package that cannot do without this one; where that is missing, this may be too.
        reason (str): Why ``below`` is the limit, or what breaks without the package.
        options (str): What pip needs besides the name to install it right.
    """

    package: str
    distributions: tuple[str, ...]
    module: str
    minimum: str = ""
    below: str = ""
    tested: str = ""
    purpose: str = ""
    needed_by: str = ""
    reason: str = ""
    options: str = ""

    @property
    def window(self) -> str:
        """The supported versions in pip's notation, such as ``>=2.0.0,<2.2.0``."""
        limits = [f">={self.minimum}" if self.minimum else "", f"<{self.below}" if self.below else ""]
        return ",".join(limit for limit in limits if limit) or "any"

    @property
    def remedy(self) -> str:
        """The command that installs the tested version."""
        version = f"=={self.tested}" if self.tested else ""
        return " ".join(part for part in ("pip install", self.options, f"{self.distributions[0]}{version}") if part)


PYTHON = Supported("python", ("python",), "sys", "3.10", tested="3.11")

TABLE: tuple[Supported, ...] = (
    Supported("torch", ("torch",), "torch", "2.1.0", tested="2.13.0"),
    Supported("numpy", ("numpy",), "numpy", "1.22.0", tested="1.26.4", needed_by="mmengine"),
    Supported(
        "mmengine",
        ("mmengine", "mmengine-lite"),
        "mmengine",
        "0.8.3",
        "1.0.0",
        "0.10.7",
        purpose="to train (without it, mmdist.functional alone works)",
        reason="the task libraries refuse mmengine 1.0",
    ),
    Supported(
        "mmcv",
        ("mmcv", "mmcv-full", "mmcv-lite"),
        "mmcv",
        "2.0.0",
        "2.2.0",
        "2.1.0",
        purpose="to train with a task library",
        reason="mmrazor refuses mmcv above 2.1.0, mmdet and mmsegmentation refuse 2.2",
        options="--no-build-isolation --no-deps",
    ),
    Supported("mmrazor", ("mmrazor",), "mmrazor", "1.0.0", "2.0.0", "1.0.0", purpose="to distil in training"),
    Supported("mmdet", ("mmdet",), "mmdet", "3.0.0", "4.0.0", "3.3.0", purpose="to train detectors"),
    Supported("mmsegmentation", ("mmsegmentation",), "mmseg", "1.0.0", "2.0.0", "1.2.2", purpose="to train segmenters"),
    Supported("mmpretrain", ("mmpretrain",), "mmpretrain", "1.0.0", "2.0.0", "1.2.0", purpose="to train classifiers"),
    Supported(
        "setuptools",
        ("setuptools",),
        "pkg_resources",
        below="81",
        tested="80.10.2",
        needed_by="mmengine",
        reason="configs with a base like 'mmdet::...' need pkg_resources, which setuptools 81 dropped",
    ),
    Supported(
        "opencv",
        ("opencv-python-headless", "opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless"),
        "cv2",
        "3.0",
        tested="4.11.0.86",
        needed_by="mmengine",
        reason="mmengine reads images with it",
    ),
    Supported("joblib", ("joblib",), "joblib", needed_by="mmrazor", reason="mmrazor imports it, undeclared"),
    Supported(
        "scikit-learn", ("scikit-learn",), "sklearn", needed_by="mmrazor", reason="mmrazor imports it, undeclared"
    ),
    Supported("ftfy", ("ftfy",), "ftfy", needed_by="mmsegmentation", reason="mmseg imports it, undeclared"),
    Supported("regex", ("regex",), "regex", needed_by="mmsegmentation", reason="mmseg imports it, undeclared"),
    Supported("torchvision", ("torchvision",), "torchvision", tested="0.28.0", purpose="for its models and weights"),
    Supported("triton", ("triton",), "triton", tested="3.9.0", purpose="for the fast kernels on a GPU"),
)


def parse(version: str) -> Version:
    """The release numbers of a version, without local or pre-release parts.

    Example:
        >>> parse('2.13.0+cpu'), parse('2.0.0rc4') < parse('2.1')
        ((2, 13, 0), True)
    """
    release = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in release.group().split(".")) if release else ()


def at_least(version: str | None, limit: str) -> bool:
    """Whether ``version`` is installed and is ``limit`` or newer (``2.1`` counts as ``2.1.0``)."""
    if version is None:
        return False
    have, want = parse(version), parse(limit)
    width = max(len(have), len(want))
    return have + (0,) * (width - len(have)) >= want + (0,) * (width - len(want))


def installed(*distributions: str) -> str | None:
    """The version of the first of these distributions that is installed, without importing it."""
    for name in distributions:
        # What runs counts, not what the metadata says: the two differ in source trees.
        loaded = getattr(sys.modules.get(name.replace("-", "_")), "__version__", None)
        if isinstance(loaded, str):
            return loaded
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def supported(package: str) -> Supported:
    """The row of ``package`` in the table.

    Raises:
        KeyError: the table has no such package.
    """
    for row in TABLE:
        if row.package == package:
            return row
    raise KeyError(package)

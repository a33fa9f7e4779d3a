"""What a virtual environment holds, as far as it can be told without importing anything."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from environment.mmcv_wheel import wheel_key
from environment.shell import clean_environment


class State:
    """``.venv`` in a checkout, as it is.

    Args:
        project: The checkout.
    """

    def __init__(self, project: Path) -> None:
        self.project = project
        self.venv = project / ".venv"
        self.python = self.venv / "bin" / "python"
        self.stamp_file = self.venv / "mmdist-env.json"
        self.constraints = project / "requirements" / "constraints.txt"
        self.probe: dict[str, Any] = {}

    def look(self) -> bool:
        """Refresh ``self.probe``; False where the environment cannot answer."""
        command = [self.python, "-I", Path(__file__).with_name("probe.py"), self.constraints]
        command.append(self.constraints.with_name("cpu.txt"))
        try:
            answer = subprocess.run(command, capture_output=True, env=clean_environment(), check=True)
            self.probe = json.loads(answer.stdout)
            # without pyvenv.cfg it works outside .venv, and what pip does would be done there
            if not os.path.samefile(self.probe["prefix"], self.venv):
                self.probe = {}
        except (OSError, subprocess.CalledProcessError, ValueError):
            self.probe = {}
        return bool(self.probe)

    def pin(self, name: str) -> dict[str, Any]:
        """What the probe says about one pinned package."""
        return next(entry for entry in self.probe["pins"] if entry["name"] == name)

    def label(self, name: str) -> str:
        return self.pin(name)["pin"].replace("==", " ")

    def key_of_mmcv(self, kind: str) -> str:
        """The key of an mmcv that fits this environment's Python and torch."""
        return wheel_key(self.probe, kind)

    def stamp(self) -> dict[str, str]:
        """What is noted of the environment: ``mmcv``, its key, and after a complete set-up ``inputs``."""
        try:
            noted = json.loads(self.stamp_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return {key: text for key, text in noted.items() if isinstance(text, str)} if isinstance(noted, dict) else {}

    def write_stamp(self, stamp: dict[str, str]) -> None:
        """Take note, whole or not at all."""
        temporary = self.stamp_file.with_suffix(".tmp")
        temporary.write_text(json.dumps(stamp), encoding="utf-8")
        temporary.replace(self.stamp_file)

    def inputs(self) -> str:
        """A hash of all that decides what the environment is."""
        here = Path(__file__).parent
        files = [*here.glob("*.py"), *self.constraints.parent.glob("*.txt"), self.project / "setup.py"]
        digest = hashlib.sha256(f"{self.probe['python']} {self.probe['torch']['version']}".encode())
        for path in sorted([*files, self.project / "pyproject.toml", self.project / "mmdist" / "version.py"]):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
        return digest.hexdigest()

    def read_pins(self) -> dict[str, str]:
        """Name to pin, for the pins that hold everywhere."""
        lines = self.constraints.read_text(encoding="utf-8").splitlines()
        return {line.split("==")[0]: line for line in lines if "==" in line and ";" not in line}

    def python_version(self) -> str | None:
        """Of the environment's interpreter; None where there is none, or where it works outside the environment."""
        code = (
            "import os, platform, sys; "
            "print(platform.python_version() if os.path.samefile(sys.prefix, sys.argv[1]) else '')"
        )
        try:
            answer = subprocess.run(
                [self.python, "-I", "-c", code, self.venv], capture_output=True, text=True, check=True
            )
            return answer.stdout.strip() or None
        except (OSError, subprocess.CalledProcessError):
            return None

    def runs(self, *arguments: str | Path) -> bool:
        """Whether the environment's interpreter ends a command with 0."""
        return subprocess.run([self.python, "-I", *arguments], capture_output=True).returncode == 0

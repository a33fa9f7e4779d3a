"""The steps that complete a virtual environment; each does only what is not done yet."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Any

from environment.cache import exclusive, private_folder
from environment.cuda import Operators, asked_for, choose_operators, has_gpu
from environment.failure import SetupFailure
from environment.machine import count_jobs, require_compiler, require_space
from environment.mmcv_wheel import is_cached, obtain_wheel
from environment.shell import Steps, run
from environment.state import State

BUILD_TOOLS = ("pip", "setuptools", "wheel", "ninja")
OPENMMLAB = ("mmengine", "mmdet", "mmsegmentation", "mmpretrain", "mmrazor", "openmim")
# torch and mmcv have steps of their own, and no other step ever replaces them
OWN_STEP = ("torch", "mmcv", *BUILD_TOOLS, *OPENMMLAB)
SUPPORTED = ("3.10", "3.11", "3.12")
FULL_GIB, PATCH_GIB = 4.0, 0.5
CHECK = Path(__file__).with_name("check_operators.py")
FOUND = "found"  # the kind of operators of an mmcv that was not compiled here


class Environment(State):
    """``.venv`` in a checkout, as it should be.

    Args:
        project: The checkout.
        steps: Prints what is done.
        asked: The interpreter that the user named, as it was named; empty: none was.
    """

    def __init__(self, project: Path, steps: Steps, asked: str = "") -> None:
        super().__init__(project)
        self.steps, self.asked = steps, asked
        self.mmcv = ""
        self.logs = project / ".cache" / "setup"
        self.remove = f"rm -r {shlex.quote(str(self.venv))}"

    def set_up(self) -> None:
        """Run every step; what is in place already is left alone.

        Raises:
            SetupFailure: A step failed; the message says why and what to do.
        """
        waiting = "another set-up of this checkout is running, waiting for it\n"
        with exclusive(self.logs / "lock", lambda: self.steps.write(waiting)) as held:
            if not held:
                self.steps.write("no lock can be held here: run no other set-up of this checkout at the same time\n")
            step = self.steps.step
            step(f"Python {platform.python_version()}, disk, compiler", self.check_machine)
            step(".venv", self.make_venv)
            step(", ".join(BUILD_TOOLS), lambda: self.install("build tools", BUILD_TOOLS))
            step(self.label("torch"), self.install_torch)
            step("pinned packages", self.install_packages)
            step(self.label("mmcv"), self.install_mmcv)
            step(", ".join(OPENMMLAB), lambda: self.install("OpenMMLab", OPENMMLAB))
            step("mmdist, editable", self.install_plugin)
            step("imports", self.check_imports)
        if self.steps.changed:
            self.steps.write(f"{self.venv.name} is ready: {self.steps.summary()}\n")

    # Each step returns whether there was anything to do.

    def check_machine(self) -> bool:
        count_jobs()
        asked_for(os.environ)
        tag, headers = "cp{}{}".format(*sys.version_info[:2]), Path(sysconfig.get_path("include"), "Python.h").exists()
        has_torch = has_mmcv = False
        if self.python.exists() and self.look():
            tag, headers = self.probe["tag"], self.probe["headers"]
            has_torch, has_mmcv = self.pin("torch")["ok"], self.pin("mmcv")["ok"]
        if not has_torch:
            require_space(self.venv, FULL_GIB, "the environment")
        elif not all(entry["ok"] for entry in self.probe["pins"]):
            require_space(self.venv, PATCH_GIB, "the environment")
        if not has_mmcv:
            private_folder("wheels")
            pins = self.read_pins()
            if not is_cached(tag, pins["torch"], pins["mmcv"]):
                require_compiler(headers, f"python3.{tag[3:]}")
        return False

    def make_venv(self) -> bool:
        if self.probe or self.look():
            self.refuse_other_python(self.probe["python"])
            if self.pin("pip")["ok"] or self.runs("-m", "pip", "--version"):
                return False
            self.restore_pip()
        else:
            version = self.python_version()
            if os.path.lexists(self.venv) and not self.venv.is_dir():  # a file, or a link to nowhere
                raise self.damaged()
            if version is None:  # there is none, or a part of it is gone: the packages in it are kept
                for path in self.venv.glob("bin/python*"):
                    if not path.exists():  # a link to the interpreter that is gone
                        path.unlink()
                run([sys.executable, "-m", "venv", self.venv], self.logs / "venv.log", ".venv")
            else:
                self.refuse_other_python(version)
                self.restore_pip()
        if not self.look():
            raise self.damaged()
        return True

    def damaged(self) -> SetupFailure:
        return SetupFailure(f".venv is damaged: remove it ({self.remove}) and run again")

    def restore_pip(self) -> None:
        """Bring pip back; what is left of its metadata would say that it is there."""
        for path in self.venv.glob("lib/python*/site-packages/pip-*.dist-info"):
            shutil.rmtree(path)
        run([self.python, "-I", "-m", "ensurepip", "--upgrade"], self.logs / "venv.log", ".venv")

    def refuse_other_python(self, version: str) -> None:
        if version.rpartition(".")[0] not in SUPPORTED:
            allowed = ", ".join(SUPPORTED)
            raise SetupFailure(f".venv holds Python {version}, not one of {allowed}: {self.remove} and run again")
        if self.asked and version.split(".")[:2] != platform.python_version().split(".")[:2]:
            raise SetupFailure(
                f".venv holds Python {version}, and PYTHON={self.asked} is {platform.python_version()}: "
                f"leave PYTHON out to keep it, or {self.remove} and run again"
            )

    def pip_install(self, what: str, *arguments: str | Path) -> None:
        """``pip install`` with the pins; the log is named after what is installed."""
        log = self.logs / f"{what.replace(' ', '_').lower()}.log"
        # --no-compile: Python compiles at an import what is used, which is a small part
        flags = ["-m", "pip", "install", "--no-input", "--no-compile", "--no-warn-script-location", "--retries", "2"]
        downloads = run([self.python, "-I", *flags, "-c", self.constraints, *arguments], log, what)
        if "--no-index" not in arguments:
            self.steps.add_download(downloads)
        self.look()

    def install(self, what: str, names: tuple[str, ...]) -> bool:
        """Put packages at their pins, without touching any other."""
        wrong = [entry for entry in self.probe["pins"] if entry["name"] in names and not entry["ok"]]
        if wrong:
            self.remove_leftovers(wrong)
            self.pip_install(what, "--no-deps", "--force-reinstall", *(entry["pin"] for entry in wrong))
            self.verify(wrong)
        return bool(wrong)

    def remove_leftovers(self, entries: list[dict[str, Any]]) -> None:
        """Remove the metadata that a killed pip left, which pip itself could not uninstall."""
        for path in (Path(path) for entry in entries for path in entry["leftovers"]):
            if self.venv in path.parents:
                shutil.rmtree(path)

    def verify(self, entries: list[dict[str, Any]]) -> None:
        for name in (entry["name"] for entry in entries):
            if not self.pin(name)["ok"]:
                raise SetupFailure(f"{self.label(name)} is still damaged: {self.remove} and run again")

    def install_torch(self) -> bool:
        torch = self.pin("torch")
        if torch["ok"]:
            return False
        self.remove_leftovers([torch])
        # with what it declares: a CUDA build brings a dozen libraries that are not pinned here
        repair = ["--force-reinstall", "--no-deps"] if f"torch=={torch['version']}".startswith(torch["pin"]) else []
        self.pip_install(self.label("torch"), *repair, torch["pin"])
        self.verify([torch])
        return True

    def install_packages(self) -> bool:
        is_cpu = self.probe["torch"]["cuda"] is None
        pins = [entry for entry in self.probe["pins"] if is_cpu or entry["source"] != "cpu"]
        return self.install("pinned packages", tuple(e["name"] for e in pins if e["name"] not in OWN_STEP))

    def install_mmcv(self) -> bool:
        mmcv, known = self.pin("mmcv"), self.stamp().get("mmcv", "")
        asked = choose_operators(self.probe) if any(asked_for(os.environ)) else None
        if mmcv["ok"] and self.fits(known, asked):
            self.mmcv = known or self.key_of_mmcv(FOUND)
            self.steps.write(self.note_on_mmcv(asked))
            return False
        write, on_download = self.steps.write, self.steps.add_download
        wheel = obtain_wheel(self.python, self.probe, mmcv["pin"], self.logs, write=write, on_download=on_download)
        self.mmcv = wheel.parent.name
        self.remove_leftovers([mmcv])
        if known:
            self.write_stamp({})
        self.pip_install(self.label("mmcv"), "--no-deps", "--no-index", "--force-reinstall", wheel)
        self.verify([mmcv])
        self.write_stamp({"mmcv": self.mmcv})  # now: after an interruption nobody could tell any more
        return True

    def note_on_mmcv(self, asked: Operators | None) -> str:
        """What to say of an mmcv that stays."""
        if asked is not None and asked.note:
            is_found = self.mmcv == self.key_of_mmcv(FOUND)
            would = " kept as it is; compiled here, its operators would be" if is_found else " operators"
            return f"{would} {asked.note} ..."
        is_lesser = self.mmcv == self.key_of_mmcv("cpu") and self.probe["torch"]["cuda"] and has_gpu(os.environ)
        if asked is None and is_lesser:
            return " operators for the CPU alone (FORCE_CUDA=1 make env: for the GPUs here) ..."
        return ""

    def fits(self, known: str, asked: Operators | None) -> bool:
        """Whether the mmcv that is installed can stay.

        An mmcv for another build of torch may load and then compute nonsense. Which devices its operators are for
        counts only where somebody asks: a machine without a GPU may share its environment with one that has some.

        Args:
            known: The key noted when it was installed; empty: somebody else installed it.
            asked: The operators that the user asks for.
        """
        # a GPU that is named and cannot be compiled for is no reason to compile for the CPU once more
        if asked is not None and (asked.archs or asked_for(os.environ)[0]):
            return known == self.key_of_mmcv(asked.kind)
        if not known:
            return self.runs(CHECK)
        if known == self.key_of_mmcv(FOUND):
            return True
        return known.startswith(self.key_of_mmcv(""))

    def install_plugin(self) -> bool:
        plugin = self.probe["plugin"]
        origin = plugin["origin"]
        in_place = plugin["ok"] and origin.get("url") == self.project.as_uri()
        links = all(
            (self.project / "mmdist" / ".mim" / name).exists() for name in ("configs", "tools", "model-index.yml")
        )
        script = (self.python.parent / "mmdist").exists()
        if in_place and links and script and self.stamp().get("inputs") == self.inputs():
            return False
        self.remove_leftovers([plugin])
        self.pip_install("mmdist", "--no-deps", "--no-index", "--no-build-isolation", "-e", self.project)
        return True

    def check_imports(self) -> bool:
        stamp = {"inputs": self.inputs(), "mmcv": self.mmcv}
        if not self.steps.changed and self.stamp() == stamp:
            return False
        run([self.python, "-I", CHECK, "mmengine", "mmdist"], self.logs / "imports.log", "imports")
        self.write_stamp(stamp)
        return True

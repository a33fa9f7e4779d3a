#!/usr/bin/env python3
"""A slurm cluster of two nodes on this machine, for tests: up, down, status. `--help` lists the options.

    eval "$(tools/misc/slurm_cluster.py up)"    # sets SLURM_CONF; srun, sbatch and the others find the cluster by it
    srun -N2 -n2 hostname
    tools/misc/slurm_cluster.py down

Two slurmd with ports of their own play the nodes n1 and n2. Everything is in one folder, munge's key and socket too, so
a cluster that the machine belongs to is left alone. It needs Debian's packages slurm-wlm and munge, and Python alone.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

PACKAGES = ("slurm-wlm", "munge")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sinfo", "scancel")
NODES = ("n1", "n2")
INTERRUPTS = (signal.SIGINT, signal.SIGTERM)
STARTING_S, ENDING_S, INSTALLING_S = 60, 15, 600
# Codes of sysexits.h: a caller can tell a machine without slurm from a cluster that does not start.
FAILED, UNAVAILABLE = 1, 69

CONF = """\
ClusterName=mmdist
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={state}/munge.socket
CredType=cred/munge
SlurmctldPort={ports[0]}
SlurmctldPidFile={state}/slurmctld.pid
StateSaveLocation={state}/slurmctld
SlurmdPidFile={state}/%n/slurmd.pid
SlurmdSpoolDir={state}/%n
MailProg=/bin/true
MpiDefault=none
# Without cgroups: containers often have none.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
# Processors and GPUs that the machine does not have: jobs written for a cluster are placed, several at once.
SlurmdParameters=config_overrides
ReturnToService=2
GresTypes=gpu
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=64 Gres=gpu:8
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=64 Gres=gpu:8
PartitionName=gpu Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""


class ClusterError(Exception):
    """What keeps the cluster from starting, with its remedy; ends with this code."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code


def default_state() -> Path:
    """A folder for each user and checkout, with a short name: that of a socket holds about 100 characters."""
    checkout = zlib.crc32(str(Path(__file__).resolve()).encode())
    return Path(tempfile.gettempdir(), f"mmdist-slurm-{os.getuid()}-{checkout:08x}")


def find(program: str) -> str | None:
    """A program's path; daemons are where not everybody's PATH leads."""
    return shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")


def missing() -> list[str]:
    """The programs that are not installed."""
    return [program for program in PROGRAMS if find(program) is None]


def install() -> None:
    """Install what is missing with apt-get.

    Raises:
        ClusterError: This is not root, there is no apt-get, or it failed.
    """
    if os.geteuid() != 0:
        raise ClusterError("--install needs root", UNAVAILABLE)
    apt = find("apt-get")
    if apt is None:
        raise ClusterError(
            f"--install needs apt-get; install {' and '.join(PACKAGES)} in this system's way", UNAVAILABLE
        )
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "-y", "--no-install-recommends", *PACKAGES]):
        say(f"apt-get {' '.join(command)}")
        try:
            done = subprocess.run(
                [apt, "-qq", *command],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=INSTALLING_S,
            )
        except subprocess.TimeoutExpired:
            raise ClusterError(f"apt-get {command[0]} took longer than {INSTALLING_S} s", UNAVAILABLE) from None
        # With a list that could not be brought up to date the packages may still be had.
        if done.returncode != 0 and command[0] == "install":
            raise ClusterError(f"apt-get install failed:\n{last_lines(done.stdout)}", UNAVAILABLE)


class Cluster:
    """The cluster that lives in a folder.

    Args:
        state (Path): The folder.
    """

    def __init__(self, state: Path) -> None:
        self.state = state
        self.conf = state / "slurm.conf"

    def check_folder(self) -> None:
        """The name of the folder can be guessed: one that somebody else may have made is not believed.

        Raises:
            ClusterError: It is a link, no folder, or another user's.
        """
        try:
            found = self.state.lstat()
        except FileNotFoundError:
            return
        except OSError as error:
            raise ClusterError(f"--state {self.state}: {error.strerror}") from error
        if not stat.S_ISDIR(found.st_mode):
            raise ClusterError(f"--state {self.state}: it is a link or a file, expected a folder; remove it")
        if found.st_uid != os.geteuid():
            raise ClusterError(f"--state {self.state}: it belongs to the user {found.st_uid}; name another folder")

    def check_closed(self) -> None:
        """As above, of a folder that is this user's.

        Raises:
            ClusterError: Other users can look into it, or write to it.
        """
        if self.state.exists() and self.state.lstat().st_mode & 0o077:
            raise ClusterError(f"--state {self.state}: it is open to other users; chmod 700 {self.state}, or remove it")

    def up(self) -> None:
        """Start the cluster, or leave it alone where it runs.

        Raises:
            ClusterError: It does not start; nothing is left of it then.
        """
        self.check_folder()
        self.check_closed()
        if self.nodes():
            return
        absent = missing()
        if absent:
            again = [sys.executable, os.path.relpath(__file__), "up", "--install"]
            again += ["--state", str(self.state)] if self.state != default_state() else []
            advice = f"as root: apt-get install {' '.join(PACKAGES)}, or {shlex.join(again)}"
            raise ClusterError(f"not installed: {', '.join(absent)}; {advice}", UNAVAILABLE)
        if len(f"{self.state}/munge.socket") > 100:
            raise ClusterError(f"--state {self.state}: the path of a socket in it would be too long")
        self.down()
        try:
            self._start()
        except BaseException:
            self.down()
            raise

    def down(self) -> None:
        """End everything that was started, and remove the folder."""
        self.check_folder()
        if not self.state.exists():
            return
        if not (self.state / "pids").exists() and any(self.state.iterdir()):
            raise ClusterError(f"--state {self.state}: there are other files in it; it is left alone")
        self.check_closed()
        if self.nodes():
            self._end_jobs()
        # munged last: the others talk through it.
        for pid in reversed(self._pids()):
            self._end(pid)
        shutil.rmtree(self.state)

    def nodes(self) -> dict[str, str]:
        """The state of each node; none where the cluster does not run.

        Example:
            >>> Cluster(Path('/nowhere')).nodes()
            {}
        """
        if not self.conf.exists() or missing() or not self._pids() or not all(map(self._is_ours, self._pids())):
            return {}
        return dict(line.split() for line in self._ask("sinfo", "-h", "-N", "-o", "%N %T").splitlines())

    def _start(self) -> None:
        self.state.parent.mkdir(parents=True, exist_ok=True)
        self.state.mkdir(mode=0o700)  # fails where somebody was faster
        (self.state / "pids").touch()
        for name in ("slurmctld", *NODES):
            (self.state / name).mkdir(mode=0o755)
        ports = free_ports(3)
        host = socket.gethostname().split(".")[0]
        self.conf.write_text(CONF.format(host=host, user=os.getuid(), state=self.state, ports=ports))
        for number in range(8):
            (self.state / f"gpu{number}").touch()
        (self.state / "gres.conf").write_text(f"Name=gpu File={self.state}/gpu[0-7]\n")
        key = self.state / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(128))

        files = {"--key-file": "key", "--socket": "socket", "--pid-file": "pid", "--seed-file": "seed"}
        files = {option: f"{self.state}/munge.{name}" for option, name in files.items()}
        own_log = f"--log-file={self.state}/munge.log"
        # --force: its socket need not be open to all, every process of the cluster is this user's.
        munged = self._launch("munged", "--foreground", "--force", own_log, *(f"{k}={v}" for k, v in files.items()))
        self._wait((self.state / "munge.socket").exists, [munged], "munged")
        daemons = [munged, self._launch("slurmctld", "-D", "-f", str(self.conf))]
        daemons += [self._launch("slurmd", "-D", "-N", node, "-f", str(self.conf), log=node) for node in NODES]
        idle = dict.fromkeys(NODES, "idle")
        self._wait(lambda: self.nodes() == idle, daemons, "two idle nodes")

    def _launch(self, program: str, *arguments: str, log: str = "") -> subprocess.Popen[bytes]:
        path = self.state / f"{log or program}.log"
        # Not between the start and its note: nobody would end that process.
        signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS)
        try:
            with path.open("wb") as out, (self.state / "pids").open("a") as pids:
                process = subprocess.Popen(
                    [str(find(program)), *arguments],
                    env=self._environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    cwd=self.state,
                    start_new_session=True,  # an interrupt in this terminal is not for them
                    preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, INTERRUPTS),
                )
                pids.write(f"{process.pid}\n")
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, INTERRUPTS)
        return process

    def _wait(self, ready: Callable[[], bool], processes: Sequence[subprocess.Popen[bytes]], what: str) -> None:
        end = time.monotonic() + STARTING_S
        while not ready():
            dead = [Path(process.args[0]).name for process in processes if process.poll() is not None]
            if dead or time.monotonic() > end:
                why = f"{dead[0]} ended" if dead else f"no answer within {STARTING_S} s"
                logs = sorted(self.state.glob("*.log"))
                tails = "".join(f"\n--- {log.name}\n{last_lines(log.read_text(errors='replace'))}" for log in logs)
                raise ClusterError(f"waiting for {what}: {why}{tails}")
            time.sleep(0.2)

    def _end_jobs(self) -> None:
        """The processes of a job belong to none of the daemons: they would live on."""
        end = time.monotonic() + ENDING_S
        jobs = self._ask("squeue", "-h", "-o", "%A").split()
        while jobs and time.monotonic() < end:
            self._ask("scancel", "--full", "--signal=KILL", *jobs)
            self._ask("scancel", *jobs)
            time.sleep(0.5)
            jobs = self._ask("squeue", "-h", "-o", "%A").split()

    def _end(self, pid: int) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            end = time.monotonic() + ENDING_S
            if self._is_ours(pid):
                os.kill(pid, number)
            while self._is_ours(pid) and time.monotonic() < end:
                time.sleep(0.1)

    def _pids(self) -> list[int]:
        path = self.state / "pids"
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    def _is_ours(self, pid: int) -> bool:
        """Whether a process lives and is one of the cluster's: the number may be another's by now."""
        try:
            return f"{self.state}/".encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False

    def _ask(self, program: str, *arguments: str) -> str:
        """What one of slurm's programs answers; nothing where it fails."""
        command = [str(find(program)), *arguments]
        try:
            done = subprocess.run(command, env=self._environment(), capture_output=True, text=True, timeout=20)
        except subprocess.TimeoutExpired:
            return ""
        return done.stdout if done.returncode == 0 else ""

    def _environment(self) -> dict[str, str]:
        # Options of a cluster that this shell works with are not for this one.
        others = ("SLURM", "SBATCH", "SINFO", "SQUEUE", "SCANCEL")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(others)}
        return kept | {"SLURM_CONF": str(self.conf)}


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def last_lines(text: str, count: int = 12) -> str:
    """The end of a log."""
    return "\n".join(text.splitlines()[-count:])


def say(message: str) -> None:
    """Standard output is for the shell that starts the cluster."""
    print(f"slurm_cluster: {message}", file=sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code: 0, 1 (failed, or not running), 69 (slurm is not installed), 130 (interrupted)."""
    parser = argparse.ArgumentParser(description="A slurm cluster of two nodes on this machine, for tests.")
    parser.add_argument("command", choices=("up", "down", "status"))
    parser.add_argument("--state", type=Path, default=default_state(), help="folder of the cluster (%(default)s)")
    parser.add_argument("--install", action="store_true", help="up: install missing packages with apt-get, as root")
    args = parser.parse_args(argv)
    # As an interrupt, so that a start that is given up is cleared away.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    cluster = Cluster(args.state.absolute())
    try:
        cluster.check_folder()
        if args.command == "status":
            cluster.check_closed()
        if args.command == "up":
            if args.install and missing():
                install()
            cluster.up()
            print(f"export SLURM_CONF={cluster.conf}")
        elif args.command == "down":
            cluster.down()
        nodes = cluster.nodes()
        say(", ".join(f"{name} {state}" for name, state in nodes.items()) or "down")
        return 0 if nodes or args.command == "down" else FAILED
    except ClusterError as error:
        say(f"error: {error}")
        return error.code
    except KeyboardInterrupt:
        say("interrupted")
        return 130


if __name__ == "__main__":
    sys.exit(main())

"""Runs a command, and ends it when the process that asked for it is gone: ``python supervise.py FD COMMAND ...``.

A file of its own, run by its path, that imports nothing of the package: it starts at once and stays small.
"""

import os
import select
import signal
import subprocess
import sys
import threading


def main(descriptor: int, command: "list[str]") -> int:
    """Run the command.

    Args:
        descriptor (int): The reading end of a pipe whose other end the asking process holds. Nothing is written into
            it: when it can be read, that process has ended.
        command (list[str]): Program and arguments.

    Returns:
        int: The command's exit status; after a signal 128 and its number.
    """
    os.set_inheritable(descriptor, False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        # it is sent to the whole group, and the command decides what it does; a second one may mean another thing to it
        signal.signal(number, lambda *_: None)
    process = subprocess.Popen(command)

    def watch() -> None:
        select.select([descriptor], [], [])
        # this process is the leader of a group that the command's own children belong to
        os.killpg(os.getpgid(0), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
    status = process.wait()
    return 128 - status if status < 0 else status


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))

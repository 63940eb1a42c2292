"""The baselines: a parent that does nothing but start workers and start again what ended. ``bare_parent.py exec|fork PROGRAM…``.

In ``fork`` it has imported the worker before and forks it warm; in ``exec`` it starts the program. One thread, no manager, no state kept.
"""

import gc
import json
import os
import select
import signal
import sys
from collections.abc import Callable
from typing import Any, Final

from benchmarks.worker import work

READ_BYTES: Final = 1 << 20


class Parent:
    """Its workers by pid, and the command lines they were started with."""

    def __init__(self, start: Callable[[list[str]], int]) -> None:
        self.start = start
        self.workers: dict[int, list[str]] = {}

    def answer(self, command: dict[str, Any]) -> Any:
        if command["command"] == "create":
            for argv in command["argvs"]:
                self.workers[self.start(argv)] = argv
        elif command["command"] == "remove":
            self.remove()
        return len(self.workers)

    def remove(self) -> None:
        gone = list(self.workers)
        self.workers.clear()
        for pid in gone:
            os.kill(pid, signal.SIGTERM)
        for pid in gone:
            os.waitpid(pid, 0)

    def reap(self) -> None:
        while self.workers:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            argv = self.workers.pop(pid)
            self.workers[self.start(argv)] = argv


def start_by_exec(argv: list[str]) -> int:
    return os.posix_spawn(argv[0], argv, os.environ, setsigdef=[signal.SIGCHLD])


def start_by_fork(argv: list[str]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            work(*argv[-3:])
        finally:
            os._exit(0)
    return pid


def main() -> None:
    parent = Parent(start_by_fork if sys.argv[1] == "fork" else start_by_exec)
    woken, wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    gc.freeze()
    pending = b""
    while True:
        readable, _, _ = select.select([0, woken], [], [])
        if woken in readable:
            os.read(woken, READ_BYTES)
            parent.reap()
        if 0 in readable:
            got = os.read(0, READ_BYTES)
            if not got:
                parent.remove()
                return
            *lines, pending = (pending + got).split(b"\n")
            for line in lines:
                os.write(1, json.dumps({"result": parent.answer(json.loads(line))}).encode() + b"\n")


if __name__ == "__main__":
    main()

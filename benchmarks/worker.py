"""The worker of the comparison: a typical small Python service, doing nothing.

It imports asyncio, makes its directory, writes a pid file, says READY=1 to whoever measures (and to its supervisor, where that listens)
and waits for TERM. It runs as a program (``worker.py NAME DIRECTORY BEACON``), as a function in a forked process, as a Ray actor and as
a Foreman kind. It imports nothing of Foreman's, so that it costs the same everywhere.
"""

import asyncio  # noqa: F401 - what a real worker would need at its start is part of the cost
import json
import os
import signal
import socket
import sys


def prepare(name: str, directory: str, beacon: str) -> None:
    """Become ready, and say so."""
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, "pid"), "w", encoding="ascii") as pid_file:
        pid_file.write(str(os.getpid()))
    news = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    with news:
        notify = os.environ.get("NOTIFY_SOCKET")
        if notify:
            news.sendto(b"READY=1\n", notify)
        news.sendto(f"READY=1\n{name}\n{os.getpid()}".encode(), beacon)


def work(name: str, directory: str, beacon: str) -> None:
    """The whole life of the worker in a process of its own."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # so that a TERM before sigwait is not lost
    prepare(name, directory, beacon)
    signal.sigwait({signal.SIGTERM})


def foreman_main() -> None:
    """The same as a Foreman kind: what it needs is in its environment."""
    work(os.environ["FOREMAN_WORKER_ID"], os.path.join(os.getcwd(), "made"), json.loads(os.environ["FOREMAN_PARAMS"])["beacon"])


if __name__ == "__main__":
    work(*sys.argv[1:4])

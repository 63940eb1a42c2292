"""A program that behaves in one wrong way: ``python -I misbehaving.py MODE``. Standard library only, no Foreman: somebody else's worker."""

import json
import os
import resource
import signal
import socket
import sys
import time
from pathlib import Path
from typing import NoReturn


def say(*lines: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.sendto("\n".join(lines).encode(), os.environ["NOTIFY_SOCKET"])


def for_ever() -> NoReturn:
    while True:
        signal.pause()


def brood() -> None:
    """50 grandchildren: every second in a session of its own, every third deaf to TERM."""
    for number in range(50):
        if os.fork() == 0:
            if number % 2:
                os.setsid()
            if number % 3 == 0:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            for_ever()
    say("READY=1")
    for_ever()


def hiding_brood() -> None:
    """One grandchild with a session of its own and nothing of us in its environment."""
    if os.fork() == 0:
        os.setsid()
        os.execve("/bin/sleep", ["sleep", "1000000"], {})
    say("READY=1")
    for_ever()


def foreign_ready() -> None:
    """Never ready itself; writes down where to say so, for a stranger to lie."""
    Path("notify").write_text(os.environ["NOTIFY_SOCKET"])
    for_ever()


def ready_then_exit() -> None:
    say("READY=1")
    sys.exit(1)


def flood() -> None:
    say("READY=1")
    while True:
        say("STATUS=" + os.urandom(40).hex(), "X_FOREMAN_HEALTH=maybe", "\0\xff", "WATCHDOG=", "EXTEND_TIMEOUT_USEC=" + "9" * 400)


def loud() -> None:
    say("READY=1")
    line = b"x" * 65_535 + b"\n"
    for number in range(400):
        os.write(1 + number % 2, line)
    say("STATUS=said it all")
    for_ever()


def deaf() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    say("READY=1")
    for_ever()


def polite() -> None:
    """Ends at INT, not at TERM, and leaves word of it."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, lambda *_: None)
    say("READY=1")
    signal.pause()
    Path("left").write_text("by INT")


def hang() -> None:
    for_ever()


def slow() -> None:
    """Takes four times as long as it may, and asks for the time."""
    for _ in range(8):
        say("EXTEND_TIMEOUT_USEC=1000000", "STATUS=loading")
        time.sleep(0.25)
    say("READY=1", "STATUS=loaded")
    for_ever()


def watched() -> None:
    say("READY=1", "WATCHDOG=1")
    every_s = int(os.environ["WATCHDOG_USEC"]) / 1e6 / 4
    while True:
        time.sleep(every_s)
        say("WATCHDOG=1")


def facts() -> None:
    """Writes down what it was given."""
    Path("facts.json").write_text(
        json.dumps(
            {
                "argv": sys.argv[2:],
                "cwd": os.getcwd(),
                "uid": os.getuid(),
                "fds": sorted(int(fd) for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")),
                "environment": dict(os.environ),
                "nofile": resource.getrlimit(resource.RLIMIT_NOFILE),
                "session": os.getsid(0) == os.getpid(),
            }
        )
    )
    say("READY=1")
    for_ever()


def greedy() -> None:
    """Wants more memory than it may have; ready when it was refused."""
    try:
        bytearray(512 << 20)
    except MemoryError:
        say("READY=1")
        for_ever()
    sys.exit(9)


if __name__ == "__main__":
    globals()[sys.argv[1]]()

"""Workers that behave, and workers that do not: each a function that the supervisor forks and calls.

A small sd_notify client stands here on purpose: these tests are what an outsider's worker would meet.
"""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Final, NoReturn

from foreman.core.kinds import KindSpec, PythonProgram, RestartType, StopSpec

WATCHDOG_S: Final = 0.5
BROOD: Final = 50
_LOUD_BYTES: Final = 3 << 20


def say(*lines: str) -> None:
    """One sd_notify datagram."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.sendto("\n".join(lines).encode(), os.environ["NOTIFY_SOCKET"])


def until_told() -> NoReturn:
    """End normally at TERM."""
    signal.sigwait({signal.SIGTERM})
    sys.exit(0)


def _blocked() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def good() -> None:
    _blocked()
    with open("starts", "a", encoding="ascii") as starts:  # in the worker's own directory: one line a start
        starts.write(f"{os.getpid()} {os.environ['FOREMAN_INCARNATION']}\n")
    say("READY=1", "STATUS=at work", f"X_FOREMAN_ENDPOINT=unix:{os.environ['FOREMAN_RUN']}/sock")
    until_told()


def mute() -> None:
    """Lives, and never says that it is ready."""
    _blocked()
    until_told()


def crashing() -> None:
    sys.exit(3)


def finishing() -> None:
    """Ready, then done: a normal end."""
    say("READY=1")


def stubborn() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    say("READY=1")
    while True:
        signal.pause()


def brooding() -> None:
    """Leaves 50 grandchildren behind, half of them in sessions of their own."""
    for number in range(BROOD):
        if os.fork() == 0:
            if number % 2:
                os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            while True:
                signal.pause()
    _blocked()
    say("READY=1")
    until_told()


def watched() -> None:
    """Keeps its promise to be heard of."""
    _blocked()
    say("READY=1", "WATCHDOG=1")
    every_s = int(os.environ["WATCHDOG_USEC"]) / 1e6 / 4
    while signal.sigtimedwait({signal.SIGTERM}, every_s) is None:
        say("WATCHDOG=1")


def flooding() -> None:
    """Thousands of datagrams, many of them nonsense."""
    _blocked()
    say("READY=1")
    while signal.sigtimedwait({signal.SIGTERM}, 0) is None:
        for number in range(100):
            say(f"STATUS={number} {os.urandom(8).hex()}", "\0nonsense", "X_FOREMAN_HEALTH=maybe")
        time.sleep(0.001)


def loud() -> None:
    """Far more output than is kept."""
    _blocked()
    for number in range(_LOUD_BYTES // 64):
        print(f"{number:063d}")
    sys.stdout.flush()
    say("READY=1")
    until_told()


def sick() -> None:
    """Ready, and says that it is not well."""
    _blocked()
    say("READY=1", "X_FOREMAN_HEALTH=error:ENOSPC no space left")
    until_told()


def _kind(function: Callable[[], None], **more: object) -> KindSpec:
    program = PythonProgram(f"{__name__}:{function.__name__}")
    return KindSpec(name=function.__name__, program=program, preload=(__name__,), **more)  # type: ignore[arg-type]


KINDS: Final = (
    _kind(good),
    _kind(mute, start_timeout_s=0.5, restart=RestartType.TEMPORARY),
    _kind(crashing),
    _kind(finishing),
    _kind(stubborn, stop=StopSpec(grace_s=0.2)),
    _kind(brooding, stop=StopSpec(grace_s=0.2)),
    _kind(watched, watchdog_s=WATCHDOG_S),
    _kind(flooding),
    _kind(loud),
    _kind(sick),
)

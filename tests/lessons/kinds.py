"""Workers with the habits that broke peers: each a function that the supervisor forks and calls."""

import os
import signal
import time
from typing import Final

from foreman.core.kinds import KindSpec, PythonProgram, RestartType
from tests.processes.kinds import say, until_told

START_TIMEOUT_S: Final = 0.5
SLOW_START_S: Final = 1.5


def good() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    say("READY=1")
    until_told()


def hung() -> None:
    """Starts for ever."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    until_told()


def slow() -> None:
    """Takes three times as long as it may, and says so in time."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    for _ in range(5):
        say(f"EXTEND_TIMEOUT_USEC={int(START_TIMEOUT_S * 1e6)}")
        time.sleep(SLOW_START_S / 5)
    say("READY=1")
    until_told()


def many_files() -> None:
    """Ready when its own limit of open files is what the node was started with."""
    import resource

    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    say("READY=1", f"STATUS=limit {resource.getrlimit(resource.RLIMIT_NOFILE)[0]}, open {len(os.listdir('/proc/self/fd')) - 1}")
    until_told()


def kind(name: str, **more: object) -> KindSpec:
    return KindSpec(name=name, program=PythonProgram(f"{__name__}:{name}"), preload=(__name__,), **more)  # type: ignore[arg-type]


KINDS: Final = (
    kind("good"),
    kind("hung", start_timeout_s=60.0),
    kind("slow", start_timeout_s=START_TIMEOUT_S, restart=RestartType.TEMPORARY),
    kind("many_files"),
)

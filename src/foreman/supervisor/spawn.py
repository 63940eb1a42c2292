"""From a start request to a process: the parent's half of a fork.

The lock is taken before the fork and inherited, so the kernel holds it for as long as anything of the worker lives. What goes wrong in
the child before its program runs comes back through a pipe that closes by itself when the program runs.
"""

import fcntl
import os
import signal
from dataclasses import dataclass
from typing import Final

from foreman.kernel.processes import ProcessArea
from foreman.supervisor.child import ChildPlan, become_worker
from foreman.supervisor.protocol import Refusal, Refused, StartRequest

_ALL_SIGNALS: Final = signal.valid_signals()


@dataclass(frozen=True, slots=True)
class Spawned:
    """A forked process and our ends of what connects us: the lock's copy, the start report, the output."""

    pid: int
    lock: int
    report: int
    output: int


class Spawner:
    def __init__(self, descriptor_limits: tuple[int, int]) -> None:
        """``descriptor_limits``: RLIMIT_NOFILE as this process was started with, for the workers."""
        self._descriptor_limits = descriptor_limits
        self._area = ProcessArea()
        self._null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)

    def spawn(self, request: StartRequest) -> Spawned:
        """Raises Refused (busy, failed): then there is no process and the lock is not ours."""
        opened: list[int] = []
        try:
            lock = take_lock(request.lock)
            opened.append(lock)
            for _ in range(2):
                opened.extend(os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK))
            _, report_read, report_write, output_read, output_write = opened
            os.set_blocking(output_write, True)
            plan = ChildPlan(request, os.getpid(), self._null, output_write, lock, report_write, self._area, self._descriptor_limits)
            pid = _fork(plan)
        except OSError as error:
            _close(opened)
            raise Refused(Refusal("failed", error.strerror or str(error), error.errno, error.filename)) from error
        except Refused:
            _close(opened)
            raise
        _close([report_write, output_write])
        return Spawned(pid, lock, report_read, output_read)


def take_lock(path: str) -> int:
    """The descriptor that holds the exclusive flock. Raises Refused("busy") when somebody has it, OSError."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise Refused(Refusal("busy", f"somebody holds {path}", path=path)) from None
    except OSError:
        os.close(fd)
        raise
    return fd


def _fork(plan: ChildPlan) -> int:
    """All signals are blocked meanwhile, so that none reaches the child while it still has our handlers."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ALL_SIGNALS)
    try:
        pid = os.fork()
        if pid == 0:
            become_worker(plan)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return pid


def _close(descriptors: list[int]) -> None:
    for fd in descriptors:
        os.close(fd)

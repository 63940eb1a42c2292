"""What a supervisor that was killed has left: descendants of its workers that outlived their parents.

The workers themselves die with their supervisor; what they had started does not, and may hold their locks and write into their data.
Found once, at the start, by the notify socket and incarnation in their environment: only a process of a worker of this run
directory has both, and since we hold that directory's lock, no living supervisor answers for it. Each is held by a pidfd while it is
looked at again and killed, so no other can be meant.
"""

import os
import select
import signal
import time
from contextlib import suppress
from typing import Final

from foreman.kernel.processes import all_pids, environment_of, stat_of

_PATIENCE_S: Final = 5.0


def end_leftovers(notify_socket: str) -> list[int]:
    """Kill them all and wait until they are gone. Returns those that are still there after some seconds.

    Waits, too, for processes that are just ending: one of them may be a worker that still holds its lock.
    """
    waiting: dict[int, int] = {}
    for pid in all_pids():
        if pid == os.getpid() or not (_is_leftover(pid, notify_socket) or _is_ending(pid)):
            continue
        with suppress(ProcessLookupError):
            fd = os.pidfd_open(pid)
            waiting[fd] = pid
            if _is_leftover(pid, notify_socket):
                signal.pidfd_send_signal(fd, signal.SIGKILL)
    gone = _wait(waiting)
    for fd in waiting:
        os.close(fd)
    return [pid for fd, pid in waiting.items() if fd not in gone]


def _is_leftover(pid: int, notify_socket: str) -> bool:
    environment = environment_of(pid)
    return environment.get(b"NOTIFY_SOCKET") == os.fsencode(notify_socket) and b"FOREMAN_INCARNATION" in environment


def _is_ending(pid: int) -> bool:
    stat = stat_of(pid)
    return stat is not None and stat.exiting and stat.state not in "ZX"


def _wait(waiting: dict[int, int]) -> set[int]:
    poll = select.poll()
    for fd in waiting:
        poll.register(fd, select.POLLIN)
    deadline, gone = time.monotonic() + _PATIENCE_S, set[int]()
    while len(gone) < len(waiting) and (left := deadline - time.monotonic()) > 0:
        for fd, _ in poll.poll(left * 1000):
            poll.unregister(fd)
            gone.add(fd)
    return gone

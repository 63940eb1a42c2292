"""What Linux knows and allows about processes: prctl(2), pidfd_open(2), /proc/PID.

Owns nothing. Facts about another process are true only while it cannot vanish: as an unreaped child, or through a pidfd. It never
waits and never decides whom to signal.
"""

import ctypes
import os
import resource
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NAME: Final = 15
_PR_SET_CHILD_SUBREAPER: Final = 36
_SIGKILL: Final = int(signal.SIGKILL)
_PF_EXITING: Final = 0x4
_FIRST_FIELD: Final = 3
"""/proc/PID/stat after the name in parentheses begins with field 3 (proc_pid_stat(5))."""

# With its types said, a call touches a fifth of the pages, each of which a forked child must copy.
_libc_prctl: Final = ctypes.CDLL(None, use_errno=True).prctl
_libc_prctl.argtypes = (ctypes.c_int, *(ctypes.c_ulong,) * 4)
_libc_prctl_text: Final = ctypes.CDLL(None).prctl
_libc_prctl_text.argtypes = (ctypes.c_int, ctypes.c_char_p)


def _prctl(option: int, argument: int) -> None:
    if _libc_prctl(option, argument, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def die_with_parent(parent: int) -> None:
    """KILL for this process as soon as ``parent`` ends, even if it ended just now. The kernel forgets it when the user changes."""
    _prctl(_PR_SET_PDEATHSIG, _SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), _SIGKILL)


def become_subreaper() -> None:
    """Descendants whose parent ends become children of this process, whatever session they are in."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def set_name(name: str) -> None:
    """What ``ps -o comm`` and ``top`` show: the first 15 bytes."""
    _libc_prctl_text(_PR_SET_NAME, name.encode()[:15])


def raise_descriptor_limit() -> tuple[int, int]:
    """The soft limit of open files becomes the hard one. Returns the limits as they were, for the children."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    return before


@dataclass(frozen=True, slots=True)
class ProcessStat:
    state: str
    parent: int
    group: int
    session: int
    exiting: bool


def stat_of(pid: int) -> ProcessStat | None:
    """None when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    flags = int(fields[9 - _FIRST_FIELD])
    return ProcessStat(fields[0].decode(), int(fields[1]), int(fields[2]), int(fields[3]), bool(flags & _PF_EXITING))


def all_pids() -> list[int]:
    """Every process /proc shows; each may be gone already."""
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def children() -> list[int]:
    """All children of this process, zombies too. Exact while nobody else in this process reaps (one thread)."""
    own = os.getpid()
    try:
        with open(f"/proc/self/task/{own}/children", "rb") as file:
            return [int(pid) for pid in file.read().split()]
    except FileNotFoundError:  # a kernel without CONFIG_PROC_CHILDREN
        return [pid for pid in all_pids() if (stat := stat_of(pid)) is not None and stat.parent == own]


def environment_of(pid: int) -> dict[bytes, bytes]:
    """What /proc shows of its environment; empty when it is gone, a zombie, or not ours to read."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            entries = file.read().split(b"\0")
    except OSError:
        return {}
    return dict(entry.split(b"=", 1) for entry in entries if b"=" in entry)


def open_files(pid: int) -> set[tuple[int, int]]:
    """Device and inode of all it has open; empty when it is gone, or not ours to look at."""
    folder = f"/proc/{pid}/fd"
    found = set()
    with suppress(OSError):
        for name in os.listdir(folder):
            with suppress(OSError):
                facts = os.stat(f"{folder}/{name}")
                found.add((facts.st_dev, facts.st_ino))
    return found


class ProcessArea:
    """The memory in which the kernel laid this process's arguments and environment at exec: what /proc shows of them.

    A forked process that never execs would show its parent's for ever. Written anew in the child, it shows its own, and so do all its
    descendants that never exec either.
    """

    def __init__(self) -> None:
        with open("/proc/self/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        first = 48 - _FIRST_FIELD
        self._arguments, arguments_end, self._environment, environment_end = (int(field) for field in fields[first : first + 4])
        self._arguments_size = arguments_end - self._arguments
        self._environment_size = environment_end - self._environment

    def lay_out(self, arguments: bytes, environment: Mapping[bytes, bytes], *, first: bytes) -> Callable[[], None]:
        """What a forked child calls to show these. Laid out before the fork: whatever a child computes costs it pages of its own.

        As much as there is room for, and no entry in part. ``first``: the name that must have room.
        """
        block = b""
        for name, value in sorted(environment.items(), key=lambda entry: entry[0] != first):
            if len(block) + len(name) + len(value) + 2 <= self._environment_size:
                block += b"%b=%b\0" % (name, value)
        shown = arguments[: max(0, self._arguments_size - 1)]
        return partial(self._show, shown.ljust(self._arguments_size, b"\0"), block.ljust(self._environment_size, b"\0"))

    def _show(self, arguments: bytes, environment: bytes) -> None:
        ctypes.memmove(self._arguments, arguments, len(arguments))
        ctypes.memmove(self._environment, environment, len(environment))

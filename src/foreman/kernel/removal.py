"""Deleting a whole directory tree that others may have filled with anything.

Works on descriptors, one directory at a time: never follows a symbolic link, never enters a mount (nor deletes what is mounted),
holds at most three descriptors however deep the tree is, and goes on after a failure so that as little as possible is left.
"""

import ctypes
import errno
import functools
import os
import platform
import stat
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from foreman.kernel.files import errno_name, printable

_OPEN_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_AT_FDCWD: Final = -100
_SYS_OPENAT2: Final = 437  # the same number on every architecture but alpha
_RESOLVE_NO_XDEV: Final = 0x01


@dataclass(frozen=True, slots=True)
class PathFailure:
    """What the kernel refused, and where."""

    errno: int
    path: str

    @property
    def errno_name(self) -> str:
        return errno_name(self.errno)

    def __str__(self) -> str:
        return f"{self.errno_name} (errno {self.errno}) at {self.path}"


def remove_tree(path: str) -> PathFailure | None:
    """Delete ``path``, a directory with all that is in it, or a single file or link. None: nothing of it is left (or ever was).

    Else the first thing that could not be deleted; whatever else could be is gone. Nobody may be writing in it meanwhile.
    """
    parent, name = os.path.split(os.path.join(os.getcwd(), path).rstrip("/"))
    if name in {"", ".", ".."}:  # not a name but a way to somewhere else
        return PathFailure(errno.EINVAL, printable(path))
    try:
        descriptor = os.open(parent, _OPEN_DIRECTORY & ~os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as error:
        return PathFailure(error.errno or errno.EIO, printable(parent))
    removal = _Removal(parent, descriptor)
    try:
        removal.run(name)
    except OSError as error:
        return removal.first or PathFailure(error.errno or errno.EIO, printable(path))
    finally:
        os.close(removal.descriptor)
    return removal.first


@dataclass(slots=True)
class _Level:
    """One directory on the way down: what is still to be deleted in it, and how to know it again on the way up."""

    name: str
    identity: tuple[int, int]
    names: list[str]
    whole: bool = True
    """Everything so far in it could be deleted, so it can be too."""


class _Removal:
    """A walk through the tree. ``descriptor`` is always that of the deepest level; the way up is ``..``, proven by identity."""

    def __init__(self, parent: str, descriptor: int) -> None:
        self.descriptor = descriptor
        self.first: PathFailure | None = None
        self._levels = [_Level(parent, _identity(descriptor), [])]

    def run(self, name: str) -> None:
        self._levels[0].names.append(name)
        while True:
            level = self._levels[-1]
            if level.names:
                self._delete(level.names.pop())
            elif len(self._levels) > 1:
                self._ascend()
            else:
                return

    def _delete(self, name: str) -> None:
        try:
            if _is_directory(self.descriptor, name):
                self._descend(name)
            else:
                os.unlink(name, dir_fd=self.descriptor)
        except FileNotFoundError:
            return
        except OSError as error:
            self._note(error, name)

    def _descend(self, name: str) -> None:
        """Enter a directory. One that its owner closed to himself is opened up first."""
        try:
            below = _open_here()(self.descriptor, name)
        except PermissionError:
            _open_up(self.descriptor, name)
            below = _open_here()(self.descriptor, name)
        try:
            if stat.S_IMODE(os.fstat(below).st_mode) & 0o300 != 0o300:
                os.fchmod(below, 0o700)
            level = _Level(name, _identity(below), os.listdir(below))
        except OSError:
            os.close(below)
            raise
        self._levels.append(level)
        self._move_to(below)

    def _ascend(self) -> None:
        """Leave an emptied directory and delete it from the level above."""
        above = os.open("..", _OPEN_DIRECTORY, dir_fd=self.descriptor)
        self._move_to(above)
        done = self._levels.pop()
        if _identity(above) != self._levels[-1].identity:
            raise OSError(errno.ESTALE, "the tree was moved while it was deleted")
        if not done.whole:
            self._levels[-1].whole = False
            return
        try:
            os.rmdir(done.name, dir_fd=above)
        except FileNotFoundError:
            return
        except OSError as error:
            self._note(error, done.name)

    def _move_to(self, descriptor: int) -> None:
        os.close(self.descriptor)
        self.descriptor = descriptor

    def _note(self, error: OSError, name: str) -> None:
        self._levels[-1].whole = False
        if self.first is None:
            number = errno.EBUSY if error.errno == errno.EXDEV else error.errno or errno.EIO  # a mount: rmdir(2) says EBUSY
            self.first = PathFailure(number, printable(os.path.join(*(level.name for level in self._levels), name)))


def _is_directory(parent: int, name: str) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)


def _identity(descriptor: int) -> tuple[int, int]:
    facts = os.fstat(descriptor)
    return facts.st_dev, facts.st_ino


def _open_up(parent: int, name: str) -> None:
    """Make it 0700 without following a link that took the directory's place: O_PATH needs no permission and pins what it found."""
    pinned = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        os.chmod(f"/proc/self/fd/{pinned}", 0o700)
    finally:
        os.close(pinned)


@functools.cache
def _open_here() -> Callable[[int, str], int]:
    """Open a directory below a descriptor, or fail with EXDEV when something is mounted there (openat2(2): bind mounts too)."""
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    how = struct.pack("=QQQ", _OPEN_DIRECTORY, 0, _RESOLVE_NO_XDEV)  # struct open_how: flags, mode, resolve
    size = ctypes.c_size_t(len(how))

    def open_with_kernel(parent: int, name: str) -> int:
        descriptor: int = syscall(_SYS_OPENAT2, parent, ctypes.c_char_p(os.fsencode(name)), ctypes.c_char_p(how), size)
        if descriptor < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), name)
        return descriptor

    try:
        os.close(open_with_kernel(_AT_FDCWD, "."))
    except OSError:  # before Linux 5.6, or forbidden by a seccomp filter that does not know it
        return _open_by_device
    return open_with_kernel if platform.machine() != "alpha" else _open_by_device


def _open_by_device(parent: int, name: str) -> int:
    """The same without openat2: another device is another mount. A bind mount of the same device is not seen."""
    descriptor = os.open(name, _OPEN_DIRECTORY, dir_fd=parent)
    if os.fstat(descriptor).st_dev != os.fstat(parent).st_dev:
        os.close(descriptor)
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), name)
    return descriptor

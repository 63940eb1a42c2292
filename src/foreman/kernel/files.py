"""Files as the kernel gives them, made safe against a crash at any instant: durable writes and renames, locks, bounded reads.

Each OSError that leaves here names the path it is about. Owns no name of its own: what is written, and where, is the caller's.
"""

import ctypes
import errno
import fcntl
import functools
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Final, Self

_AT_FDCWD: Final = -100
_RENAME_NOREPLACE: Final = 1


def errno_name(number: int) -> str:
    """The name in errno.h: 28 is "ENOSPC"."""
    return errno.errorcode.get(number, f"errno {number}")


def printable(path: str) -> str:
    """A path for people and JSON: bytes that are not UTF-8, which os.fsdecode keeps as surrogates, are written in hexadecimal."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


@contextmanager
def naming(path: str) -> Iterator[None]:
    """An OSError from inside without a file name (fsync, write, flock have none) gets this one."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            error.filename = path
        raise


def fsync_directory(path: str) -> None:
    """Make the names in a directory durable (fsync(2): "an explicit fsync() on a file descriptor for the directory is also needed")."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with naming(path):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_path(path: str) -> None:
    """Make one file or directory durable, not what is below it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        with naming(path):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_new(path: str, data: bytes, mode: int = 0o600) -> None:
    """A new file with ``data``, durable itself; its name is durable after :func:`fsync_directory` of its parent. Raises FileExistsError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with naming(path):
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def atomic_write(path: str, data: bytes, mode: int = 0o600, *, temporary_in: str | None = None) -> None:
    """Replace a file durably: after a crash at any instant it is the old one or the new one, whole.

    The new one is first written in ``temporary_in`` (the same file system; default: the file's own directory). After an error
    nothing of it is left; after a crash a file ``NAME.<16 hex>.tmp`` may be.
    """
    parent, name = os.path.split(path)
    temporary = os.path.join(temporary_in or parent, f"{name}.{secrets.token_hex(8)}.tmp")
    try:
        write_new(temporary, data, mode)
        os.rename(temporary, path)
    except OSError:
        unlink_if_there(temporary)
        raise
    fsync_directory(parent)


def unlink_if_there(path: str) -> bool:
    """Whether it was there."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True


def rename_new(source: str, target: str) -> None:
    """rename(2) that never replaces: raises FileExistsError when ``target`` is there, whatever it is."""
    number = _renameat2()(os.fsencode(source), os.fsencode(target))
    if number in {errno.ENOSYS, errno.EINVAL}:  # an old kernel, or a file system that knows no flags
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)
        os.rename(source, target)
    elif number:
        raise OSError(number, os.strerror(number), target if number == errno.EEXIST else source)


@functools.cache
def _renameat2() -> Callable[[bytes, bytes], int]:
    """renameat2(2) with RENAME_NOREPLACE; the answer is the errno, 0 for done."""
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)  # glibc 2.28, musl 1.2.6
    if function is None:
        return lambda _source, _target: errno.ENOSYS

    def rename(source: bytes, target: bytes) -> int:
        failed: int = function(_AT_FDCWD, ctypes.c_char_p(source), _AT_FDCWD, ctypes.c_char_p(target), ctypes.c_uint(_RENAME_NOREPLACE))
        return ctypes.get_errno() if failed else 0

    return rename


def durable_rename(source: str, target: str) -> None:
    """Rename to a new name, durably: what it names first, both parents after. Raises FileExistsError, or any OSError of the disk.

    A crash leaves it whole under one name. What lies below a directory must have been made durable before.
    """
    fsync_path(source)
    rename_new(source, target)
    for parent in dict.fromkeys((os.path.dirname(target), os.path.dirname(source))):
        fsync_directory(parent)


def read_bounded(path: str, limit: int) -> bytes:
    """The first ``limit`` bytes of a regular file. Never blocks on a pipe, never follows a link: those are OSErrors (EINVAL, ELOOP)."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        with naming(path):
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, "not a regular file")
            data = bytearray()
            while len(data) < limit and (more := os.read(descriptor, limit - len(data))):
                data += more
    finally:
        os.close(descriptor)
    return bytes(data)


def free_space(path: str) -> int:
    """Bytes that this user can still write on the file system of ``path``."""
    facts = os.statvfs(path)
    return facts.f_bavail * facts.f_frsize


class LockedFile:
    """An flock(2) that is held until :meth:`release`. The kernel frees it when the last descriptor of it is closed, however that comes.

    Not inherited by programs this process executes; a child that is only forked shares it, and keeps it held.
    """

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def release(self) -> None:
        """Idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()


def try_lock(path: str, *, create: bool = True) -> LockedFile | None:
    """Lock a file exclusively, at once; None when somebody else holds it.

    The lock is on the file that has the name when this returns: one that was replaced meanwhile is tried again. Raises
    FileNotFoundError when it is not there and ``create`` is false.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT if create else 0), 0o600)
        locked = LockedFile(path, descriptor)
        try:
            with naming(path):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _still_named(descriptor, path):
                return locked
            locked.release()
        except BlockingIOError:
            locked.release()
            return None
        except OSError:
            locked.release()
            raise


def hold_directory(path: str) -> LockedFile:
    """A shared lock on a directory. It keeps nobody out but systemd-tmpfiles(8), which would clean an old directory in /tmp."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    with suppress(OSError):  # without it the directory is only as safe as /tmp is
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    return LockedFile(path, descriptor)


def _still_named(descriptor: int, path: str) -> bool:
    held = os.fstat(descriptor)
    try:
        named = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return (held.st_dev, held.st_ino) == (named.st_dev, named.st_ino)

"""inotify(7): the kernel says when a file was changed, so that nobody has to look again and again.

Owns one inotify descriptor, non-blocking and closed on exec. Knows nothing of what the files mean.
"""

import ctypes
import os
import struct
from dataclasses import dataclass
from typing import Final

IN_MODIFY: Final = 0x0002
IN_CLOSE_WRITE: Final = 0x0008
IN_MOVED_TO: Final = 0x0080
IN_CREATE: Final = 0x0100
IN_DELETE: Final = 0x0200
IN_DELETE_SELF: Final = 0x0400
IN_MOVE_SELF: Final = 0x0800
IN_Q_OVERFLOW: Final = 0x4000
IN_IGNORED: Final = 0x8000

_HEADER: Final = struct.Struct("iIII")
_LARGEST_EVENT_BYTES: Final = _HEADER.size + 256
_READ_BYTES: Final = 64 * _LARGEST_EVENT_BYTES

_libc: Final = ctypes.CDLL(None, use_errno=True)
_libc.inotify_add_watch.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)


@dataclass(frozen=True, slots=True)
class FileEvent:
    """``watch``: what :meth:`Inotify.watch` returned (-1 for IN_Q_OVERFLOW). ``mask``: IN_* bits."""

    watch: int
    mask: int


class Inotify:
    """One inotify descriptor. ``fileno()`` becomes readable when something happened. Raises OSError as the system calls do."""

    def __init__(self) -> None:
        self._fd = _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), None)

    def fileno(self) -> int:
        return self._fd

    def watch(self, path: str, mask: int) -> int:
        """Watch the file that has this name now. The same file again: the same number, with the new mask."""
        return _checked(_libc.inotify_add_watch(self._fd, os.fsencode(path), mask), path)

    def read(self) -> list[FileEvent]:
        """What happened since the last read; nothing when nothing did. Never waits."""
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return []
        events, offset = [], 0
        while offset < len(data):
            watch, mask, _cookie, name_bytes = _HEADER.unpack_from(data, offset)
            offset += _HEADER.size + name_bytes
            events.append(FileEvent(watch, mask))
        return events

    def close(self) -> None:
        """Idempotent."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)


def _checked(result: int, path: str | None) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return result

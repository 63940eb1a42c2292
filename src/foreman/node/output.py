"""What a worker wrote, read back from its output directory: the oldest kept byte first, and on request whatever follows.

The supervisor writes and rotates these files (``current``, then ``1`` … the oldest); this only reads. The place reached is an open
descriptor, not a name, so a rotation in between neither repeats nor skips anything that is still kept. inotify(7) says when to look
again. Reading happens in threads: a slow disk delays the reader and nobody else.
"""

import asyncio
import os
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final

from foreman.kernel.inotify import IN_CREATE, IN_DELETE, IN_MODIFY, IN_MOVED_TO, Inotify

CHUNK_BYTES: Final = 1 << 18
_NEWS: Final = IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_DELETE


async def read_output(directory: Path, *, follow: bool) -> AsyncGenerator[bytes, None]:
    """Chunks as they lie there. With ``follow``, ends only when the directory is gone or the caller closes it."""
    place = _Place(directory)
    bell = _Bell(directory) if follow else None
    try:
        while True:
            while chunk := await asyncio.to_thread(place.read):
                yield chunk
            if bell is None or not await bell.rung():
                return
    finally:
        place.close()
        if bell is not None:
            bell.close()


class _Place:
    """How far we have read: a descriptor, whose offset is the place in its file."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._fd = -1

    def read(self) -> bytes:
        """The next bytes; none when there are none now. Blocks."""
        while True:
            if self._fd >= 0 and (data := os.read(self._fd, CHUNK_BYTES)):
                return data
            if not self._advance():
                return b""

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _advance(self) -> bool:
        """Go on to the next newer file, if there is one.

        All are opened before one is chosen, newest first: what is renamed meanwhile is met again under its older name, never missed.
        """
        names = self._names()
        fds = [fd for name in names if (fd := self._open(name)) is not None]
        files = {_identity(fd): fd for fd in fds}  # newest first
        order = list(files)
        here = order.index(_identity(self._fd)) if self._fd >= 0 and _identity(self._fd) in files else len(order)
        chosen = files[order[here - 1]] if here > 0 else None
        for fd in fds:
            if fd != chosen:
                os.close(fd)
        if chosen is None:
            return False
        self.close()
        self._fd = chosen
        return True

    def _names(self) -> list[str]:
        try:
            numbered = [each.name for each in self._directory.iterdir() if each.name.isascii() and each.name.isdigit()]
        except OSError:
            return []
        return ["current", *sorted(numbered, key=int)]

    def _open(self, name: str) -> int | None:
        try:
            return os.open(self._directory / name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return None


def _identity(fd: int) -> tuple[int, int]:
    facts = os.fstat(fd)
    return facts.st_dev, facts.st_ino


class _Bell:
    """Rings when something in the directory changed. The end of the directory itself rings through the files deleted from it: while we
    have one of them open, the kernel does not tell of the directory (its entry in the cache is still in use).
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._inotify = Inotify()
        self._readable = asyncio.Event()
        self._is = self._what_is_there()
        try:
            self._inotify.watch(str(directory), _NEWS)
        except OSError:
            self._readable.set()  # it is gone already; ``rung`` finds out
        asyncio.get_running_loop().add_reader(self._inotify.fileno(), self._readable.set)

    async def rung(self) -> bool:
        """Wait for a change. False: the directory is gone, or another worker's by now."""
        await self._readable.wait()
        self._readable.clear()
        self._inotify.read()
        return self._is is not None and self._what_is_there() == self._is

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._inotify.fileno())
        self._inotify.close()

    def _what_is_there(self) -> tuple[int, int] | None:
        try:
            facts = self._directory.stat()
        except OSError:
            return None
        return facts.st_dev, facts.st_ino

"""One worker's stdout and stderr: a pipe, copied into files that are rotated and bounded.

Owns the pipe's reading end and the files. It reads a bounded piece a turn, and after a large one it waits, so that a worker that writes
without end waits in its own write(2) and takes nothing from others. A full disk loses output, counted, and nothing else.
"""

import os
from collections.abc import Callable
from typing import Final

from foreman.kernel.loop import READ, Loop
from foreman.supervisor.start_request import Output

CHUNK_BYTES: Final = 64 << 10
RATE_BYTES_S: Final = 16 << 20
_LARGE_BYTES: Final = 16 << 10
_DRAIN_BYTES: Final = 1 << 20
"""At most what a pipe can hold: with no writer left, all of it."""


class WorkerOutput:
    def __init__(self, loop: Loop, spec: Output, pipe: int, on_lost: Callable[[int, int], None]) -> None:
        """``pipe``: the reading end, not blocking, ours from now on.

        ``on_lost``: called when a file fails anew, with the bytes lost so far and the errno.
        """
        self._loop, self._spec, self._pipe, self._on_lost = loop, spec, pipe, on_lost
        self._file: int | None = None
        self._size = 0
        self._failing = False
        self.lost_bytes = 0
        loop.watch(pipe, self._on_readable)

    def close(self) -> None:
        """Take what is still in the pipe, then let go of everything. Only when no process of the worker lives."""
        taken = 0
        while self._pipe >= 0 and taken < _DRAIN_BYTES and (size := self._copy()):
            taken += size
        self._close_pipe()
        self._close_file()

    def _on_readable(self, _events: int) -> None:
        size = self._copy()
        if size is None:
            return
        if size == 0:
            self._close_pipe()
        if size >= _LARGE_BYTES:
            self._loop.change(self._pipe, 0)
            self._loop.after(size / RATE_BYTES_S, self._go_on)

    def _go_on(self) -> None:
        if self._pipe >= 0:
            self._loop.change(self._pipe, READ)

    def _copy(self) -> int | None:
        """Bytes taken from the pipe; 0 at its end; None when there is nothing now."""
        try:
            data = os.read(self._pipe, CHUNK_BYTES)
        except BlockingIOError:
            return None
        if data:
            self._write(data)
        return len(data)

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._write_some(rest) :]
        except OSError as error:
            self.lost_bytes += len(rest)
            self._close_file()
            if not self._failing:
                self._failing = True
                self._on_lost(self.lost_bytes, error.errno or 0)
            return
        self._failing = False

    def _write_some(self, data: memoryview) -> int:
        if self._file is None:
            self._open()
        if self._size >= self._spec.max_bytes:
            self._rotate()
        assert self._file is not None
        written = os.write(self._file, data[: self._spec.max_bytes - self._size])
        self._size += written
        return written

    def _open(self) -> None:
        try:
            self._file = self._open_current()
        except FileNotFoundError:
            os.mkdir(self._spec.directory, 0o700)
            self._file = self._open_current()
        self._size = os.fstat(self._file).st_size

    def _open_current(self) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        return os.open(f"{self._spec.directory}/current", flags, 0o600)

    def _rotate(self) -> None:
        self._close_file()
        names = ["current", *(str(number) for number in range(1, self._spec.files))]
        if len(names) == 1:
            os.unlink(f"{self._spec.directory}/current")
        for older, newer in reversed(list(zip(names[1:], names, strict=False))):
            try:
                os.rename(f"{self._spec.directory}/{newer}", f"{self._spec.directory}/{older}")
            except FileNotFoundError:
                continue
        self._open()

    def _close_pipe(self) -> None:
        if self._pipe >= 0:
            self._loop.forget(self._pipe)
            os.close(self._pipe)
            self._pipe = -1

    def _close_file(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

"""How processes that share a directory file hear of one another's commits: inotify on a small file beside it.

The writer opens the bell before COMMIT and closes it after. The close is what rings (IN_CLOSE_WRITE), and the kernel does it even for
a writer killed between the two, so no commit goes unheard; nothing is ever written, so a full disk does not matter. Inotify on
the -wal file itself would ring before the commit can be seen; a socket to each reader would need a register of readers.
"""

import contextlib
import os
from collections.abc import Iterator

from foreman.kernel import inotify


@contextlib.contextmanager
def ringing(path: str) -> Iterator[None]:
    """Ring when the block is left, however that is."""
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        yield
    finally:
        os.close(fd)


class BellListener:
    """Hears the bell at ``path``. ``fileno()`` for the event loop, :meth:`heard` when it is readable."""

    def __init__(self, path: str) -> None:
        """Raises OSError: no inotify instance to be had, or the file cannot be made."""
        self._path = path
        self._inotify = inotify.Inotify()
        try:
            self._listen()
        except OSError:
            self._inotify.close()
            raise

    def fileno(self) -> int:
        return self._inotify.fileno()

    def heard(self) -> bool:
        """Whether it rang since the last look. A bell somebody removed is made again, and counts as rung: a ring may be missed.

        Raises OSError when it cannot be made again: this listener is deaf from then on.
        """
        events = self._inotify.read()
        if any(event.mask & (inotify.IN_IGNORED | inotify.IN_MOVE_SELF) for event in events):
            self._listen()
        return bool(events)

    def close(self) -> None:
        self._inotify.close()

    def _listen(self) -> None:
        os.close(os.open(self._path, os.O_CREAT | os.O_RDONLY | os.O_CLOEXEC, 0o600))
        self._inotify.watch(self._path, inotify.IN_CLOSE_WRITE | inotify.IN_DELETE_SELF | inotify.IN_MOVE_SELF)

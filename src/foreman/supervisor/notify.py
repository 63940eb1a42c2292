"""The notify socket: what workers say of themselves, as datagrams (sd_notify(3)).

Owns RUN/notify.sock. A datagram is believed only from a process of the worker it speaks for, by the kernel's word (SCM_CREDENTIALS); others
are dropped. Descriptors that come along are closed at once, which is what BARRIER=1 waits for. One turn takes a bounded number
of datagrams and joins those of one worker, so a flood costs its sender more than it costs others.

The socket is 0600 in a 0700 directory. A worker that runs as another user could not reach it; the first start of one opens the way
(:meth:`NotifySocket.admit_other_users`): 0622 on the socket, search on the directory. Whoever writes is still checked as above.
"""

import array
import os
import socket
import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from foreman.kernel.loop import Loop
from foreman.supervisor.protocol import MAX_ENDPOINT_CHARS, MAX_STATUS_CHARS, Notified
from foreman.supervisor.watchdog import Watchdog
from foreman.supervisor.worker import Worker

MAX_DATAGRAM_BYTES: Final = 8_192
DATAGRAMS_PER_TURN: Final = 256
_MAX_EXTEND_S: Final = 86_400.0
_CREDENTIALS: Final = struct.Struct("3i")
_MAX_DESCRIPTORS: Final = 253
"""The kernel's own bound for one datagram (SCM_MAX_FD)."""
_ANCILLARY_BYTES: Final = socket.CMSG_SPACE(_CREDENTIALS.size) + socket.CMSG_SPACE(_MAX_DESCRIPTORS * array.array("i").itemsize)


class NotifySocket:
    def __init__(
        self, loop: Loop, path: str, watchdog: Watchdog, sender: Callable[[int], Worker | None], on_news: Callable[[Notified], None]
    ) -> None:
        """``sender``: the worker a process belongs to. ``on_news``: called with what changed. Takes over a path left by a predecessor."""
        self._path, self._watchdog, self._sender, self._on_news = path, watchdog, sender, on_news
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind(path)
        os.chmod(path, 0o600)
        loop.watch(self._socket.fileno(), self._on_readable)

    def admit_other_users(self) -> None:
        os.chmod(self._path, 0o622)  # noqa: S103 - writing is all it allows, and every writer is checked
        directory = os.path.dirname(self._path)
        os.chmod(directory, os.stat(directory).st_mode | 0o011)  # noqa: S103 - search only

    def _on_readable(self, _events: int) -> None:
        said: dict[int, tuple[Worker, Notified]] = {}
        for _ in range(DATAGRAMS_PER_TURN):
            try:
                received = self._receive()
            except BlockingIOError:
                break
            if received is not None:
                worker, text = received
                before = said.get(worker.pid, (worker, Notified(worker.id, worker.incarnation)))[1]
                said[worker.pid] = worker, self._understand(worker, text, before)
        for worker, told in said.values():
            fresh = worker.learn(told)
            if fresh is not None:
                self._on_news(fresh)

    def _receive(self) -> tuple[Worker, str] | None:
        """Whose datagram it is, and what it holds. None: not to be believed, or not to be read."""
        data, ancillary, flags, _ = self._socket.recvmsg(MAX_DATAGRAM_BYTES, _ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC)
        pid = 0
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                _close_all(content)
            elif level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
                pid = _CREDENTIALS.unpack_from(content)[0]
        if flags & socket.MSG_TRUNC or pid <= 0:
            return None
        worker = self._sender(pid)
        return None if worker is None else (worker, data.decode("utf-8", "replace"))

    def _understand(self, worker: Worker, text: str, before: Notified) -> Notified:
        """``before`` with what the lines say. A line that is not understood is as if it were not there."""
        facts: dict[str, object] = {}
        for line in text.split("\n"):
            name, _, value = line.partition("=")
            if (name, value) == ("WATCHDOG", "1"):
                self._watchdog.heard(worker)
            elif (name, value) == ("WATCHDOG", "trigger"):
                self._watchdog.trigger(worker)
            elif name in _MEANINGS:
                field, parse = _MEANINGS[name]
                parsed = parse(value)
                if parsed is not None:
                    facts[field] = parsed
        if isinstance(extend_s := facts.get("extend_timeout_s"), float):
            self._watchdog.extend(worker, extend_s)
        return replace(before, **facts)  # type: ignore[arg-type] # _MEANINGS pairs each field with a parser of its type


def _close_all(content: bytes) -> None:
    descriptors = array.array("i")
    descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
    for fd in descriptors:
        os.close(fd)


def _one(value: str) -> bool | None:
    return True if value == "1" else None


def _line(value: str, limit: int = MAX_STATUS_CHARS) -> str | None:
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in value[:limit])


def _endpoint(value: str) -> str | None:
    return value if value and value.isprintable() and len(value) <= MAX_ENDPOINT_CHARS else None


def _health(value: str) -> str | None:
    return _line(value) if value == "ok" or value.startswith("error:") else None


def _errno(value: str) -> int | None:
    return int(value) if value.isascii() and value.isdecimal() and len(value) < 5 else None


def _seconds(value: str) -> float | None:
    return min(int(value) / 1e6, _MAX_EXTEND_S) if value.isascii() and value.isdecimal() and len(value) <= 20 else None


_MEANINGS: Final[dict[str, tuple[str, Callable[[str], object]]]] = {
    "READY": ("ready", _one),
    "STOPPING": ("stopping", _one),
    "STATUS": ("status", _line),
    "ERRNO": ("errno", _errno),
    "EXTEND_TIMEOUT_USEC": ("extend_timeout_s", _seconds),
    "X_FOREMAN_ENDPOINT": ("endpoint", _endpoint),
    "X_FOREMAN_HEALTH": ("health", _health),
}

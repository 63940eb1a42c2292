"""Where every measured worker reports: when it became ready, and which process it is.

A thread reads the socket, so that the moment is taken when the datagram comes, whatever the benchmark is doing then. Each process is held
by a pidfd from its first report on: later signals and looks cannot hit another process that got its number.
"""

import contextlib
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

_DATAGRAM_BYTES: Final = 1024
_RECEIVE_BUFFER_BYTES: Final = 4 << 20


@dataclass(frozen=True)
class Report:
    """One start of one worker: its name, its process and when it was ready (monotonic seconds)."""

    name: str
    pid: int
    pidfd: int
    at: float

    def alive(self) -> bool:
        readable, _, _ = select.select([self.pidfd], [], [], 0)
        return not readable

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)


class Beacon:
    """The socket and what was heard on it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        self._socket.bind(str(path))
        self._heard: list[Report] = []
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.forget()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()
        self.path.unlink()

    def reports(self) -> list[Report]:
        with self._news:
            return list(self._heard)

    def wait(self, names: Collection[str], *, since: float, timeout_s: float) -> dict[str, Report]:
        """The first report of each name after ``since``. Raises TimeoutError naming how many are missing."""
        deadline = time.monotonic() + timeout_s
        with self._news:
            while True:
                found: dict[str, Report] = {}
                for report in self._heard:
                    if report.at >= since and report.name in names:
                        found.setdefault(report.name, report)
                if len(found) == len(names):
                    return found
                if not self._news.wait(max(0.0, deadline - time.monotonic())):
                    raise TimeoutError(f"{len(names) - len(found)} of {len(names)} workers not ready within {timeout_s:g} s")

    def forget(self) -> None:
        """End whatever still lives of what was heard, and begin anew."""
        with self._news:
            for report in self._heard:
                report.kill()
                os.close(report.pidfd)
            self._heard.clear()

    def _listen(self) -> None:
        while True:
            datagram = self._socket.recv(_DATAGRAM_BYTES)
            at = time.monotonic()
            if not datagram:
                return
            _, name, pid = datagram.decode().split("\n")
            try:
                pidfd = os.pidfd_open(int(pid))
            except ProcessLookupError:
                continue
            with self._news:
                self._heard.append(Report(name, int(pid), pidfd, at))
                self._news.notify_all()

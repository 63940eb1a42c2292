"""What a Python worker process is built on: who it is, how it tells its supervisor how it is, and how it ends.

    async def serve(host: Host) -> None:
        host.notify.status("reading 3 segments")          # STATUS=, shown by `foreman ls`
        host.notify.extend(30.0)                           # EXTEND_TIMEOUT_USEC=: still starting, give me 30 s from now
        …
        host.notify.endpoint(listening.endpoint)           # X_FOREMAN_ENDPOINT=
        host.notify.health(Health.ok())                    # X_FOREMAN_HEALTH=ok, or error:REASON
        host.notify.ready()                                # READY=1: only when it really serves
        await host.stopping.wait()                         # set by TERM and INT
        …                                                  # flush, close; STOPPING=1 has been said already

    def main() -> None:
        run_worker(serve)

The process is a fresh fork of a warm parent: single-threaded, no loop. :func:`run_worker` gives it a uvloop and pings the watchdog
from that very loop, so a loop that is stuck goes silent and is killed. ``raise WorkerFailed("…")`` ends the process with exit code 1
and the reason as its last status. Owns nothing on disk and decides nothing.
"""

import asyncio
import contextlib
import errno
import gc
import json
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import uvloop

from foreman.core.health import Health, HealthStatus

_RETRY_S: Final = 0.05
_MAX_TEXT: Final = 1000
_GC_THRESHOLD: Final = (20_000, 20, 50)
"""Requests make many small objects and hardly a cycle: the default of 700 looks for garbage after a few dozen of them, in vain."""


class WorkerFailed(Exception):
    """The worker cannot go on; ``str`` of it is the reason that people will read."""


@dataclass(frozen=True, slots=True)
class WorkerEnvironment:
    """What the supervisor gave this worker. ``data`` is its current directory, ``run`` holds its sockets, times are seconds."""

    id: str
    kind: str
    cluster: str
    incarnation: str
    params: Mapping[str, Any]
    data: str
    run: str
    foreman_address: str | None
    notify_socket: str | None
    watchdog_s: float | None

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> "WorkerEnvironment":
        """Raises WorkerFailed, naming what is missing, when this process was not started as a worker."""
        try:
            params = json.loads(environ.get("FOREMAN_PARAMS", "{}"))
        except ValueError as error:
            raise WorkerFailed(f"FOREMAN_PARAMS is not JSON: {error}") from None
        if not isinstance(params, dict):
            raise WorkerFailed("FOREMAN_PARAMS is not a JSON object")
        missing = [name for name in ("FOREMAN_WORKER_ID", "FOREMAN_RUN") if not environ.get(name)]
        if missing:
            raise WorkerFailed(f"not started as a worker: {', '.join(missing)} is not in the environment")
        watchdog_us = environ.get("WATCHDOG_USEC", "")
        return cls(
            id=environ["FOREMAN_WORKER_ID"],
            kind=environ.get("FOREMAN_KIND", ""),
            cluster=environ.get("FOREMAN_CLUSTER", ""),
            incarnation=environ.get("FOREMAN_INCARNATION", ""),
            params=params,
            data=os.getcwd(),
            run=environ["FOREMAN_RUN"],
            foreman_address=environ.get("FOREMAN_ADDRESS") or None,
            notify_socket=environ.get("NOTIFY_SOCKET") or None,
            watchdog_s=int(watchdog_us) / 1e6 if watchdog_us.isdigit() and int(watchdog_us) else None,
        )


class Notifier:
    """sd_notify(3) to whoever started this worker; without NOTIFY_SOCKET it is silent. On the loop only, never blocks.

    The last value of each field is kept until the socket takes it: a supervisor that is busy gets the newest news, not all of it.
    """

    def __init__(self, address: str | None) -> None:
        self._address = address if address is None or not address.startswith("@") else "\0" + address[1:]
        self._socket = None if address is None else socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._unsent: dict[str, str] = {}
        self._retry: asyncio.TimerHandle | None = None

    def ready(self) -> None:
        self.send(READY="1")

    def status(self, text: str) -> None:
        self.send(STATUS=text)

    def endpoint(self, endpoint: str) -> None:
        self.send(X_FOREMAN_ENDPOINT=endpoint)

    def health(self, health: Health) -> None:
        """Only ok and error are a worker's to say."""
        self.send(X_FOREMAN_HEALTH="ok" if health.status is HealthStatus.OK else f"error:{health.reason or 'unknown'}")

    def extend(self, timeout_s: float) -> None:
        """Ask for ``timeout_s`` seconds from now before the start or stop counts as failed."""
        self.send(EXTEND_TIMEOUT_USEC=str(int(timeout_s * 1e6)))

    def stopping(self) -> None:
        self.send(STOPPING="1")

    def failed(self, reason: str, errno_: int | None = None) -> None:
        """The last words before a process that failed ends."""
        self.send(STATUS=reason, X_FOREMAN_HEALTH=f"error:{reason}", **({} if errno_ is None else {"ERRNO": str(errno_)}))

    def watchdog(self) -> None:
        """Still alive. Dropped, not kept, when the socket is full: a late ping would lie."""
        if not self._unsent:
            self._try_send({"WATCHDOG": "1"})

    def send(self, **fields: str) -> None:
        for name, value in fields.items():
            self._unsent.pop(name, None)
            self._unsent[name] = value.replace("\n", " ")[:_MAX_TEXT]
        self._flush()

    def _flush(self) -> None:
        self._retry = None
        if self._unsent and self._try_send(self._unsent):
            self._unsent = {}
        elif self._unsent and self._retry is None:
            with contextlib.suppress(RuntimeError):  # no loop runs any more: the last words were not heard
                self._retry = asyncio.get_running_loop().call_later(_RETRY_S, self._flush)

    def _try_send(self, fields: Mapping[str, str]) -> bool:
        """Whether it is off, or can never be: a supervisor that has gone takes its workers with it, so nobody is left to tell."""
        if self._socket is None or self._address is None:
            return True
        datagram = "".join(f"{name}={value}\n" for name, value in fields.items()).encode("utf-8", "backslashreplace")
        try:
            self._socket.sendto(datagram, self._address)
        except OSError as error:
            return error.errno not in {errno.EAGAIN, errno.ENOBUFS}
        return True


class Host:
    """This worker process: ``environment``, ``notify``, and ``stopping``, set when it is asked to end."""

    def __init__(self, environment: WorkerEnvironment) -> None:
        self.environment = environment
        self.notify = Notifier(environment.notify_socket)
        self.stopping = asyncio.Event()

    def stop(self) -> None:
        """As TERM does."""
        if not self.stopping.is_set():
            self.notify.stopping()
            self.stopping.set()

    def ping_watchdog(self) -> None:
        """Ping now and again three times in each watchdog period, for as long as the loop turns."""
        if self.environment.watchdog_s is not None:
            self.notify.watchdog()
            asyncio.get_running_loop().call_later(self.environment.watchdog_s / 3, self.ping_watchdog)


async def _run(serve: Callable[[Host], Awaitable[None]]) -> int:
    environment = WorkerEnvironment.from_environ()
    host = Host(environment)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, host.stop)
    host.ping_watchdog()
    try:
        await serve(host)
    except WorkerFailed as failure:
        host.notify.failed(str(failure))
        print(f"{environment.kind} {environment.id}: {failure}", file=sys.stderr, flush=True)  # noqa: T201 - stderr is its output log
        return 1
    return 0


def run_worker(serve: Callable[[Host], Awaitable[None]]) -> None:
    """Run ``serve`` on a uvloop until it returns; raises SystemExit(1) when it failed."""
    gc.set_threshold(*_GC_THRESHOLD)
    try:
        code = uvloop.run(_run(serve))  # type: ignore[arg-type, unused-ignore]
    except WorkerFailed as failure:
        print(failure, file=sys.stderr, flush=True)  # noqa: T201 - as above
        code = 1
    if code:
        raise SystemExit(code)

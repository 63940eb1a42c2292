"""The worker supervisor, put together: it does what a server asks, tells what happens, and ends when nobody wants it any more.

It holds no policy: it restarts nothing and judges nothing. By itself it does one thing only: without a server for ``orphan_grace_s`` (or
``start_grace_s``, before the first came) it stops its workers in order and ends, and so it does on TERM.
"""

import os
import signal
from typing import Final

from foreman.kernel.loop import Loop
from foreman.kernel.processes import become_subreaper, raise_descriptor_limit, set_name
from foreman.supervisor.children import ChildTable
from foreman.supervisor.link import Answer, ServerLink
from foreman.supervisor.notify import NotifySocket
from foreman.supervisor.protocol import (
    PROTOCOL_VERSION,
    Ack,
    Configure,
    Hello,
    List,
    Refusal,
    Refused,
    Request,
    Shutdown,
    Signal,
    WatchdogOverdue,
    Welcome,
)
from foreman.supervisor.spawn import Spawner
from foreman.supervisor.start_request import StartRequest
from foreman.supervisor.stopping import OrderedStop
from foreman.supervisor.watchdog import Watchdog
from foreman.supervisor.worker import Worker

_LAST_WORDS_S: Final = 2.0
"""How long a server gets to take the last news."""


class Supervisor:
    def __init__(self, run: str, orphan_grace_s: float, start_grace_s: float) -> None:
        """Listens in ``run`` from here on. Whoever makes one holds that directory's lock."""
        set_name("fm-supervisor")
        become_subreaper()
        self._loop = Loop()
        self._start_id = os.urandom(8).hex()
        self._spawner = Spawner(raise_descriptor_limit())
        self._link = ServerLink(self._loop, f"{run}/supervisor.sock", self)
        self._children = ChildTable(self._loop, self._spawner, self._link.publish, self._on_end)
        watchdog = Watchdog(self._loop, self._on_overdue)
        self._notify = NotifySocket(self._loop, f"{run}/notify.sock", watchdog, self._children.of_process, self._link.publish)
        self._stop = OrderedStop(self._loop, self._children, self._on_stopped)
        self._stopped = False
        self._orphan_grace_s = orphan_grace_s
        self._orphan = self._loop.after(start_grace_s, self._stop.begin)
        for signum in (signal.SIGTERM, signal.SIGINT):
            self._loop.on_signal(signum, self._stop.begin)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def run(self, modules: tuple[str, ...]) -> None:
        """Import what workers need, then serve. Returns when all workers are gone and nobody wants more."""
        self._spawner.preload(modules)
        self._loop.run()

    def welcome(self) -> Welcome:
        return Welcome(PROTOCOL_VERSION, os.getpid(), self._start_id, self._stop.begun)

    def do(self, request: Request, answer: Answer) -> None:
        """Raises Refused."""
        match request:
            case StartRequest():
                self._start(request, answer)
            case Signal(id, incarnation, signum, group):
                self._children.signal(self._children.get(id, incarnation), signum, group=group)
                answer({})
            case List():
                answer({"workers": [worker.view() for worker in self._children.workers()]})
            case Configure(orphan_grace_s):
                self._orphan_grace_s = orphan_grace_s
                answer({})
            case Shutdown(now):
                answer({})
                self._stop.begin(now=now)
            case Hello() | Ack():
                raise AssertionError("the link itself answers these")

    def _start(self, request: StartRequest, answer: Answer) -> None:
        if self._stop.begun:
            raise Refused(Refusal("stopping", "this supervisor is on its way out"))
        if self._link.news.has_ended(request.incarnation):
            raise Refused(Refusal("already_ended", f"incarnation {request.incarnation} has run and ended"))
        if self._link.news.full:
            raise Refused(Refusal("news_full", "too much news waits for an acknowledgement"))
        if request.user is not None:
            self._notify.admit_other_users()
        self._children.start(request, answer)

    def on_link(self) -> None:
        """Workers have a server, or run on for their grace. Once all are gone, the last news being taken is the end."""
        self._orphan.cancel()
        if not self._link.attached:
            self._orphan = self._loop.after(self._orphan_grace_s, self._stop.begin)
        if self._stopped and (self._link.news.empty or not self._link.attached):
            self._loop.stop()

    def _on_overdue(self, worker: Worker) -> None:
        self._link.publish(WatchdogOverdue(worker.id, worker.incarnation))

    def _on_end(self, worker: Worker) -> None:
        self._stop.on_end(worker)

    def _on_stopped(self) -> None:
        """Nothing lives any more. The server, if there is one, gets a moment to take the last news."""
        self._stopped = True
        self._loop.after(_LAST_WORDS_S, self._loop.stop)
        self.on_link()

"""One worker as the supervisor knows it: what was asked, what it said, how it ended. A record; the child table changes it."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from foreman.kernel.files import LockedFile
from foreman.kernel.loop import Timer
from foreman.supervisor.news import NOTHING_SAID, merged
from foreman.supervisor.output import WorkerOutput
from foreman.supervisor.protocol import Exited, Notified, Refusal, RunningWorker, Started, StartFailed
from foreman.supervisor.start_request import StartRequest

_LASTING: Final = ("ready", "stopping", "status", "endpoint", "health", "errno")

StartWaiter = Callable[[Started | Refusal], None]
"""Somebody who asked for the start and is told how it went."""


@dataclass(slots=True)
class Worker:
    request: StartRequest
    pid: int
    lock: LockedFile
    report: int | None
    """Where the child tells how its start went. None: it has."""
    output: WorkerOutput
    started_at: float
    waiters: list[StartWaiter] = field(default_factory=list)
    failure: StartFailed | None = None
    wait_status: int | None = None
    """How its leader ended. None: it lives."""
    said: Notified = field(init=False)
    """All it has said of itself, the newest of each."""
    silent_from: float | None = None
    """When the watchdog is overdue, if nothing is heard. None: the watchdog is not running."""
    watch_timer: Timer | None = None

    def __post_init__(self) -> None:
        self.said = Notified(self.id, self.incarnation)

    @property
    def id(self) -> str:
        return self.request.id

    @property
    def incarnation(self) -> str:
        return self.request.incarnation

    def learn(self, said: Notified) -> Notified | None:
        """Remember what it said; return what of it is new, None when nothing is."""
        known = {name: NOTHING_SAID[name] for name in _LASTING if getattr(said, name) == getattr(self.said, name)}
        fresh = replace(said, **known)
        self.said = merged(self.said, said)
        return None if fresh == Notified(self.id, self.incarnation) else fresh

    def understand(self, report: bytes) -> Started | StartFailed:
        """The start report: one sign when the program runs, an object when it cannot; nothing when exec closed the pipe."""
        if report in {b"", b"+"}:
            return Started(self.id, self.incarnation, self.pid)
        try:
            facts = json.loads(report)
            self.failure = StartFailed(self.id, self.incarnation, str(facts["reason"]), facts.get("errno"), facts.get("path"))
        except (ValueError, KeyError, TypeError):  # cut short
            self.failure = StartFailed(self.id, self.incarnation, report.decode("utf-8", "replace"))
        return self.failure

    def view(self) -> RunningWorker:
        said, lost_bytes = self.said, self.output.lost_bytes
        return RunningWorker(
            self.id, self.incarnation, self.pid, self.started_at, said.ready, said.status, said.endpoint, said.health, lost_bytes
        )

    def end(self) -> Exited | StartFailed:
        """The last news of it. Only when nothing of it lives."""
        if self.failure is not None:
            return self.failure
        assert self.wait_status is not None
        code = os.waitstatus_to_exitcode(self.wait_status)
        return Exited(self.id, self.incarnation, self.pid, code if code >= 0 else None, -code if code < 0 else None)

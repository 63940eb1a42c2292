"""What people and programs get to hear: Reply to the caller, changes to the log, the metrics and the event stream."""

from typing import assert_never

import structlog

from foreman.core.effects import Measured, PeopleEffect, PublishChange, PublishHealth, PublishRemoval, Reply
from foreman.core.views import HealthChanged, WorkerChanged, WorkerRemoved
from foreman.node.clock import wall_s
from foreman.node.event_stream import EventStream
from foreman.node.metrics import Metrics
from foreman.node.requests import Requests

log = structlog.get_logger("foreman.health")


class People:
    def __init__(self, requests: Requests, stream: EventStream, metrics: Metrics) -> None:
        self._requests = requests
        self._stream = stream
        self._metrics = metrics

    def do(self, effect: PeopleEffect) -> None:
        match effect:
            case Reply(request, outcome):
                self._requests.answer(request, outcome)
            case PublishChange():
                self._changed(effect)
            case PublishRemoval(id, kind):
                at = wall_s()
                self._metrics.observe_event(self._stream.publish(lambda n: WorkerRemoved(n, at, id, kind)))
                log.info("worker removed", id=id, kind=kind)
            case PublishHealth(health, previous):
                at = wall_s()
                self._metrics.observe_event(self._stream.publish(lambda n: HealthChanged(n, at, health, previous)))
                log.info("node health", health=str(health), previous=str(previous))
            case Measured("recovery", kind, seconds):
                self._metrics.crash_to_ready_seconds(kind, seconds)
            case Measured(_, kind, seconds):
                self._metrics.start_seconds(kind, seconds)
            case _:
                assert_never(effect)

    def _changed(self, change: PublishChange) -> None:
        at = wall_s()
        event = self._stream.publish(
            lambda number: WorkerChanged(
                sequence=number,
                at=at,
                id=change.id,
                kind=change.kind,
                state=change.state,
                previous_state=change.previous_state,
                health=change.health,
                pid=change.pid,
                incarnation=change.incarnation,
                reason=change.reason,
            )
        )
        self._metrics.observe_event(event)
        tell = log.error if change.escalate else log.info
        tell(
            "worker given up" if change.escalate else "worker changed",
            id=change.id,
            kind=change.kind,
            state=change.state,
            previous_state=change.previous_state,
            health=str(change.health),
            pid=change.pid,
            reason=change.reason,
        )

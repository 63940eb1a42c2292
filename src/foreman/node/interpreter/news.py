"""What the supervisor says, as facts for the machine. Pure."""

from collections.abc import Callable
from typing import Final

from foreman.core import events as on
from foreman.core.health import Health
from foreman.core.ids import Incarnation, WorkerId
from foreman.node.clock import monotonic_s
from foreman.node.inbox import Fact
from foreman.node.launching import signal_name
from foreman.supervisor.protocol import (
    Exited,
    News,
    Notified,
    OutputLost,
    Refusal,
    RunningWorker,
    Started,
    StartFailed,
    WatchdogOverdue,
)

_ERROR: Final = "error:"
Told = tuple[Fact, ...]


def facts_of(news: News) -> Told:
    """What a worker says of itself comes before its readiness, so that whoever waits for that sees all of it."""
    id, incarnation = WorkerId(news.id), Incarnation(news.incarnation)
    match news:
        case Started(pid=pid):
            return (lambda at: on.WorkerStarted(at, id, incarnation, pid),)
        case StartFailed():
            return (lambda at: on.StartRefused(at, id, incarnation, on.RefusalReason.FAILED, failure(news)),)
        case Notified():
            return _said(news, id, incarnation)
        case WatchdogOverdue():
            return (lambda at: on.WorkerSilent(at, id, incarnation),)
        case Exited(code=code, signal=signum):
            signal = None if signum is None else signal_name(signum)
            return (lambda at: on.WorkerExited(at, id, incarnation, code, signal),)
        case OutputLost():
            return ()


def _said(news: Notified, id: WorkerId, incarnation: Incarnation) -> Told:
    told: list[Callable[[on.Moment], on.Event]] = []
    silent = (news.status, news.endpoint, news.health, news.errno, news.extend_timeout_s) == (None,) * 5 and not news.stopping
    if not silent:
        told.append(
            lambda at: on.WorkerSaid(
                at,
                id,
                incarnation,
                status_text=news.status,
                endpoint=news.endpoint,
                health=health_of(news.health),
                extend_s=news.extend_timeout_s,
                stopping=news.stopping,
                errno=news.errno,
            )
        )
    if news.ready:
        told.append(lambda at: on.WorkerReady(at, id, incarnation))
    return tuple(told)


def health_of(word: str | None) -> Health | None:
    """X_FOREMAN_HEALTH as the supervisor passes it on: "ok" or "error:REASON"; None: not said."""
    if word is None:
        return None
    return Health.error(word.removeprefix(_ERROR) or "no reason given") if word.startswith(_ERROR) else Health.ok()


def running_of(found: RunningWorker) -> on.RunningWorker:
    """A worker that the supervisor has, as the machine adopts it."""
    return on.RunningWorker(
        id=WorkerId(found.id),
        incarnation=Incarnation(found.incarnation),
        pid=found.pid,
        ready=found.ready,
        status_text=found.status,
        endpoint=found.endpoint,
        health=health_of(found.health),
        age_s=max(monotonic_s() - found.started_at, 0.0),
    )


def refusal_of(refusal: Refusal, id: WorkerId, incarnation: Incarnation) -> Fact:
    """Why a start was not done. ``already_ended``: it ran and is gone, though nobody here saw how."""
    match refusal.code:
        case "busy":
            return lambda at: on.StartRefused(at, id, incarnation, on.RefusalReason.BUSY, refusal.detail)
        case "already_ended":
            return lambda at: on.WorkerExited(at, id, incarnation, None, None)
        case _:
            where = f" ({refusal.path})" if refusal.path else ""
            return lambda at: on.StartRefused(at, id, incarnation, on.RefusalReason.FAILED, refusal.detail + where)


def failure(news: StartFailed) -> str:
    """Why its program could not be run, in a sentence."""
    return f"{news.reason}: {news.path}" if news.path else news.reason

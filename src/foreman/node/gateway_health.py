"""What the gateway shows of the node's health: folded from the node's own events, so that nobody in the cluster has to ask the node.

Pure, but for the following itself. A worker that starts, or waits for its next start, ails too: it is not ok; only the gateway's patience
(``HEALTH_COALESCE_S``) keeps what is over in a moment from being written.
"""

from collections.abc import AsyncIterator, Callable, Iterable

from foreman.core.health import Health, HealthStatus
from foreman.core.interface import ForemanInterface
from foreman.core.views import HealthChanged, NodeEvent, WorkerChanged, WorkerInfo, WorkerRemoved
from foreman.directory.checks import fitting
from foreman.directory.health_record import MAX_AILING, MAX_REASON, AilingWorker, HealthRecord

_NOT_AILING = frozenset({HealthStatus.OK, HealthStatus.STOPPED})


class HealthFold:
    """The node's health so far; each event costs what it changed."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._health = Health.ok()
        self._ailing: dict[str, AilingWorker] = {}

    def begin(self, health: Health, infos: Iterable[WorkerInfo]) -> None:
        """All of it, as it is now."""
        self._health, self._ailing = health, {}
        for info in infos:
            self._see(info.id, info.kind, info.state, info.health)

    def see(self, event: NodeEvent) -> None:
        """One more event."""
        match event:
            case WorkerChanged():
                self._see(event.id, event.kind, event.state, event.health)
            case WorkerRemoved(id=id):
                self._ailing.pop(id, None)
            case HealthChanged(health=health):
                self._health = health

    def _see(self, id: str, kind: str, state: str, health: Health) -> None:
        if health.status in _NOT_AILING:
            self._ailing.pop(id, None)
        else:
            self._ailing[id] = AilingWorker(id, _clean(kind), state, health.status.value, _clean(health.reason))

    def record(self) -> HealthRecord:
        """For the directory, bounded."""
        shown = sorted(self._ailing.values(), key=lambda worker: (not worker.given_up, worker.id))[:MAX_AILING]
        more = len(self._ailing) - len(shown)
        return HealthRecord(self._node, self._health.status.value, _clean(self._health.reason), tuple(shown), more)


async def read_health(foreman: ForemanInterface, fold: HealthFold) -> None:
    """The whole, as it is now."""
    fold.begin(await foreman.health(), await foreman.infos())


async def follow_health(events: AsyncIterator[NodeEvent], foreman: ForemanInterface, fold: HealthFold, changed: Callable[[], None]) -> None:
    """Until the node's events end. ``events`` begin before :func:`read_health`; ``changed`` is called after each change of ``fold``."""
    last: int | None = None
    async for event in events:
        if last is not None and event.sequence != last + 1:  # so far behind that events were lost
            await read_health(foreman, fold)
        last = event.sequence
        fold.see(event)
        changed()


def _clean(reason: str | None) -> str:
    return fitting(reason or "", MAX_REASON)

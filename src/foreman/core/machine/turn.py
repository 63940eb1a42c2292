"""One event being handled: what it changes, what it asks for, and why, gathered until the turn is over.

At the end of a turn, in this order: workers whose turn has come are started, changes are published, the directory is told, and
only then are callers answered. So nobody is answered before what the answer promises was asked for.
"""

from collections.abc import Callable

from foreman.core.effects import (
    Advertise,
    CancelTimer,
    Effect,
    Measured,
    Outcome,
    PublishChange,
    PublishHealth,
    PublishRemoval,
    Reply,
    SetTimer,
    Withdraw,
)
from foreman.core.errors import ForemanTimeout
from foreman.core.events import Moment, Timer, TimerKind
from foreman.core.ids import Incarnation, RequestId, WorkerId
from foreman.core.lifecycle import Move, State, row
from foreman.core.machine.node import Node, Request
from foreman.core.machine.worker import Worker, health_of
from foreman.core.views import ServiceInfo, StoryLine

_MASK = 2**64 - 1


class InvalidMove(AssertionError):
    """A bug in the machine: a move the lifecycle table does not have. Carries the worker's story."""


class Turn:
    """The hands of the verbs: they change a worker only through this."""

    def __init__(self, node: Node, at: Moment, event: str) -> None:
        self.node, self.at, self.event = node, at, event
        self.now = at.monotonic
        self.effects: list[Effect] = []
        self._replies: list[Reply] = []
        self._dirty: dict[WorkerId, Worker] = {}
        self._advertise: list[ServiceInfo] = []
        self._withdraw: list[WorkerId] = []
        self._drawn = 0
        self._afterwards: list[Callable[[], None]] = []

    # --- chance ---

    def fresh(self) -> Incarnation:
        """A name never used before: 16 hex digits from the event's entropy (splitmix64, Steele et al. 2014)."""
        return Incarnation(f"{self._draw():016x}")

    def chance(self) -> float:
        """A number in [0, 1)."""
        return self._draw() / 2**64

    def _draw(self) -> int:
        self._drawn += 1
        z = (self.at.entropy + self._drawn * 0x9E3779B97F4A7C15) & _MASK
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        return z ^ (z >> 31)

    # --- what is asked for ---

    def do(self, effect: Effect) -> None:
        self.effects.append(effect)

    def reply(self, request: RequestId, outcome: Outcome) -> None:
        self._replies.append(Reply(request, outcome))

    def expect(self, request: Request, id: RequestId, timeout_s: float) -> None:
        """Remember a request and set its deadline."""
        self.node.requests[id] = request
        self.do(SetTimer(Timer(TimerKind.REQUEST, str(id)), self.now + timeout_s))

    def settle(self, id: RequestId, outcome: Outcome) -> None:
        """Answer a remembered request, once."""
        if self.node.requests.pop(id, None) is not None:
            self.do(CancelTimer(Timer(TimerKind.REQUEST, str(id))))
            self.reply(id, outcome)

    def settle_late(self, id: RequestId, what: str, timeout_s: float, late: dict[str, str]) -> None:
        """Answer a remembered request with the time-out, naming who is late; what it asked for goes on."""
        self.settle(id, ForemanTimeout(what, timeout_s, late))

    def set_timer(self, kind: TimerKind, worker: Worker, at: float) -> None:
        self.do(SetTimer(Timer(kind, worker.id), at))

    def cancel_timer(self, kind: TimerKind, worker: Worker) -> None:
        self.do(CancelTimer(Timer(kind, worker.id)))

    def afterwards(self, act: Callable[[], None]) -> None:
        """Do this once the event itself has been dealt with: a consequence for others must not change a worker in mid-move."""
        self._afterwards.append(act)

    def conclude(self) -> None:
        """Deal with the consequences, and theirs."""
        while self._afterwards:
            self._afterwards.pop(0)()

    # --- what changes ---

    def move(self, worker: Worker, move: Move, reason: str = "") -> None:
        """Take the table's row, tell the story, keep the indexes."""
        taken = row(worker.state, move)
        if taken is None:
            raise InvalidMove(f"{worker.id}: no move {move} from {worker.state}; its story: {list(worker.story)}")
        self.tell(worker, taken.sentence, reason)
        old, worker.state = worker.state, taken.target
        self.node.moved(worker, old, taken.target)
        if taken.target is None:
            self.node.forget(worker)
            self._dirty.pop(worker.id, None)
            self.do(PublishRemoval(worker.id, worker.kind))
        else:
            self.dirty(worker)

    def tell(self, worker: Worker, decision: str, reason: str = "") -> None:
        worker.story.append(StoryLine(self.at.wall, self.event, decision, reason))
        worker.note = reason or decision
        if len(worker.story) > self.node.settings.story_lines:
            worker.story.popleft()

    def dirty(self, worker: Worker) -> None:
        """Something about the worker changed: publish it when the turn is over."""
        self._dirty[worker.id] = worker

    def withdraw_now(self, workers: list[Worker]) -> None:
        """Take these out of the directory and go on only when that is done (Withdrawn). One call, however many."""
        for worker in workers:
            self.node.withdraw(worker.id)
        self.do(Withdraw(tuple(worker.id for worker in workers), answer=True))

    # --- the end of the turn ---

    def publish(self) -> list[Worker]:
        """Tell the world of every worker that changed; returns them."""
        changed = list(self._dirty.values())
        for worker in changed:
            health = health_of(worker)
            shown = (worker.state, health, worker.incarnation)
            self._keep_directory_true(worker, ok=health.is_ok)
            if worker.shown != shown:
                self._publish_change(worker)
            else:
                self.node.touched(worker)
        self._dirty.clear()
        return changed

    def _publish_change(self, worker: Worker) -> None:
        previous = worker.shown[0] if worker.shown else None
        health = health_of(worker)
        self.node.show(worker, health)
        assert worker.state is not None
        self.do(
            PublishChange(
                worker.id,
                worker.kind,
                worker.state.value,
                previous.value if previous else None,
                health,
                worker.process.pid if worker.process else None,
                worker.incarnation,
                worker.note,
                escalate=worker.state is State.FAILED,
            )
        )

    def _keep_directory_true(self, worker: Worker, *, ok: bool) -> None:
        if ok and worker.id not in self.node.advertised and not self.node.ending:
            self._measure(worker)
            self._advertise.append(self.node.advertise(worker))
        elif not ok and worker.id in self.node.advertised:
            self.node.withdraw(worker.id)
            self._withdraw.append(worker.id)

    def _measure(self, worker: Worker) -> None:
        if worker.crashed_at is not None:
            self.do(Measured("recovery", worker.kind, self.now - worker.crashed_at))
        elif worker.requested_at is not None:
            self.do(Measured("start", worker.kind, self.now - worker.requested_at))
        worker.crashed_at = worker.requested_at = None

    def close(self) -> list[Effect]:
        """All that was asked for, in the order that is promised."""
        if self._withdraw:
            self.do(Withdraw(tuple(self._withdraw), answer=False))
        if self._advertise:
            self.do(Advertise(tuple(self._advertise)))
        health = self.node.aggregate()
        if health != self.node.health:
            self.do(PublishHealth(health, self.node.health))
            self.node.health = health
        return self.effects + self._replies

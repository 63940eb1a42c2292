"""The Foreman server: a loop that takes one fact from the inbox, lets the machine decide, and gives each effect to the interpreter.

Owns the machine; nobody else calls ``handle``. Never waits for an effect, so nothing slow delays anything else. Never dies of what
the machine, a worker, a client or the disk does: a bug in a decision is logged with its story, the request it was about is
answered with an error, and the node goes on, because ending would leave its workers unwatched.
"""

import asyncio
import traceback
from collections.abc import Callable
from typing import Final, Protocol

import structlog

from foreman.core.effects import Effect, EndNode, Outcome
from foreman.core.errors import ForemanError
from foreman.core.events import Command, Event, Moment
from foreman.core.ids import RequestId
from foreman.core.machine import ForemanMachine
from foreman.node.clock import now
from foreman.node.inbox import Fact, Inbox
from foreman.node.requests import Requests

log = structlog.get_logger("foreman.server")

EVENTS_BEFORE_OTHERS: Final = 64
"""Events handled in one go before sockets and timers get their turn."""


class Interpreter(Protocol):
    """Does effects. ``do`` begins and returns at once; the answer is a fact in the inbox."""

    def do(self, effect: Effect) -> None: ...


class Server:
    """``check``: state every invariant after each event; for tests, because it costs. ``boundary``: called before each event is
    handled and each effect begun; where tests kill the server.
    """

    def __init__(
        self,
        machine: ForemanMachine,
        inbox: Inbox,
        requests: Requests,
        interpreter: Interpreter,
        *,
        check: bool = False,
        boundary: Callable[[Event | Effect], None] | None = None,
    ) -> None:
        self.machine = machine
        self._inbox = inbox
        self._requests = requests
        self._interpreter = interpreter
        self._check = check
        self._boundary = boundary
        self.booted = asyncio.Event()
        """Set when the machine knows what is on disk and what runs."""
        self.broken: list[str] = []
        """With ``check``: every invariant that did not hold, and after what."""

    async def ask(self, command: Callable[[Moment, RequestId], Command]) -> Outcome:
        """Put a request to the machine and wait for its answer. Raises the ForemanError that is the answer."""
        return await self._requests.ask(command)

    def tell(self, fact: Fact) -> None:
        """Put a fact into the inbox that nobody waits for an answer to."""
        self._inbox.put(fact)

    async def run(self) -> EndNode:
        """Serve until the machine ends the node; returns how."""
        while True:
            for _ in range(EVENTS_BEFORE_OTHERS):
                ending = self._step(await self._inbox.take())
                if ending is not None:
                    return ending
            await asyncio.sleep(0)

    def _step(self, fact: Fact) -> EndNode | None:
        event = fact(now())
        if self._boundary is not None:
            self._boundary(event)
        ending: EndNode | None = None
        for effect in self._decide(event):
            if self._boundary is not None:
                self._boundary(effect)
            if isinstance(effect, EndNode):
                ending = effect  # replies of the same turn are still given
            self._begin(effect)
        if self.machine.booted:
            self.booted.set()
        return ending

    def _decide(self, event: Event) -> list[Effect]:
        try:
            effects = self.machine.handle(event)
        except Exception as bug:  # the edge of the server: whatever it is, the other workers must stay watched
            log.exception("a decision failed; the node goes on", happened=type(event).__name__, what=repr(event)[:500], why=str(bug))
            self._excuse(event, bug)
            return []
        if self._check:
            self._state_invariants(event)
        return effects

    def _state_invariants(self, event: Event) -> None:
        try:
            self.machine.check()
        except AssertionError as broken:
            self.broken.append(f"after {type(event).__name__}: {broken}")
            log.error("an invariant is broken", happened=type(event).__name__, what=str(broken))

    def _begin(self, effect: Effect) -> None:
        try:
            self._interpreter.do(effect)
        except Exception:  # as above: the interpreter answers every failure that it knows
            log.exception("an effect could not be begun", effect=repr(effect)[:500])

    def _excuse(self, event: Event, bug: Exception) -> None:
        request = getattr(event, "request", None)
        if request is not None:
            where = traceback.extract_tb(bug.__traceback__)[-1]
            self._requests.answer(request, ForemanError(f"internal error: {bug} ({where.name}); please report it"))

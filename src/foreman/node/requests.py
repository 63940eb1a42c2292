"""The calls that wait for an answer from the machine: a number for each, and the future that its Reply resolves.

Owns the numbering and the waiting callers. A caller that goes away is told to the machine, so nothing is kept for it; when the node
ends, those that still wait learn it.
"""

import asyncio
from collections.abc import Callable
from itertools import count

from foreman.core.effects import Outcome
from foreman.core.errors import ForemanError
from foreman.core.events import Command, Moment, RequestAbandoned
from foreman.core.ids import RequestId
from foreman.node.inbox import Inbox


class Requests:
    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._numbers = count(1)
        self._waiting: dict[RequestId, asyncio.Future[Outcome]] = {}
        self._ended: ForemanError | None = None

    async def ask(self, command: Callable[[Moment, RequestId], Command]) -> Outcome:
        """Put the command into the inbox and wait for its Reply. An error that is the whole outcome is raised."""
        if self._ended is not None:
            raise self._ended
        request = RequestId(next(self._numbers))
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting[request] = answer
        self._inbox.put(lambda at: command(at, request))
        try:
            return await answer
        except asyncio.CancelledError:
            self._inbox.put(lambda at: RequestAbandoned(at, request))
            raise
        finally:
            self._waiting.pop(request, None)

    def answer(self, request: RequestId, outcome: Outcome) -> None:
        """Resolve the call; nobody may be waiting any more, and then the answer is dropped."""
        waiter = self._waiting.pop(request, None)
        if waiter is None or waiter.done():
            return
        if isinstance(outcome, ForemanError):
            waiter.set_exception(outcome)
        else:
            waiter.set_result(outcome)

    def end(self, error: ForemanError) -> None:
        """The node has ended: whoever waits, or comes now, gets this error."""
        self._ended = error
        for request in tuple(self._waiting):
            self.answer(request, error)

"""Requests: each caller gets its own answer, once; a caller that goes away leaves nothing behind."""

import asyncio

import pytest

from foreman.core.errors import ForemanError, ForemanUnavailable, WorkerNotFound
from foreman.core.events import RequestAbandoned, WaitForHealthy
from foreman.core.ids import RequestId
from foreman.node.clock import now
from foreman.node.inbox import Inbox
from foreman.node.requests import Requests


async def asked(inbox: Inbox) -> RequestId:
    event = (await inbox.take())(now())
    assert isinstance(event, WaitForHealthy)
    return event.request


def ask(requests: Requests) -> asyncio.Task[object]:
    return asyncio.ensure_future(requests.ask(lambda at, request: WaitForHealthy(at, request, 1.0)))


async def test_each_caller_gets_its_own_answer() -> None:
    inbox = Inbox()
    requests = Requests(inbox)
    calls = [ask(requests), ask(requests)]
    first, second = await asked(inbox), await asked(inbox)
    requests.answer(second, {"b": None})
    requests.answer(first, {"a": None})
    assert await asyncio.gather(*calls) == [{"a": None}, {"b": None}]


async def test_an_error_that_is_the_answer_is_raised() -> None:
    inbox = Inbox()
    requests = Requests(inbox)
    call = ask(requests)
    requests.answer(await asked(inbox), WorkerNotFound("x"))
    with pytest.raises(WorkerNotFound):
        await call


async def test_a_caller_that_goes_away_is_told_to_the_machine_and_its_answer_dropped() -> None:
    inbox = Inbox()
    requests = Requests(inbox)
    call = ask(requests)
    request = await asked(inbox)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    event = (await inbox.take())(now())
    assert isinstance(event, RequestAbandoned)
    assert event.request == request
    requests.answer(request, None)


async def test_when_the_node_ends_who_waits_and_who_comes_later_learn_it() -> None:
    inbox = Inbox()
    requests = Requests(inbox)
    call = ask(requests)
    await asked(inbox)
    ended: ForemanError = ForemanUnavailable("data", "the node has ended")
    requests.end(ended)
    with pytest.raises(ForemanUnavailable):
        await call
    with pytest.raises(ForemanUnavailable):
        await ask(requests)

"""The server's loop survives what it should never meet, and says so to whoever asked."""

import asyncio
from typing import cast

import pytest

from foreman.core.effects import Effect, EndNode, Reply, SetTimer
from foreman.core.errors import ForemanError
from foreman.core.events import Event, Moment, ShutdownRequested, Timer, TimerFired, TimerKind, WaitForHealthy
from foreman.core.ids import RequestId
from foreman.core.machine import ForemanMachine
from foreman.node.inbox import Inbox
from foreman.node.requests import Requests
from foreman.node.server import Server

TIMER = Timer(TimerKind.REQUEST, "1")


class Stub:
    """A machine that fails on request and ends on shutdown; an interpreter that fails at timers."""

    booted = True

    def __init__(self, requests: Requests) -> None:
        self.requests = requests
        self.asked: list[RequestId] = []

    def handle(self, event: Event) -> list[Effect]:
        match event:
            case WaitForHealthy(request=request) if not self.asked:
                self.asked.append(request)
                raise ZeroDivisionError("a bug")
            case WaitForHealthy(request=request):
                return [SetTimer(TIMER, 0.0), Reply(request, None)]
            case ShutdownRequested(request=request):
                return [EndNode(keep_workers=False), Reply(cast("RequestId", request), None)]
            case _:
                return []

    def do(self, effect: Effect) -> None:
        match effect:
            case Reply(request, outcome):
                self.requests.answer(request, outcome)
            case SetTimer():
                raise OSError("no timers today")
            case _:
                pass


async def test_a_bug_in_a_decision_is_told_to_the_caller_and_the_node_goes_on() -> None:
    inbox = Inbox()
    requests = Requests(inbox)
    stub = Stub(requests)
    server = Server(cast("ForemanMachine", stub), inbox, requests, stub)
    running = asyncio.ensure_future(server.run())
    async with asyncio.timeout(5):
        with pytest.raises(ForemanError, match="internal error: a bug"):
            await server.ask(lambda at, request: WaitForHealthy(at, request, 1.0))
        await server.ask(lambda at, request: WaitForHealthy(at, request, 1.0))  # and an effect that fails spoils no other
        await server.ask(ShutdownRequested)  # answered, though it comes after the end of the node
        assert await running == EndNode(keep_workers=False)


async def test_a_flood_of_events_leaves_others_their_turn() -> None:
    inbox = Inbox()
    requests = Requests(inbox)
    stub = Stub(requests)
    server = Server(cast("ForemanMachine", stub), inbox, requests, stub)

    def again(at: Moment) -> Event:
        inbox.put(again)
        return TimerFired(at, TIMER)

    inbox.put(again)
    running = asyncio.ensure_future(server.run())
    async with asyncio.timeout(5):
        await asyncio.to_thread(lambda: None)
    running.cancel()

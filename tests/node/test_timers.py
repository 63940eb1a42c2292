"""Timers fire once, never early, and only in their newest form."""

import asyncio

from foreman.core.effects import CancelTimer, SetTimer
from foreman.core.events import Timer, TimerFired, TimerKind
from foreman.node.clock import monotonic_s, now
from foreman.node.inbox import Inbox
from foreman.node.interpreter.timers import Timers

BACK_OFF = Timer(TimerKind.BACK_OFF, "log_1")


async def fired(inbox: Inbox) -> TimerFired:
    async with asyncio.timeout(5):
        event = (await inbox.take())(now())
    assert isinstance(event, TimerFired)
    return event


async def test_a_timer_fires_at_its_time_and_not_before() -> None:
    inbox = Inbox()
    at = monotonic_s() + 0.02
    Timers(inbox).do(SetTimer(BACK_OFF, at))
    event = await fired(inbox)
    assert event.timer == BACK_OFF
    assert event.at.monotonic >= at


async def test_a_time_that_is_past_fires_at_once() -> None:
    inbox = Inbox()
    Timers(inbox).do(SetTimer(BACK_OFF, 0.0))
    assert (await fired(inbox)).timer == BACK_OFF


async def test_setting_again_replaces_and_cancelling_forgets() -> None:
    inbox = Inbox()
    timers = Timers(inbox)
    other = Timer(TimerKind.REQUEST, "7")
    timers.do(SetTimer(BACK_OFF, 0.0))
    timers.do(SetTimer(BACK_OFF, monotonic_s() + 0.03))
    timers.do(SetTimer(other, monotonic_s() + 0.001))
    timers.do(CancelTimer(other))
    timers.do(CancelTimer(other))
    assert (await fired(inbox)).timer == BACK_OFF
    assert len(inbox) == 0


async def test_closed_timers_fire_no_more() -> None:
    inbox = Inbox()
    timers = Timers(inbox)
    timers.do(SetTimer(BACK_OFF, 0.0))
    timers.close()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(inbox) == 0

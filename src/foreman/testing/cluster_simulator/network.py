"""Who hears whom, how late, how often, and what gets lost on the way. By a seeded source of chance.

A message is carried by the network, not by who sends it: it arrives while its sender is stopped or dead, waits for a receiver that is
stopped, may come again long after its answer, and may come when nobody waits for the answer any more.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any, Final, TypeVar

from foreman.core.errors import ForemanError
from foreman.testing.cluster_simulator.virtual_time import VirtualLoop, the_loop

_Answer = TypeVar("_Answer")
DIRECTORY: Final = "directory"
SILENCE_S: Final = 2.0
"""After so long without an answer a caller gives up."""
LATEST_S: Final = 12.0
"""So late a message may still come."""
DELAY_S: Final = 0.004


class Lost(Exception):
    """No answer: it was done, will be done, or never was."""


@dataclass(slots=True)
class Host:
    """One life of a program on a node. Dead, it sends nothing and hears no answer.

    ``trap``: called when message number ``trap_at`` is about to be sent or, ``trap_after``, when its answer is there: so something happens
    between two steps of a program. ``lag_s``: what it says is on its way for so long.
    """

    name: str
    alive: bool = True
    sent: int = 0
    trap_at: int = 0
    trap_after: bool = False
    trap: Callable[[], None] | None = None
    lag_s: float = 0.0

    def set_trap(self, steps: int, trap: Callable[[], None], *, after: bool) -> None:
        self.trap_at, self.trap_after, self.trap = self.sent + steps, after, trap

    def lives_after(self, number: int, *, after: bool) -> bool:
        """The trap springs if this is where it is."""
        if self.trap is not None and number >= self.trap_at and after is self.trap_after:
            trap, self.trap = self.trap, None
            trap()
        return self.alive


@dataclass(slots=True)
class _Message:
    sender: Host
    receiver: str
    do: Callable[[], Any]
    number: int
    answer: asyncio.Future[Any] | None


@dataclass(slots=True)
class Weather:
    """Shares of messages. ``lost``: in either direction; half of these come late. ``again``: come twice. ``slow``: take up to a second."""

    lost: float = 0.0
    again: float = 0.0
    slow: float = 0.0


@dataclass(slots=True)
class Network:
    """``cut``: (from, to) that do not reach each other. ``stopped``: hosts that get their messages later."""

    chance: Random
    weather: Weather = field(default_factory=Weather)
    cut: set[tuple[str, str]] = field(default_factory=set)
    stopped: dict[str, list[_Message]] = field(default_factory=dict)
    messages: int = 0
    _running: VirtualLoop | None = None

    def _loop(self) -> VirtualLoop:
        if self._running is None:
            self._running = the_loop()
        return self._running

    def hears(self, sender: str, receiver: str) -> bool:
        return sender == receiver or (sender, receiver) not in self.cut

    def both_ways(self, one: str, other: str) -> bool:
        return self.hears(one, other) and self.hears(other, one)

    def stop_host(self, name: str) -> None:
        self.stopped.setdefault(name, [])

    def continue_host(self, name: str) -> None:
        for message in self.stopped.pop(name, ()):
            self._deliver(message)

    async def ask(self, sender: Host, receiver: str, do: Callable[[], _Answer]) -> _Answer:
        """``do`` is done there; it raises what ``do`` raises, and Lost."""
        if not sender.alive:
            raise Lost
        sender.sent += 1
        if not sender.lives_after(sender.sent, after=False):
            raise Lost
        answer: asyncio.Future[_Answer] = self._loop().create_future()
        self._send(_Message(sender, receiver, do, sender.sent, answer))
        return await answer

    async def carry(self, sender: str, receiver: Host) -> None:
        """One way, from somebody who never dies; Lost when it does not arrive."""
        arrived: asyncio.Future[None] = self._loop().create_future()
        if not receiver.alive or not self._passes(sender, receiver.name):
            self._loop().call_later(SILENCE_S, _settle, arrived, Lost())
        else:
            self._loop().call_later(self._delay_s(), _settle, arrived, None)
        await arrived

    def _send(self, message: _Message) -> None:
        self.messages += 1
        sender, receiver, weather = message.sender.name, message.receiver, self.weather
        if weather.again and self.chance.random() < weather.again:
            self._later(message, self.chance.uniform(0.0, LATEST_S))
        if message.sender.lag_s:
            self._later(message, message.sender.lag_s * self.chance.uniform(0.5, 1.0))
            self._silence(message)
        elif not self._passes(sender, receiver):
            if self.hears(sender, receiver) and self.chance.random() < 0.5:
                self._later(message, self.chance.uniform(0.0, LATEST_S))
            self._silence(message)
        else:
            self._loop().call_later(self._delay_s(), self._deliver, message)

    def _later(self, message: _Message, delay_s: float) -> None:
        """A copy of it whose answer nobody hears."""
        copy = _Message(message.sender, message.receiver, message.do, message.number, None)
        self._loop().call_later(delay_s, self._deliver, copy)

    def _deliver(self, message: _Message) -> None:
        waiting = self.stopped.get(message.receiver)
        if waiting is not None:
            waiting.append(message)
            self._silence(message)
            return
        outcome = _outcome(message.do)
        answer = message.answer
        if answer is None or answer.done():
            return
        if not self._passes(message.receiver, message.sender.name):
            self._silence(message)
        else:
            self._loop().call_later(self._delay_s(), partial(_answer, message, outcome))

    def _passes(self, sender: str, receiver: str) -> bool:
        if sender == receiver:
            return True
        return self.hears(sender, receiver) and not (self.weather.lost and self.chance.random() < self.weather.lost)

    def _delay_s(self) -> float:
        if self.weather.slow and self.chance.random() < self.weather.slow:
            return self.chance.uniform(0.0, 1.0)
        return DELAY_S * self.chance.random()

    def _silence(self, message: _Message) -> None:
        if message.answer is not None:
            self._loop().call_later(SILENCE_S, _settle, message.answer, Lost())


def _outcome(do: Callable[[], Any]) -> Any:
    """What it returns, or the error that it answers with. Anything else is a fault of the program, or a broken promise: the run ends."""
    try:
        return do()
    except ForemanError as error:
        return error


def _answer(message: _Message, outcome: Any) -> None:
    sender = message.sender
    if not sender.alive or not sender.lives_after(message.number, after=True):
        outcome = Lost()
    assert message.answer is not None
    _settle(message.answer, outcome)


def _settle(answer: "asyncio.Future[Any]", outcome: Any) -> None:
    if answer.done():
        return
    if isinstance(outcome, Exception):
        answer.set_exception(outcome)
    else:
        answer.set_result(outcome)

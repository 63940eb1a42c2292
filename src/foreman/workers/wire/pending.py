"""Answers that come later, one by one or for many commands at once. Owns no bytes: a connection sends them when it is their turn."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from foreman.workers.wire.connection import RespConnection


class Pending:
    """The place of an answer that comes later. ``on_abandoned`` is called when the peer has gone before."""

    __slots__ = ("connection", "on_abandoned", "reply")

    def __init__(self, connection: "RespConnection", reply: bytes | None = None) -> None:
        self.connection = connection
        self.reply = reply
        self.on_abandoned: Callable[[], None] | None = None

    def resolve(self, reply: bytes) -> None:
        """Answer. On the loop only; a second answer, or one to a peer that has gone, is dropped."""
        if self.reply is None:
            self.reply = reply
            self.on_abandoned = None
            self.connection.resolved(self, len(reply))


def resolve_all(answers: Iterable[tuple[Pending, bytes]]) -> None:
    """Answer many at once, and send at once: each connection's answers in one write. On the loop only, as :meth:`Pending.resolve`."""
    ready: list[RespConnection] = []
    for pending, reply in answers:
        if pending.reply is None:
            pending.reply = reply
            pending.on_abandoned = None
            connection = pending.connection
            slots = connection.slots
            connection.held_bytes += len(reply)
            if slots and slots[0] is pending:
                ready.append(connection)
    for connection in ready:
        connection.flush()

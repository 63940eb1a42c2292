"""Pushes on their way in: judged, appended, parked, or compared with what the log has.

Owns the parked pushes and the changes of :class:`Standing` that pushes cause. The decisions are those of pushing.py and parking.py.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Final

from foreman.core.data_errors import DataPlaneError, InvalidCommand, Locked, NotReady, TransactionOutOfOrder, VersionTooOld
from foreman.core.mutations import MAX_VERSION, Version
from foreman.workers.log.parking import ParkedPush, Parking
from foreman.workers.log.pushing import Verdict, check_writer, judge_push
from foreman.workers.log.readers import Readers
from foreman.workers.log.standing import Standing
from foreman.workers.log.writer import Writer
from foreman.workers.wire import Pending, RespConnection, check_transaction, replies
from foreman.workers.wire.arguments import parse_unsigned

Push = ParkedPush[Pending]
_NEXT: Final = b"*"


class Taking:
    """``standing`` is the log's, as it is durable; ``save`` makes another one durable; ``closed`` refuses all with this error."""

    def __init__(self, writer: Writer, readers: Readers, parking: Parking[Pending], standing: Standing) -> None:
        self._writer, self._readers, self.parking = writer, readers, parking
        self.put_in_force(standing)
        self.closed: Locked | NotReady | None = None
        self.changing = asyncio.Lock()
        self.save: Callable[[Standing], Awaitable[None]]
        self._tasks: set[asyncio.Task[None]] = set()

    def put_in_force(self, standing: Standing) -> None:
        self.standing = standing
        self._open_to = None if standing.locked else b"%d" % standing.epoch
        """Pushes that say this epoch need no further look at the standing."""

    def push(self, connection: RespConnection, words: list[bytes]) -> Pending:
        """``PUSH epoch version previous_version transaction``. Raises DataPlaneError."""
        _, epoch_word, version_word, previous_word, transaction = words
        check_transaction(transaction)
        pending, writer = Pending(connection), self._writer
        is_open = epoch_word == self._open_to and self.closed is None
        if version_word == _NEXT and previous_word == _NEXT:
            if not is_open:
                self._check(parse_unsigned(epoch_word, "epoch"))
            version = writer.last + 1
            if version > MAX_VERSION:
                raise InvalidCommand("there is no version after the last one")
            ack = (pending, replies.integer(version))
        else:
            version, previous = parse_unsigned(version_word, "version"), parse_unsigned(previous_word, "previous_version")
            if not (is_open and previous == writer.last and previous < version):
                self._take(ParkedPush(parse_unsigned(epoch_word, "epoch"), version, previous, transaction, pending))
                return pending
            ack = (pending, replies.OK)
        writer.append(version, transaction, ack)
        if self.parking.count:
            self._unpark()
        return pending

    def _check(self, epoch: int) -> None:
        if self.closed is not None:
            raise self.closed
        check_writer(self.standing, epoch)

    def _take(self, push: Push) -> None:
        self._check(push.epoch)
        if push.epoch > self.standing.epoch:
            self._in_background(self._raise_epoch(push), push.reply)
            return
        match judge_push(self._writer.last, push.version, push.previous):
            case Verdict.APPEND:
                self._writer.append(push.version, push.transaction, (push.reply, replies.OK))
                if self.parking.count:
                    self._unpark()
            case Verdict.PARK:
                self.parking.park(push)
                push.reply.on_abandoned = partial(self.parking.forget, push)
            case Verdict.COMPARE:
                self._compare(push)

    def _unpark(self) -> None:
        """Whoever waited for what the log has now."""
        while (push := self.parking.ready(self._writer.last)) is not None:
            try:
                push.gone = False
                push.reply.on_abandoned = None
                self._take(push)
            except DataPlaneError as problem:
                push.reply.resolve(replies.error(problem))

    async def _raise_epoch(self, push: Push) -> None:
        """The first push of a newer epoch shuts out the older ones, durably."""
        async with self.changing:
            self._check(push.epoch)
            if push.epoch > self.standing.epoch:
                await self.save(replace(self.standing, epoch=push.epoch))
        self._take(push)

    def _compare(self, push: Push) -> None:
        if push.version > self._writer.recent.base:
            self._judge_retry(push, self._writer.recent.find(push.version))
        else:
            self._in_background(self._compare_with_disk(push), push.reply)

    async def _compare_with_disk(self, push: Push) -> None:
        try:
            self._judge_retry(push, await self._readers.find(push.version))
        except VersionTooOld:  # recycled: nobody can tell any more
            self._judge_retry(push, None)

    def _judge_retry(self, push: Push, found: tuple[Version, bytes] | None) -> None:
        if found != (push.previous, push.transaction):
            raise TransactionOutOfOrder(self._writer.last)
        self._writer.answer_when_durable(push.version, push.reply)

    def refuse_parked(self, problem: DataPlaneError) -> None:
        for push in self.parking.take_all():
            push.reply.resolve(replies.error(problem))

    def _in_background(self, work: Awaitable[None], pending: Pending) -> None:
        async def run() -> None:
            try:
                await work
            except DataPlaneError as problem:
                pending.resolve(replies.error(problem))

        task = asyncio.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

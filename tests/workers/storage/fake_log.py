"""A log in memory that answers PULL and INFO over RESP, for tests that decide what a log does and when."""

import asyncio
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from foreman.core.data_errors import VersionTooNew, VersionTooOld
from foreman.core.mutations import Mutation
from foreman.workers.wire import Command, Listening, Pending, RespConnection, RespServer, encode_transaction, listen, replies


class FakeLog:
    """``silent``: answers nothing any more, as a hung log. ``subscribers``: id → the durable version it told last."""

    def __init__(self, home: Path, id: str = "log_1") -> None:
        self.run = home / "run" / id
        self.run.mkdir(parents=True, exist_ok=True)
        self.versions: list[int] = []
        self.encoded: list[bytes] = []
        self.oldest = 0
        self.silent = False
        self.refuse_ahead = False
        self.subscribers: dict[str, int] = {}
        self.pulls = 0
        self._blocked: list[tuple[Pending, int, int]] = []
        self._listening: Listening | None = None

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        self._listening = await listen(RespServer({b"PULL": Command(self._pull, 1, 20)}), run=str(self.run), params={})

    async def close(self) -> None:
        if self._listening is not None:
            await self._listening.close(0)
            self._listening = None

    def push(self, version: int, mutations: Sequence[Mutation]) -> None:
        self.push_encoded([(version, encode_transaction(mutations))])

    def push_encoded(self, transactions: Sequence[tuple[int, bytes]]) -> None:
        for version, encoded in transactions:
            self.versions.append(version)
            self.encoded.append(encoded)
        blocked, self._blocked = self._blocked, []
        for pending, start, limit in blocked:
            if self.versions[-1] > start and not self.silent:
                pending.resolve(self._answer(start, limit))
            else:
                self._blocked.append((pending, start, limit))

    def _pull(self, connection: RespConnection, words: list[bytes]) -> bytes | Pending:
        self.pulls += 1
        start, options = int(words[1]), [word.upper() for word in words]
        limit = int(words[options.index(b"LIMIT") + 1])
        at = options.index(b"SUBSCRIBER")
        self.subscribers[words[at + 1].decode()] = int(words[at + 2])
        last = self.versions[-1] if self.versions else 0
        if start < self.oldest:
            raise VersionTooOld(self.oldest)
        if start > last and self.refuse_ahead:
            raise VersionTooNew(last)
        if start < last and not self.silent:
            return self._answer(start, limit)
        pending = connection.later()
        self._blocked.append((pending, start, limit))
        block_s = int(words[options.index(b"BLOCK") + 1]) / 1000
        asyncio.get_running_loop().call_later(block_s, lambda: None if self.silent else pending.resolve(replies.EMPTY))
        return pending

    def _answer(self, start: int, limit: int) -> bytes:
        first = bisect_right(self.versions, start)
        size, items = 0, []
        for number in range(first, min(len(self.versions), first + limit)):
            encoded = self.encoded[number]
            items.append(replies.array([replies.integer(self.versions[number]), replies.bulk(encoded)]))
            size += len(encoded)
            if size > 4 << 20:
                break
        return replies.array(items)

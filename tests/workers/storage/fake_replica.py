"""A storage worker in memory that answers INFO and RANGE, for tests that decide what a replica does and when."""

import asyncio
import json
from bisect import bisect_left
from collections.abc import Callable
from pathlib import Path
from typing import Self

from foreman.core.data_errors import VersionTooOld
from foreman.workers.storage.key_range import parse_key_range
from foreman.workers.wire import Command, Listening, Pending, RespConnection, RespServer, listen, replies


class FakeReplica:
    """``pages``: how many more it answers before it falls silent; None: all. ``before_page``: called before each, as writes would come in.

    It keeps no version but its latest.
    """

    def __init__(self, home: Path, id: str = "storage_9", *, page_keys: int = 10) -> None:
        self.run, self.id, self.page_keys = home / "run" / id, id, page_keys
        self.run.mkdir(parents=True, exist_ok=True)
        self.version = 0
        self.pairs: dict[bytes, bytes] = {}
        self.key_ranges = '[["",null]]'
        self.nonsense: bytes | None = None
        """What INFO is answered with, if it is not to be answered well."""
        self.pages: int | None = None
        self.begins: list[bytes] = []
        self.before_page: Callable[[], None] = lambda: None
        self.silenced = asyncio.Event()
        self._held: list[Pending] = []
        self._listening: Listening | None = None

    @property
    def endpoint(self) -> str:
        return f"unix:{self.run}/resp.sock"

    async def __aenter__(self) -> Self:
        server = RespServer({b"INFO": Command(self._info, 0, 9), b"RANGE": Command(self._range, 2, 20)})
        self._listening = await listen(server, run=str(self.run), params={})
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._listening is not None
        await self._listening.close(0)

    def _info(self, _connection: RespConnection, _words: list[bytes]) -> bytes:
        if self.nonsense is not None:
            return self.nonsense
        facts = {"id": self.id, "latest_version": self.version, "key_ranges": self.key_ranges, "refilling": ""}
        return replies.text("# Storage\r\n" + "".join(f"{name}:{fact}\r\n" for name, fact in facts.items()))

    def _range(self, connection: RespConnection, words: list[bytes]) -> bytes | Pending:
        if self.pages == 0:
            self.silenced.set()
            self._held.append(connection.later())
            return self._held[-1]
        if self.pages is not None:
            self.pages -= 1
        self.before_page()
        if b"AT" in words and int(words[words.index(b"AT") + 1]) < self.version:
            self.pages = None if self.pages is None else self.pages + 1
            raise VersionTooOld(self.version)
        held = [parse_key_range(each) for each in json.loads(self.key_ranges)]
        if not any(each.covers(words[1], None if b"LAST" in words else words[2]) for each in held):
            self.pages = None if self.pages is None else self.pages + 1
            raise held[0].error()
        self.begins.append(words[1])
        keys = sorted(self.pairs)
        first = bisect_left(keys, words[1])
        last = len(keys) if b"LAST" in words else bisect_left(keys, words[2])
        page = keys[first : min(last, first + self.page_keys)]
        flat = [replies.bulk(data) for key in page for data in (key, self.pairs[key])]
        return replies.array([replies.array(flat), replies.integer(first + len(page) < last)])

"""Reads from a cluster: each key from the team that holds it, by whatever layout there is.

Owns a StorageClient for each team of the newest layout, which chooses among the members. When a member is away, or is none any more, the
read is made again, by the layout of then. A layout that has gone is closed when nobody reads by it any more.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from foreman.core.data_errors import NotReady, VersionTooNew, WrongKeyRange
from foreman.core.errors import ForemanTimeout, ForemanUnavailable, WorkerNotFound
from foreman.core.mutations import Version
from foreman.workers.clients.cluster_layout import FIRST_PAUSE_S, ClusterLayout, Newest
from foreman.workers.clients.storage_client import Pairs, StorageClient

TRY_S: Final = 5.0
"""How long one team is tried before the layout is looked at again."""

_Answer = TypeVar("_Answer")
_AGAIN: Final = (ForemanUnavailable, ForemanTimeout, WorkerNotFound, NotReady, WrongKeyRange)


class _Era:
    """The teams of one layout."""

    def __init__(self, layout: ClusterLayout, security: Mapping[str, Any] | None) -> None:
        self.layout = layout
        self._clients = [StorageClient.connect(team.members, timeout=TRY_S, security=security) for team in layout.teams]
        self._readers = 0
        self._nobody = asyncio.Event()
        self._nobody.set()

    async def read(self, ask: Callable[["_Era"], Awaitable[_Answer]]) -> _Answer:
        """``ask`` on this era, which stays open meanwhile."""
        self._readers += 1
        self._nobody.clear()
        try:
            return await ask(self)
        finally:
            self._readers -= 1
            if not self._readers:
                self._nobody.set()

    def client(self, number: int) -> StorageClient:
        return self._clients[number]

    def number_of(self, key: bytes) -> int:
        """Which team holds it."""
        return next(number for number, team in enumerate(self.layout.teams) if team.holds(key))

    async def close(self, *, at_once: bool) -> None:
        if not at_once:
            await self._nobody.wait()
        for client in self._clients:
            await client.close()


class ClusterReader:
    """``security``: as StorageClient's."""

    def __init__(self, newest: Newest, security: Mapping[str, Any] | None) -> None:
        self._newest, self._security = newest, security
        self._era: _Era | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def get(self, key: bytes, version: Version | None, timeout_s: float) -> bytes | None:
        async def ask(era: _Era) -> bytes | None:
            return await era.client(era.number_of(key)).get(key, version=version)

        return await self._ask(ask, version, timeout_s)

    async def get_many(self, keys: Sequence[bytes], version: Version | None, timeout_s: float) -> list[bytes | None]:
        """From all teams that hold some of them, side by side."""

        async def ask(era: _Era) -> list[bytes | None]:
            groups: dict[int, list[bytes]] = {}
            for key in dict.fromkeys(keys):
                groups.setdefault(era.number_of(key), []).append(key)
            answers = await asyncio.gather(*(era.client(number).get_many(group, version=version) for number, group in groups.items()))
            found = {
                key: value for group, values in zip(groups.values(), answers, strict=True) for key, value in zip(group, values, strict=True)
            }
            return [found[key] for key in keys]

        return await self._ask(ask, version, timeout_s)

    async def get_range(self, begin: bytes, end: bytes | None, version: Version | None, limit: int, timeout_s: float) -> tuple[Pairs, bool]:
        """One page, from the first team from there on that has something."""
        place = begin

        async def ask(era: _Era) -> tuple[Pairs, bool, bytes | None]:
            number = era.number_of(place)
            cut = era.layout.teams[number].end
            is_last = cut is None or (end is not None and end <= cut)
            pairs, more = await era.client(number).get_range(place, end if is_last else cut, version=version, limit=limit)
            return pairs, more or not is_last, cut

        while True:
            pairs, more, cut = await self._ask(ask, version, timeout_s)
            if pairs or not more or cut is None:
                return pairs, more
            place = cut

    async def close(self) -> None:
        """Reads under way fail."""
        era, self._era = self._era, None
        for task in list(self._closing):
            task.cancel()
        await asyncio.gather(*self._closing, return_exceptions=True)
        if era is not None:
            await era.close(at_once=True)

    async def _ask(self, ask: Callable[[_Era], Awaitable[_Answer]], version: Version | None, timeout_s: float) -> _Answer:
        again = _AGAIN if version is None else (*_AGAIN, VersionTooNew)  # a version that somebody names will come
        pause_s, failure = FIRST_PAUSE_S, None
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    era = await self._newest_era()
                    try:
                        return await era.read(ask)
                    except again as error:
                        failure = error
                    pause_s = await self._newest.after_or_pause(era.layout.epoch, pause_s)
        except TimeoutError:
            raise failure or ForemanTimeout("an answer of the cluster's storage", timeout_s) from None

    async def _newest_era(self) -> _Era:
        layout = await self._newest.after(-1)
        era = self._era
        if era is None or era.layout is not layout:
            self._era = _Era(layout, self._security)
            if era is not None:
                task = asyncio.create_task(era.close(at_once=False))
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)
            era = self._era
        return era

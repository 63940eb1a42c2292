"""Copying the key range from replicas, when no log goes back to what this worker has.

Owns one task and one connection at a time. The range comes in pages, each written to LMDB in one transaction with how far the copy has
got; so it goes on where it was after a crash, with the same replica or another. One that holds only a part of the range gives that part:
a range that was several before is copied from several.

**Not all at one version.** A replica keeps a version readable for seconds only, and a copy may take hours. Pages are read AT one version
as long as the replica has it, then at a newer one. Let ``first`` be the version before all of them, ``through`` the newest. Applying
the logs from ``first`` to ``through`` on top makes the whole exact at ``through``, because a mutation says what a key is afterwards,
whatever it was before: a key that some transaction in between touches is as the last of them left it, and one that none touches is
the same in every version in between, whenever its page was read. Before ``through`` it is no state of the database at all; so it is
served to nobody (store.py keeps the gate), and LOCK says that nothing is durable. The logs hear ``first`` as our durable version, so
they keep what follows.

A replica is trusted with its data, and with nothing else: order, range and sizes of what it sends are checked.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
from itertools import chain
from random import uniform
from typing import Any, Final

from foreman.core.data_errors import DataPlaneError, InvalidCommand, NotReady, StorageFault, VersionTooOld
from foreman.core.mutations import MAX_KEY_BYTES, MAX_VALUE_BYTES, Version
from foreman.workers.storage.finding import Finder
from foreman.workers.storage.key_range import KeyRange, cover, parse_key_range, show_key
from foreman.workers.storage.snapshot import Pair
from foreman.workers.storage.store import Store
from foreman.workers.wire.info import read_info
from foreman.workers.wire.link import Link

PAGE_KEYS: Final = 10_000
PAGE_BYTES: Final = 1 << 20
ANSWER_IN_S: Final = 10.0
FIRST_RETRY_S: Final = 0.1
LAST_RETRY_S: Final = 5.0
_SHOW_EVERY_S: Final = 0.5


class Refiller:
    """``report`` is told when the disk fails, and (None) when it works again. ``on_change``: there is something to show. ``on_begun``: the
    data was dropped. ``on_copied``: the last page is here. ``on_ended`` hears of each task that ends, for whatever reason.
    """

    def __init__(  # noqa: PLR0913 - all that it tells the service
        self,
        me: str,
        store: Store,
        finder: Finder,
        security: Mapping[str, Any],
        *,
        report: Callable[[StorageFault | None], None],
        on_change: Callable[[], None],
        on_begun: Callable[[], None],
        on_copied: Callable[[], None],
        on_ended: Callable[[asyncio.Task[None]], None],
    ) -> None:
        self._me, self._store, self._finder, self._security = me, store, finder, security
        self._report, self._on_change, self._on_begun, self._on_copied = report, on_change, on_begun, on_copied
        self._on_ended = on_ended
        self._task: asyncio.Task[None] | None = None
        self._link: Link | None = None
        self._stopping = asyncio.Event()
        self._not_before: Version = 0
        self._shown_at = 0.0
        self._failed_to_write = self._got_on = False
        self._held: dict[str, tuple[KeyRange, ...]] = {}
        """Replica → what it held when it was asked last, if it was one to copy from."""
        self.failures: dict[str, str] = {}
        """Replica → why it could not be copied from."""
        self.source: str | None = None

    @property
    def running(self) -> bool:
        return self._task is not None

    def start(self, replicas: Sequence[str], not_before: Version) -> None:
        """Copy until all is here, going on with a copy that was begun, unless that is from before ``not_before``: the logs begin there."""
        if self._task is None:
            self._not_before = not_before
            self._stopping.clear()
            self._task = asyncio.create_task(self._run(replicas), name="refill")
            self._task.add_done_callback(self._ended)
        self._not_before = max(self._not_before, not_before)

    async def stop(self) -> None:
        """End, after the page that is being written; what is here stays."""
        self._stopping.set()
        if self._link is not None:
            self._link.close()
        if self._task is not None:
            await asyncio.wait([self._task])

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._task = None
        self._on_ended(task)

    async def _run(self, replicas: Sequence[str]) -> None:
        retry_s = FIRST_RETRY_S
        while True:
            for replica in replicas:
                if self._stopping.is_set() or await self._try(replica):
                    return
            self._on_change()
            if self._got_on:
                self._got_on, retry_s = False, FIRST_RETRY_S
            try:
                async with asyncio.timeout(retry_s * uniform(0.5, 1.0)):
                    await self._stopping.wait()
            except TimeoutError:
                retry_s = min(LAST_RETRY_S, 2 * retry_s)

    async def _try(self, replica: str) -> bool:
        """Whether all is here now."""
        self._held.pop(replica, None)
        try:
            async with Link.to(await self._finder.endpoint_of(replica), self._security) as self._link:
                if self._stopping.is_set():
                    return False  # stop() came while there was no link to close
                self.source = replica
                return await self._copy(self._link, replica)
        except (OSError, TimeoutError, DataPlaneError, ValueError, TypeError, LookupError, RecursionError) as error:
            self.failures[replica] = f"{type(error).__name__}: {error}"
            return False
        finally:
            self._link = self.source = None

    async def _copy(self, link: Link, replica: str) -> bool:
        """Until all is here. Raises what the replica or the disk answers."""
        store = self._store
        anew = not store.copying or self._is_too_old()
        at = store.refill.next if store.refill is not None and not anew else store.keys.begin
        version, part = await self._look_at(link, replica, self._not_before if anew else store.durable, at or store.keys.begin)
        if anew and not self._stopping.is_set():
            await self._write(store.begin_refill(version))
            self._on_begun()
        while (refill := store.refill) is not None and refill.next is not None:
            if self._is_too_old():
                raise ValueError(f"the logs begin at {self._not_before} now, and the copy at {refill.first}")
            if not part.contains(refill.next):
                return False  # the rest is another's
            pairs, more, version = await self._page(link, refill.next, part.end, version)
            checked(pairs, part, refill.next, more=more)
            if self._stopping.is_set():
                return False
            rest = part.end if part.end != store.keys.end else None
            await self._write(store.take_page(pairs, pairs[-1][0] + b"\0" if more else rest, version))
            self.failures.clear()
            self._got_on = True
            self._show()
        self._on_copied()
        return True

    def _is_too_old(self) -> bool:
        return self._store.durable < self._not_before

    async def _write(self, writing: Coroutine[Any, Any, None]) -> None:
        try:
            await writing
        except StorageFault as fault:
            self._failed_to_write = True
            self._report(fault)
            raise
        if self._failed_to_write:
            self._failed_to_write = False
            self._report(None)

    async def _look_at(self, link: Link, replica: str, least: Version, at: bytes) -> tuple[Version, KeyRange]:
        """The replica's latest version, and what it holds of our range, the key ``at`` among it.

        Nothing here is dropped for a replica that is not one to copy from, or as long as those that are do not hold all that is here
        already: raises NotReady, ValueError.
        """
        keys, has_data = self._store.keys, self._store.latest > 0 and self._store.refill is None
        info = await self._info(link)
        if info.get("id") == self._me:
            raise InvalidCommand("this is the worker itself")
        if info.get("refilling"):
            raise NotReady
        latest = int(info["latest_version"])
        if latest < least:
            raise ValueError(f"it is at version {latest}, and what is wanted begins at {least}")
        self._held[replica] = tuple(map(parse_key_range, json.loads(info["key_ranges"])))
        held = next((each for each in self._held[replica] if each.contains(at)), None)
        if held is None or (has_data and not cover(chain.from_iterable(self._held.values()), keys)):
            raise ValueError(f"it holds only the keys {info['key_ranges'][:200]}")
        return latest, held.intersection(keys)

    async def _info(self, link: Link) -> dict[str, str]:
        return read_info(await link.call(b"INFO", b"id", b"latest_version", b"key_ranges", b"refilling", timeout_s=ANSWER_IN_S))

    async def _page(self, link: Link, begin: bytes, end: bytes | None, version: Version) -> tuple[list[Pair], bool, Version]:
        """Pairs from ``begin`` on, whether there are more before ``end``, and a version that is not older than they are."""
        bound = (b"", b"END", b"LAST") if end is None else (end,)
        words = (b"RANGE", begin, *bound, b"LIMIT", b"%d" % PAGE_KEYS, b"BYTES", b"%d" % PAGE_BYTES)
        try:
            answer = await link.call(*words, b"AT", b"%d" % version, timeout_s=ANSWER_IN_S)
        except VersionTooOld:
            answer = await link.call(*words, timeout_s=ANSWER_IN_S)  # its latest, which is not newer than what it says next
            version = int((await self._info(link))["latest_version"])
        flat, more = answer
        return list(zip(flat[::2], flat[1::2], strict=True)), bool(more), version

    def _show(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._shown_at >= _SHOW_EVERY_S:
            self._shown_at = now
            self._on_change()

    def progress(self) -> str:
        """How far it has got, for people."""
        refill = self._store.refill
        if refill is None:
            return "a copy from a replica is to be made" if self.running else ""
        if refill.next is None:
            return f"{refill.keys} keys are copied; the logs must bring version {self._store.latest} to {refill.through}"
        at = show_key(refill.next)[:40] or "the first key"
        return f"{refill.keys} keys, {refill.size_bytes >> 20} MiB, at {at}" + (f", from {self.source}" if self.source else "")


def checked(pairs: Sequence[tuple[Any, Any]], keys: KeyRange, begin: bytes, *, more: bool) -> None:
    """Raises ValueError when the page is none of the range from ``begin`` on."""
    if more and not pairs:
        raise ValueError("a page is empty, and there are more")
    last = None
    for key, value in pairs:
        if not (isinstance(key, bytes) and isinstance(value, bytes)):
            raise TypeError("a page holds what is no pair of bytes")
        if not (keys.contains(key) and begin <= key) or (last is not None and key <= last):
            raise ValueError(f"a page holds the key {show_key(key)[:40]} out of its order or range")
        if len(key) > MAX_KEY_BYTES or len(value) > MAX_VALUE_BYTES:
            raise ValueError(f"a page holds the key {show_key(key)[:40]}, which is too large or has too large a value")
        last = key
    if more and last is not None and not keys.contains(last + b"\0"):
        raise ValueError("there are more after a page, and no key can be there")

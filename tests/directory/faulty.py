"""A real directory behind a bad network: calls that never arrive, answers that never come, calls that arrive late.

Wraps an engine; every effect that happens is the engine's own.
"""

import asyncio
import enum
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import TypeVar

from foreman.directory.errors import DirectoryUnavailable
from foreman.directory.port import Changes, Committed, Comparison, Directory, KeyRange, Lease, LeaseId, Operation, Snapshot

_Answer = TypeVar("_Answer")


class Fault(enum.Enum):
    NONE = "none"
    NEVER_ARRIVES = "the call is lost"
    NEVER_ANSWERS = "it is done, and the answer is lost"
    ARRIVES_LATE = "it is done after the caller gave up"


class FaultyDirectory(Directory):
    """``next_fault`` is asked before each call. ``calls`` counts those that were begun, by name."""

    def __init__(self, inner: Directory, next_fault: Callable[[], Fault] = lambda: Fault.NONE) -> None:
        self._inner, self.next_fault = inner, next_fault
        self.calls: dict[str, int] = {}
        self._late: list[Awaitable[object]] = []
        self.gate = asyncio.Event()  # closed (cleared), every call hangs
        self.gate.set()
        self._broken = asyncio.Event()

    @property
    def url(self) -> str:
        return f"faulty+{self._inner.url}"

    def break_watches(self) -> None:
        self._broken.set()
        self._broken = asyncio.Event()

    async def deliver_late_calls(self) -> None:
        """What was on its way arrives now; whatever it answers, nobody hears."""
        late, self._late = self._late, []
        for call in late:
            await asyncio.gather(call, return_exceptions=True)

    async def read(self, keys: KeyRange, *, revision: int | None = None, limit: int | None = None) -> Snapshot:
        return await self._through("read", self._inner.read(keys, revision=revision, limit=limit))

    async def transact(self, comparisons: Sequence[Comparison], operations: Sequence[Operation]) -> Committed:
        return await self._through("transact", self._inner.transact(comparisons, operations))

    async def grant_lease(self, ttl_s: float) -> Lease:
        return await self._through("grant_lease", self._inner.grant_lease(ttl_s))

    async def keep_alive(self, lease: LeaseId) -> float:
        return await self._through("keep_alive", self._inner.keep_alive(lease))

    async def revoke_lease(self, lease: LeaseId) -> None:
        await self._through("revoke_lease", self._inner.revoke_lease(lease))

    async def compact(self, revision: int) -> None:
        await self._through("compact", self._inner.compact(revision))

    async def watch(self, keys: KeyRange, *, after: int) -> AsyncGenerator[Changes, None]:
        broken = self._broken
        watch = self._inner.watch(keys, after=after)
        try:
            while True:
                told, cut = asyncio.ensure_future(anext(watch)), asyncio.ensure_future(broken.wait())
                try:
                    await asyncio.wait({told, cut}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    cut.cancel()
                    told.cancel()
                    await asyncio.gather(told, return_exceptions=True)
                if told.cancelled():
                    raise DirectoryUnavailable(self.url, "the watch was cut")
                yield told.result()
        finally:
            await watch.aclose()

    async def close(self) -> None:
        await self.deliver_late_calls()
        await self._inner.close()

    async def _through(self, name: str, call: Awaitable[_Answer]) -> _Answer:
        self.calls[name] = self.calls.get(name, 0) + 1
        fault = self.next_fault()
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            call.close()  # type: ignore[attr-defined] # it is a coroutine
            raise
        match fault:
            case Fault.NONE:
                return await call
            case Fault.NEVER_ARRIVES:
                call.close()  # type: ignore[attr-defined] # it is a coroutine
            case Fault.NEVER_ANSWERS:
                await asyncio.gather(call, return_exceptions=True)
            case Fault.ARRIVES_LATE:
                self._late.append(call)
        raise DirectoryUnavailable(self.url, fault.value)

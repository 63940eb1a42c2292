"""Random pushes, pulls, locks, recoveries, crashes and full disks against a plain list: the log never disagrees with it.

The service runs in this process on its real files. A crash forgets the service and starts from the files as they are, with a torn write
behind them now and then.
"""

import asyncio
import contextlib
import errno
import os
import tempfile
from pathlib import Path
from typing import Any

import hiredis
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from foreman.core.mutations import Clear
from foreman.workers.host import Host, WorkerEnvironment
from foreman.workers.log.kernel_sync import KernelSync
from foreman.workers.log.main import _open
from foreman.workers.log.params import LogParams
from foreman.workers.log.segment import Segment
from foreman.workers.log.service import LogService
from foreman.workers.wire import Pending, RespConnection, RespServer, encode_transaction


def transaction(number: int) -> bytes:
    return encode_transaction([Clear(b"%d" % number * (number % 50))])


class LogAgainstAList(RuleBasedStateMachine):
    kernel_syncs = True

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="fm")
        self.data = Path(self.folder.name)
        self.runner = asyncio.Runner()
        self.pairs: list[tuple[int, bytes]] = []
        self.oldest = self.epoch = 0
        self.lock: tuple[int, str] | None = None
        self.locked = False
        self._start()

    def _start(self) -> None:
        environment = WorkerEnvironment("log_1", "log", "", "", {}, str(self.data), str(self.data), None, None, None)

        async def start() -> LogService:
            host = Host(environment)
            segments, standing, subscribers = await _open(host, str(self.data))
            return LogService(host, LogParams(segment_bytes=600, recent_bytes=300, quiet_s=0), segments, standing, subscribers)

        with pytest.MonkeyPatch.context() as patch:
            if not self.kernel_syncs:
                patch.setattr(KernelSync, "open", lambda: None)
            self.service = self.runner.run(start())
        self.server = self.runner.run(self._server())

    async def _server(self) -> RespServer:
        return RespServer(self.service.commands())

    def ask(self, *words: bytes | int) -> Any:
        """The answer, as a client would see it."""
        return self.runner.run(self._ask([word if isinstance(word, bytes) else b"%d" % word for word in words]))

    async def _ask(self, words: list[bytes]) -> Any:
        reply = self.server.dispatch(RespConnection(self.server, 1, authenticated=True), words)
        async with asyncio.timeout(10):
            while isinstance(reply, Pending):
                if reply.reply is not None:
                    reply = reply.reply
                else:
                    await asyncio.sleep(0)
        reader = hiredis.Reader()
        reader.feed(reply)
        answer = reader.gets()
        return str(answer).split(" ")[0] if isinstance(answer, hiredis.ReplyError) else answer

    @property
    def last(self) -> int:
        return self.pairs[-1][0] if self.pairs else self.oldest

    @rule(gap=st.integers(1, 3), number=st.integers(0, 999), epoch=st.integers(0, 3))
    def push(self, gap: int, number: int, epoch: int) -> None:
        version = self.last + gap
        answer = self.ask(b"PUSH", epoch, version, self.last, transaction(number))
        if self.locked:
            assert answer == "LOCKED"
        elif epoch < self.epoch:
            assert answer == "NEWEREPOCH"
        else:
            assert answer == b"OK"
            self.epoch = epoch
            self.pairs.append((version, transaction(number)))

    @rule(order=st.permutations(range(4)), number=st.integers(0, 99))
    def push_in_any_order(self, order: list[int], number: int) -> None:
        if self.locked:
            return
        base = self.last

        async def push_all() -> list[Any]:
            asks = [[b"PUSH", b"%d" % self.epoch, b"%d" % (base + k + 1), b"%d" % (base + k), transaction(number + k)] for k in order]
            return await asyncio.gather(*map(self._ask, asks))

        assert self.runner.run(push_all()) == [b"OK"] * 4
        self.pairs += [(base + k + 1, transaction(number + k)) for k in range(4)]

    @precondition(lambda self: self.pairs and not self.locked)
    @rule(data=st.data())
    def push_again(self, data: st.DataObject) -> None:
        place = data.draw(st.integers(0, len(self.pairs) - 1))
        version, pushed = self.pairs[place]
        previous = self.pairs[place - 1][0] if place else self.oldest
        assert self.ask(b"PUSH", self.epoch, version, previous, pushed) == b"OK"
        assert self.ask(b"PUSH", self.epoch, version, previous, transaction(7777)) == "TXOUTOFORDER"

    @rule(start=st.integers(0, 60), limit=st.integers(1, 9))
    def pull(self, start: int, limit: int) -> None:
        answer = self.ask(b"PULL", start, b"LIMIT", limit)
        if self.locked:
            assert answer == "NOTREADY"
        elif start < self.oldest:
            assert answer == "VERSIONTOOOLD"
        elif start > self.last:
            assert answer == "VERSIONTOONEW"
        else:
            assert [(int(v), t) for v, t in answer] == [pair for pair in self.pairs if pair[0] > start][:limit]

    @rule(durable=st.integers(0, 60))
    def recycle(self, durable: int) -> None:
        if self.locked:
            return
        durable = max(self.oldest, min(durable, self.last))
        self.ask(b"PULL", max(durable, self.oldest), b"SUBSCRIBER", b"s", durable)
        self.runner.run(self.service._disk.do(lambda: None))
        oldest = self.service.segments.oldest
        assert self.oldest <= oldest <= max(durable, self.oldest)
        self.oldest = oldest
        self.pairs = [pair for pair in self.pairs if pair[0] > oldest]

    @rule(generation=st.integers(0, 4), recovery_id=st.sampled_from(["a", "b"]))
    def take_lock(self, generation: int, recovery_id: str) -> None:
        answer = self.ask(b"LOCK", generation, recovery_id.encode())
        is_spent = self.lock == (generation, recovery_id) and not self.locked
        if generation < self.epoch or is_spent or (self.lock is not None and generation == self.lock[0] and recovery_id != self.lock[1]):
            assert answer == "NEWERLOCK"
        else:
            assert answer[5] == self.last
            self.lock, self.locked, self.epoch = (generation, recovery_id), True, generation

    @precondition(lambda self: self.locked)
    @rule(at=st.integers(0, 20))
    def recover_from_nothing(self, at: int) -> None:
        for _ in range(2):
            assert self.ask(b"RECOVER", b"FROM", b"NONE", at, at) == b"OK"
        self.pairs, self.oldest, self.locked = [], at, False

    @precondition(lambda self: not self.locked)
    @rule()
    def the_disk_is_full_for_one_push(self) -> None:
        def full(segment: Segment, size_bytes: int) -> None:
            raise OSError(errno.ENOSPC, "full")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Segment, "begin_append", lambda *_: None)
            patch.setattr(Segment, "_grow", full)
            answer = self.ask(b"PUSH", self.epoch, self.last + 1, self.last, transaction(1))
        assert answer == "IOFAULT"
        assert not self.service.health.is_ok

    @rule(torn=st.binary(max_size=80), resume=st.booleans())
    def crash(self, torn: bytes, *, resume: bool) -> None:
        self._leave()
        segment = max(path for path in os.listdir(self.data) if path.startswith("segment-"))
        if torn and self.service.segments.current.path.endswith(segment):
            with open(self.data / segment, "r+b") as file:
                file.seek(self.service.segments.current.end)
                file.write(self.service.segments.current.header.marker.to_bytes(4, "little") * resume + torn)
        self._start()

    def _leave(self) -> None:
        self.service.close()
        self.service._disk._thread.join()
        self.service.readers._disk._thread.join()
        for segment in self.service.segments.all:
            segment.close()

    @invariant()
    def it_knows_where_it_is(self) -> None:
        assert (self.service.segments.oldest, self.service.writer.durable, self.service.writer.last) == (self.oldest, self.last, self.last)

    def teardown(self) -> None:
        self._leave()
        with contextlib.suppress(RuntimeError):
            self.runner.close()
        self.folder.cleanup()


class LogWithoutKernelSync(LogAgainstAList):
    """As in a sandbox that forbids io_setup: the disk's thread does it all."""

    kernel_syncs = False


TestLogWithoutKernelSync = LogWithoutKernelSync.TestCase
TestLogWithoutKernelSync.settings = settings(max_examples=20, stateful_step_count=40, deadline=None)
TestLogAgainstAList = LogAgainstAList.TestCase
TestLogAgainstAList.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)

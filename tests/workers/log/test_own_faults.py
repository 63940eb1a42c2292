"""A fault of the program in the midst of a commit: its pushes are answered, and the worker ends instead of standing still."""

import asyncio
from pathlib import Path

import pytest

from foreman.core.mutations import Clear
from foreman.workers.host import Host, WorkerEnvironment
from foreman.workers.log.main import _open
from foreman.workers.log.params import LogParams
from foreman.workers.log.segments import Batch, Segments
from foreman.workers.log.service import LogService
from foreman.workers.wire import Pending, RespConnection, RespServer, encode_transaction


@pytest.mark.parametrize("step", ["append", "begin_append", "end_append"])
async def test_a_commit_that_fails_for_no_fault_of_the_disk_is_final(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """In the disk's thread, or on the loop before and after the kernel's sync."""
    host = Host(WorkerEnvironment("log_1", "log", "", "", {}, str(tmp_path), str(tmp_path), None, None, None))
    segments, standing, subscribers = await _open(host, str(tmp_path))
    service = LogService(host, LogParams(), segments, standing, subscribers)
    server = RespServer(service.commands())

    def broken(_: Segments, batch: Batch, _data: bytes = b"") -> None:
        raise RuntimeError(f"no place for {batch.last}")

    if step == "append":
        monkeypatch.setattr(Segments, "begin_append", lambda *_: None)
    elif service.committer._sync is None:
        pytest.skip("io_setup IS NOT ALLOWED HERE: what fails beside the kernel's own sync is not tested")
    monkeypatch.setattr(Segments, step, broken)
    words = [b"PUSH", b"0", b"1", b"0", encode_transaction([Clear(b"k")])]
    reply = server.dispatch(RespConnection(server, 1, authenticated=True), words)
    assert isinstance(reply, Pending)
    fault = await asyncio.wait_for(service.fault, 10.0)
    assert "RuntimeError: no place for 1" in str(fault)
    assert reply.reply is not None
    assert reply.reply.startswith(b"-IOFAULT RuntimeError")
    assert service.writer.last == 0
    service.close()

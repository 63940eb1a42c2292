"""Readiness that is found out: by TCP, by HTTP, by a command; tried again until it is there, and ended with the worker."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from foreman.core.effects import ProbeReadiness
from foreman.core.events import WorkerReady
from foreman.core.ids import Incarnation, WorkerId
from foreman.core.kinds import ExecReadiness, HttpReadiness, Kinds, Readiness, TcpReadiness
from foreman.node.clock import now
from foreman.node.data_directory import open_data_directory
from foreman.node.inbox import Inbox
from foreman.node.interpreter.probes import Probes
from foreman.node.launching import Launching, LaunchSettings
from tests.deadline import wait_until_async

INCARNATION = Incarnation("00ff")


@pytest.fixture
async def probes(tmp_path: Path) -> AsyncIterator[tuple[Inbox, Probes]]:
    inbox = Inbox()
    with open_data_directory(tmp_path / "data", "test") as data:
        (data.layout.workers / "w" / "data").mkdir(parents=True)
        prober = Probes(inbox, Launching(data, lambda: Kinds([]), lambda: LaunchSettings(1 << 20, 0.0)))
        yield inbox, prober
        await prober.close()


def effect(readiness: Readiness) -> ProbeReadiness:
    return ProbeReadiness(WorkerId("w"), INCARNATION, "k", {"answer": "yes"}, readiness)


async def ready(inbox: Inbox) -> None:
    async with asyncio.timeout(20):
        event = (await inbox.take())(now())
    assert isinstance(event, WorkerReady)
    assert (event.id, event.incarnation) == ("w", INCARNATION)


async def serve(answer: bytes, port: int = 0) -> tuple[asyncio.Server, int]:
    async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if answer:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(on_connection, "127.0.0.1", port)
    return server, server.sockets[0].getsockname()[1]


async def test_tcp_is_ready_when_a_connection_is_accepted(probes: tuple[Inbox, Probes]) -> None:
    inbox, prober = probes
    server, port = await serve(b"")
    server.close()
    await server.wait_closed()
    prober.do(effect(TcpReadiness(port)))
    prober.do(effect(TcpReadiness(port)))  # twice is once
    await asyncio.sleep(0)
    assert len(inbox) == 0
    server, _ = await serve(b"", port)
    async with server:
        await ready(inbox)
    assert len(inbox) == 0


async def test_http_is_ready_when_the_answer_is_2xx(probes: tuple[Inbox, Probes]) -> None:
    inbox, prober = probes
    server, port = await serve(b"HTTP/1.1 503 Not Yet\r\ncontent-length: 0\r\n\r\n")
    prober.do(effect(HttpReadiness(f"http://127.0.0.1:{port}/{{params.answer}}")))
    await asyncio.sleep(0)
    server.close()
    await server.wait_closed()
    server, _ = await serve(b"HTTP/1.1 204 Fine\r\n\r\n", port)
    async with server:
        await ready(inbox)


async def test_a_command_is_ready_when_it_exits_0_in_the_workers_directory(probes: tuple[Inbox, Probes], tmp_path: Path) -> None:
    inbox, prober = probes
    prober.do(effect(ExecReadiness(("sh", "-c", "echo tried >> tries; test -e flag-{params.answer}"))))
    directory = tmp_path / "data" / "workers" / "w" / "data"
    await wait_until_async((directory / "tries").exists, what="a first try")
    assert len(inbox) == 0
    (directory / "flag-yes").touch()
    await ready(inbox)


async def test_a_probe_ends_with_its_worker_and_so_does_what_it_runs(probes: tuple[Inbox, Probes], tmp_path: Path) -> None:
    inbox, prober = probes
    prober.do(effect(ExecReadiness(("sh", "-c", "echo tried >> tries; sleep 1000"))))
    await wait_until_async((tmp_path / "data" / "workers" / "w" / "data" / "tries").exists, what="it runs")
    prober.end(INCARNATION)  # that the sleep is gone, too, is looked at after each test
    await asyncio.sleep(0)
    assert len(inbox) == 0


async def test_a_command_that_cannot_be_run_is_not_ready(probes: tuple[Inbox, Probes]) -> None:
    inbox, prober = probes
    prober.do(effect(ExecReadiness(("/no/such/program",))))
    await asyncio.sleep(0)
    await prober.close()
    assert len(inbox) == 0

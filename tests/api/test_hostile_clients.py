"""Clients that mean no good: slow, endless, two-faced, silent or too many. Each costs bounded time and memory, and nobody else."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from foreman.api import serving as serving_module
from foreman.api.app import create_app
from foreman.api.client import RemoteForeman
from foreman.api.listeners import Listener, open_listeners
from foreman.api.serving import serving
from foreman.cli.certificates import Authority, Use, new_authority
from foreman.kernel import tls_accepting
from foreman.kernel.lost_peers import UNREAD_FOR_S
from foreman.node.configuration import load
from foreman.testing.fake_foreman import FakeForeman

NOW = datetime.now(UTC)
ASK = b"GET /v1/services HTTP/1.1\r\nhost: x\r\n\r\n"
NEW = b"POST /v1/workers HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
POST = b"POST /v1/node:shutdown HTTP/1.1\r\nhost: x\r\n"


async def _until_closed(reader: asyncio.StreamReader) -> bytes:
    try:
        return await asyncio.wait_for(reader.read(), 10)
    except (ConnectionResetError, BrokenPipeError):  # it closed while we were still sending
        return b""


# --- slow ---


@pytest.mark.parametrize(
    ("first", "drop"),
    [
        (b"", b"G"), (b"GET / HTTP/1.1\r\n", b"a"), (ASK, b"G"), (ASK, b"\r\n"), (NEW + b"content-length: 1000\r\n\r\n", b"x"),
        (NEW + b"transfer-encoding: chunked\r\n\r\n5;x=", b"y"),
    ],
    ids=["first-head", "header", "second-head", "empty-lines", "body", "chunk"],
)  # fmt: skip
async def test_a_byte_now_and_then_keeps_no_connection(
    socket_path: Path, monkeypatch: pytest.MonkeyPatch, first: bytes, drop: bytes
) -> None:
    monkeypatch.setattr(serving_module, "HEAD_WITHIN_S", 0.2)
    monkeypatch.setattr(serving_module, "BODY_WITHIN_S", 0.2)
    reader, writer = await asyncio.open_unix_connection(socket_path)
    writer.write(first)
    if first == ASK:
        assert (await reader.readuntil(b"[]")).startswith(b"HTTP/1.1 200")

    async def dripping() -> None:
        while True:
            writer.write(drop)
            await asyncio.sleep(0.02)

    drip = asyncio.ensure_future(dripping())
    await _until_closed(reader)
    drip.cancel()
    writer.close()


async def test_an_answer_may_take_longer_than_its_request(socket_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving_module, "HEAD_WITHIN_S", 0.1)
    monkeypatch.setattr(serving_module, "BODY_WITHIN_S", 0.1)
    async with RemoteForeman.connect(f"unix:{socket_path}") as foreman:
        events = foreman.events()
        asyncio.get_running_loop().call_later(0.5, lambda: asyncio.ensure_future(foreman.new_worker("log_1", "log")))
        assert (await asyncio.wait_for(anext(events), 10)).sequence > 0
        await events.aclose()  # type: ignore[attr-defined]


# --- endless ---


@pytest.mark.parametrize("head", [b"GET /", b"GET / HTTP/1.1\r\nhost: x\r\na: ", b"GET / HTTP/1.1\r\nhost: x\r\na"])
async def test_a_line_without_an_end_is_cut_off(socket_path: Path, head: bytes) -> None:
    reader, writer = await asyncio.open_unix_connection(socket_path)
    writer.write(head)
    for _ in range(40):
        writer.write(b"x" * 8192)
    answer = await _until_closed(reader)
    writer.close()
    assert answer == b"" or answer.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("endless", [b"5;x=", b"5\r\nabcde\r\n0\r\ntrailer: "])
async def test_what_stands_around_a_body_has_an_end(
    socket_path: Path, fake: FakeForeman, monkeypatch: pytest.MonkeyPatch, endless: bytes
) -> None:
    monkeypatch.setattr(serving_module, "LARGEST_REQUEST_BYTES", 200_000)
    reader, writer = await asyncio.open_unix_connection(socket_path)
    writer.write(b"POST /v1/workers HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n" + endless)
    for _ in range(60):
        writer.write(b"x" * 8192)
    answer = await _until_closed(reader)
    writer.close()
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4")


async def test_nonsense_fills_no_log(socket_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    reader, writer = await asyncio.open_unix_connection(socket_path)
    writer.write(b"\0nonsense\r\n\r\n")
    assert (await _until_closed(reader)).startswith(b"HTTP/1.1 400 ")
    writer.close()
    assert (caplog.text, *capfd.readouterr()) == ("", "", "")


# --- two-faced: what one parser takes for a body and another for a request (RFC 9112, 11.2) ---


@pytest.mark.parametrize(
    "headers",
    [
        b"content-length: 4\r\ntransfer-encoding: chunked\r\n", b"transfer-encoding: chunked\r\ncontent-length: 4\r\n",
        b"content-length: 0\r\ncontent-length: 44\r\n", b"content-length: +4\r\n", b"content-length: 4, 44\r\n", b"content-length: 0x4\r\n",
        b"transfer-encoding: chunked, identity\r\n", b"transfer-encoding : chunked\r\n", b"content-length : 4\r\n",
        b"a: b\r\n\tcontent-length: 4\r\n", b"a: b\rcontent-length: 4\r\n", b"a: b\ncontent-length: 4\r\n",
        b"transfer-encoding: xchunked\r\n", b"a\0: b\r\n",
    ],
)  # fmt: skip
async def test_a_request_that_can_be_read_in_two_ways_is_not_read(socket_path: Path, fake: FakeForeman, headers: bytes) -> None:
    reader, writer = await asyncio.open_unix_connection(socket_path)
    writer.write(b"POST /v1/health:wait HTTP/1.1\r\nhost: x\r\n" + headers + b"\r\n0\r\n\r\n" + POST + b"\r\n")
    writer.write_eof()
    answer = await _until_closed(reader)
    writer.close()
    assert not fake.down.is_set(), "the hidden request was done"
    assert answer.startswith(b"HTTP/1.1 4"), answer


# --- silent, and too many ---


@pytest.fixture
async def listeners(tmp_path: Path) -> AsyncIterator[list[Listener]]:
    made = new_authority("ours", now=NOW, days=2)
    node = Authority.read(made.certificate, made.key).issue("node", Use.NODE, ["127.0.0.1"], now=NOW, days=1)
    for name, data in (("ca.pem", made.certificate), ("node.pem", node.certificate), ("node.key", node.key)):
        (tmp_path / name).write_bytes(data)
    (tmp_path / "foreman.toml").write_text(
        '[node]\nlisten = ["127.0.0.1:0"]\ntls = { cert = "node.pem", key = "node.key", client_ca = "ca.pem" }\n'
    )
    opened = open_listeners(load(folder=tmp_path).node, tmp_path / "s")
    yield opened
    for listener in opened:
        listener.sock.close()


def _friend(tmp_path: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tmp_path / "ca.pem")
    context.load_cert_chain(tmp_path / "node.pem", tmp_path / "node.key")
    return context


def _silent(address: str, count: int, said: bytes = b"") -> list[socket.socket]:
    port = int(address.rpartition(":")[2])
    made = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
    for one in made:
        one.sendall(said)
    return made


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01\x02\x00\x01", ASK])
async def test_handshakes_that_never_end_delay_others_only_for_a_while(
    tmp_path: Path, listeners: list[Listener], monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(tls_accepting, "MOST_HANDSHAKES", 2)
    monkeypatch.setattr(tls_accepting, "HANDSHAKE_WITHIN_S", 0.2)
    async with serving(create_app(FakeForeman()), listeners):
        strangers = _silent(listeners[1].address, 5, said)
        async with asyncio.timeout(10), RemoteForeman.connect(f"unix:{tmp_path}/s") as local:
            assert await local.all() == []
        async with asyncio.timeout(10), RemoteForeman.connect(listeners[1].address, tls=_friend(tmp_path)) as friend:
            assert await friend.all() == []
        for one in strangers:
            one.close()


async def test_serving_ends_in_the_middle_of_a_handshake(tmp_path: Path, listeners: list[Listener]) -> None:
    async with asyncio.timeout(5):
        async with serving(create_app(FakeForeman()), listeners):
            strangers = _silent(listeners[1].address, 3)
            await asyncio.sleep(0)
        for one in strangers:
            one.close()


async def test_a_full_tcp_address_shuts_nobody_out_of_the_unix_socket(
    tmp_path: Path, listeners: list[Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving_module, "MOST_CONNECTIONS", 1)
    async with (
        serving(create_app(FakeForeman()), listeners),
        RemoteForeman.connect(listeners[1].address, tls=_friend(tmp_path)) as first,
        RemoteForeman.connect(f"unix:{tmp_path}/s") as local,
    ):
        assert await first.all() == await local.all() == []


async def test_a_peer_that_is_gone_or_takes_nothing_is_given_up_by_the_kernel(listeners: list[Listener]) -> None:
    with _silent(listeners[1].address, 1)[0], listeners[1].sock.accept()[0] as accepted:
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == UNREAD_FOR_S * 1000

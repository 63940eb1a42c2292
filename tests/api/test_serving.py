"""Who may connect, how much they may send, and how serving ends."""

import asyncio
import os
import socket
import ssl
import stat
from pathlib import Path
from typing import Any

import httpx
import pytest

from foreman.api import serving as serving_module
from foreman.api.app import create_app
from foreman.api.client import RemoteForeman
from foreman.api.listeners import Listener, bind_unix, open_listeners, read_token
from foreman.api.serving import serving
from foreman.errors import ForemanUnavailable, InvalidConfiguration, NotAuthorized
from foreman.node.configuration import load
from foreman.testing.fake_foreman import FakeForeman

TOKEN = "a-token-of-good-length"


def _ask_as(uid: int, path: str) -> bytes:
    """What another local user is answered. Forked, because a changed user id cannot be changed back."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setuid(uid)
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(5)
                sock.connect(path)
                answer = sock.recv(65536)
                os.write(write_end, answer)
        finally:
            os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    return told


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
async def test_another_local_user_is_refused_even_when_the_socket_lets_him_in(tmp_path: Path) -> None:
    folder = Path("/tmp") / f"foreman-peer-{os.getpid()}"
    folder.mkdir(mode=0o755)
    try:
        path = folder / "s"
        async with serving(create_app(FakeForeman()), [Listener(bind_unix(path))]):
            path.chmod(0o666)
            told = await asyncio.to_thread(_ask_as, 65534, str(path))
            async with RemoteForeman.connect(f"unix:{path}") as foreman:
                assert (await foreman.node()).cluster == "demo"
        assert told.startswith(b"HTTP/1.1 403 ")
        assert b"application/problem+json" in told
        assert b"not_authorized" in told
    finally:
        (folder / "s").unlink(missing_ok=True)
        folder.rmdir()


def test_the_socket_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        bound = bind_unix(tmp_path / "s")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o600
    bound.close()


async def test_the_socket_of_a_dead_server_is_replaced(tmp_path: Path) -> None:
    bind_unix(tmp_path / "s").close()
    async with (
        serving(create_app(FakeForeman()), [Listener(bind_unix(tmp_path / "s"))]),
        RemoteForeman.connect(f"unix:{tmp_path}/s") as foreman,
    ):
        assert await foreman.all() == []


def test_an_open_tcp_address_is_never_opened() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock, pytest.raises(InvalidConfiguration):
        Listener(sock)
    with socket.create_server(("127.0.0.1", 0)) as sock, pytest.raises(InvalidConfiguration):
        Listener(sock, tls=ssl.create_default_context(ssl.Purpose.CLIENT_AUTH))


async def test_tcp_needs_the_token(tmp_path: Path) -> None:
    token_file = tmp_path / "token"
    token_file.write_text(TOKEN + "\n")
    token_file.chmod(0o600)
    flags = {"node.listen": "127.0.0.1:0", "node.token_file": str(token_file), "node.data": str(tmp_path)}
    listeners = open_listeners(load(flags=flags, folder=tmp_path).node, tmp_path / "s")
    async with serving(create_app(FakeForeman()), listeners):
        address = listeners[1].address
        async with RemoteForeman.connect(address, token=TOKEN) as foreman:
            await foreman.new_worker("log_1", "log")
        with pytest.raises(NotAuthorized) as nobody:
            async with RemoteForeman.connect(address):
                pass
        assert nobody.value.status == 401
        with pytest.raises(NotAuthorized) as wrong:
            async with RemoteForeman.connect(address, token=TOKEN + "x"):
                pass
        assert wrong.value.status == 403
        async with httpx.AsyncClient(base_url=address) as browser:
            assert (await browser.get("/v1/workers", auth=("me", TOKEN))).status_code == 200
            mistyped = await browser.get("/v1/workers", auth=("me", "wrong"))
            assert (mistyped.status_code, mistyped.headers["www-authenticate"][:6]) == (401, "Bearer")
            for header in ("Bearer", "Basic", "Basic %%%", "Digest x", "Bearer " + "x" * 9000):
                assert (await browser.get("/v1/workers", headers={"authorization": header})).status_code in {400, 401, 403}
        async with RemoteForeman.connect(f"unix:{tmp_path}/s") as foreman:
            assert len(await foreman.all()) == 1, "the Unix socket needs no token"


@pytest.mark.parametrize(("text", "mode"), [("short", 0o600), (TOKEN, 0o644), ("two words of good length", 0o600), ("ü" * 30, 0o600)])
def test_a_token_file_that_does_not_serve_is_refused(tmp_path: Path, text: str, mode: int) -> None:
    path = tmp_path / "token"
    path.write_text(text)
    path.chmod(mode)
    with pytest.raises(InvalidConfiguration) as error:
        read_token(path)
    assert text not in str(error.value), "a token is never in a message"


def test_an_address_in_use_is_said_and_nothing_stays_open(tmp_path: Path) -> None:
    token_file = tmp_path / "token"
    token_file.write_text(TOKEN)
    token_file.chmod(0o600)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        flags = {"node.listen": f"127.0.0.1:{taken.getsockname()[1]}", "node.token_file": str(token_file)}
        with pytest.raises(InvalidConfiguration, match="in use"):
            open_listeners(load(flags=flags, folder=tmp_path).node, tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as sock, pytest.raises(ConnectionRefusedError):
        sock.connect(str(tmp_path / "s"))


async def test_leaving_ends_streams_and_lets_answers_finish(tmp_path: Path) -> None:
    slow, begun = asyncio.Event(), asyncio.Event()

    class Slow(FakeForeman):
        async def infos(self, *, kind: str | None = None) -> list[Any]:
            begun.set()
            await slow.wait()
            return []

    path = tmp_path / "s"
    foreman = RemoteForeman.connect(f"unix:{path}")
    async with serving(create_app(Slow()), [Listener(bind_unix(path))]):
        events = foreman.events()
        await foreman.node()
        asked = asyncio.ensure_future(foreman.infos())
        await begun.wait()
        asyncio.get_running_loop().call_later(0.05, slow.set)
    assert await asked == []
    with pytest.raises(ForemanUnavailable):
        await foreman.node()
    await events.aclose()  # type: ignore[attr-defined]
    await foreman.close()


async def test_leaving_takes_bounded_time(tmp_path: Path) -> None:
    class Stuck(FakeForeman):
        async def infos(self, *, kind: str | None = None) -> list[Any]:
            await asyncio.Event().wait()
            return []

    foreman = RemoteForeman.connect(f"unix:{tmp_path}/s")
    async with asyncio.timeout(5):
        async with serving(create_app(Stuck()), [Listener(bind_unix(tmp_path / "s"))], close_grace_s=0.05):
            await foreman.node()
            asked = asyncio.ensure_future(foreman.infos())
            await foreman.node()  # by its answer the other has been taken on
    with pytest.raises(ForemanUnavailable):
        await asked
    await foreman.close()


@pytest.mark.parametrize(
    "sent",
    [
        b"\x00\xff\x00\xff\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\n" + b"a: " + b"x" * 100_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nhost: x\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST /v1/workers HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/workers HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)  # fmt: skip
async def test_what_is_not_http_is_answered_and_hurts_nobody(socket_path: Path, sent: bytes) -> None:
    reader, writer = await asyncio.open_unix_connection(socket_path)
    writer.write(sent)
    answer = await asyncio.wait_for(reader.read(65536), 5)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 4")
    assert b"application/problem+json" in answer
    async with RemoteForeman.connect(f"unix:{socket_path}") as foreman:
        assert await foreman.all() == []


async def test_whoever_connects_and_says_nothing_is_let_go(socket_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving_module, "HEAD_WITHIN_S", 0.05)
    reader, writer = await asyncio.open_unix_connection(socket_path)
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()


async def test_too_many_connections_are_told_so(socket_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving_module, "MOST_CONNECTIONS", 1)
    _, held = await asyncio.open_unix_connection(socket_path)
    reader, writer = await asyncio.open_unix_connection(socket_path)
    assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 503 ")
    writer.close()
    held.close()

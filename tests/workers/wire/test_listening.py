"""Where a worker is reached: on its Unix socket and over TCP, on the same port again, in a range of ports, by a name others can use."""

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis.asyncio as redis

from foreman.cli.certificates import Authority, Use, new_authority
from foreman.core.endpoints import read_endpoints
from foreman.kernel import tls_accepting
from foreman.workers.wire import Listening, RespServer, listen
from foreman.workers.wire.listen_params import check_listen_params, split_listen
from foreman.workers.wire.tcp_port import PORT_FILE
from foreman.workers.wire.tls import client_context


@asynccontextmanager
async def listening(run: Path, address: str) -> AsyncIterator[Listening]:
    run.mkdir(exist_ok=True)
    opened = await listen(RespServer({}, secret=b"open"), run=str(run), params={"listen": address, "auth_file": "/unused"})
    try:
        yield opened
    finally:
        await opened.close(0.0)


def free_ports(count: int) -> range:
    """In a row. They may be taken by somebody else in between: then the next are tried."""
    for first in range(20_000, 30_000, count):
        probes = [socket.socket() for _ in range(count)]
        try:
            for offset, probe in enumerate(probes):
                probe.bind(("127.0.0.1", first + offset))
        except OSError:
            continue
        finally:
            for probe in probes:
                probe.close()
        return range(first, first + count)
    pytest.fail("no ports are free")


async def test_a_worker_says_both_ways_and_answers_on_both(tmp_path: Path) -> None:
    async with listening(tmp_path / "run", "127.0.0.1:0") as opened:
        endpoint, local = read_endpoints(opened.said)
        assert (endpoint, local) == (opened.endpoint, f"unix:{tmp_path}/run/resp.sock")
        assert endpoint is not None
        port = int(endpoint.removeprefix("127.0.0.1:"))
        for client in (redis.Redis(port=port, password="open"), redis.Redis(unix_socket_path=f"{tmp_path}/run/resp.sock")):
            assert await client.ping()
            await client.aclose()


async def test_it_comes_back_where_it_was(tmp_path: Path) -> None:
    endpoints = set()
    for _ in range(3):
        async with listening(tmp_path / "run", "127.0.0.1:0") as opened:
            endpoints.add(opened.endpoint)
    assert len(endpoints) == 1


async def test_it_goes_elsewhere_when_another_has_its_port(tmp_path: Path) -> None:
    async with listening(tmp_path / "a", "127.0.0.1:0") as first:
        (tmp_path / "b").mkdir()
        (tmp_path / "b" / PORT_FILE).write_text(first.endpoint.rpartition(":")[2])
        async with listening(tmp_path / "b", "127.0.0.1:0") as second:
            assert second.endpoint != first.endpoint


@pytest.mark.parametrize("nonsense", ["", "0", "-1", "99999", "x" * 100, "443"])
async def test_nonsense_about_where_it_was_is_ignored(tmp_path: Path, nonsense: str) -> None:
    ports = free_ports(2)
    (tmp_path / PORT_FILE).write_text(nonsense)
    async with listening(tmp_path, f"127.0.0.1:{ports[0]}-{ports[-1]}") as opened:
        assert int(opened.endpoint.rpartition(":")[2]) in ports


async def test_a_range_has_a_port_for_each_worker_and_an_end(tmp_path: Path) -> None:
    ports = free_ports(2)
    address = f"127.0.0.1:{ports[0]}-{ports[-1]}"
    async with listening(tmp_path / "a", address) as first, listening(tmp_path / "b", address) as second:
        assert {int(opened.endpoint.rpartition(":")[2]) for opened in (first, second)} == set(ports)
        with pytest.raises(OSError, match=re.escape(address)):
            async with listening(tmp_path / "c", address):
                pass


async def test_all_addresses_are_called_by_the_machines_name(tmp_path: Path) -> None:
    async with listening(tmp_path, "0.0.0.0:0") as opened:
        assert opened.endpoint.startswith(f"{socket.gethostname()}:")


async def test_an_ipv6_address_stays_in_brackets(tmp_path: Path) -> None:
    try:
        async with listening(tmp_path, "[::1]:0") as opened:
            assert opened.endpoint.startswith("[::1]:")
    except OSError as error:
        pytest.skip(f"NOT TESTED: this machine has no IPv6 loopback ({error})")


@pytest.mark.parametrize(
    ("listen", "expected"),
    [("h:0", ("h", range(1))), ("[::1]:7000-7001", ("::1", range(7000, 7002))), ("10.0.0.5:65535", ("10.0.0.5", range(65535, 65536)))],
)
def test_an_address_is_parted(listen: str, expected: tuple[str, range]) -> None:
    assert split_listen(listen) == expected


@pytest.mark.parametrize("listen", ["h", "h:", ":1", "h:65536", "h:2-1", "h:0-5", "h:1-65536", "::1:5", "h:1-", "h:1-2-3", "h 1:2", 7])
def test_what_is_no_address_is_refused(listen: object) -> None:
    assert check_listen_params({"listen": listen, "auth_file": "/x"})


# --- with certificates ---


@pytest.fixture
def tls(tmp_path: Path) -> dict[str, str]:
    """Of one who is a worker and its client."""
    now = datetime.now(UTC)
    made = new_authority("test authority", now=now, days=2)
    issued = Authority.read(made.certificate, made.key).issue("worker", Use.NODE, ["127.0.0.1"], now=now, days=1)
    for name, content in (("ca.pem", made.certificate), ("worker.pem", issued.certificate), ("worker.key", issued.key)):
        (tmp_path / name).write_bytes(content)
    return {"certificate": f"{tmp_path}/worker.pem", "key": f"{tmp_path}/worker.key", "client_ca": f"{tmp_path}/ca.pem"}


async def ping(endpoint: str, context: ssl.SSLContext) -> bytes:
    host, _, port = endpoint.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), ssl=context)
    try:
        writer.write(b"*1\r\n$4\r\nPING\r\n")
        return await reader.readline()
    finally:
        writer.transport.abort()


async def test_strangers_that_never_shake_hands_shut_nobody_out(
    tmp_path: Path, tls: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tls_accepting, "MOST_HANDSHAKES", 2)
    monkeypatch.setattr(tls_accepting, "HANDSHAKE_WITHIN_S", 1.0)
    opened = await listen(RespServer({}), run=str(tmp_path), params={"listen": "127.0.0.1:0", "tls": tls})
    host, _, port = opened.endpoint.rpartition(":")
    strangers = [socket.create_connection((host, int(port))) for _ in range(3)]
    try:
        async with asyncio.timeout(20):
            assert await ping(opened.endpoint, client_context(tls)) == b"+PONG\r\n"
        assert "a TLS handshake failed" in capsys.readouterr().err
    finally:
        for stranger in strangers:
            stranger.close()
        await opened.close(0.0)


async def test_it_ends_in_the_middle_of_a_handshake(tmp_path: Path, tls: dict[str, str]) -> None:
    opened = await listen(RespServer({}), run=str(tmp_path), params={"listen": "127.0.0.1:0", "tls": tls})
    host, _, port = opened.endpoint.rpartition(":")
    with socket.create_connection((host, int(port))):
        await asyncio.sleep(0)
        async with asyncio.timeout(5):
            await opened.close(0.0)
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((host, int(port)))

"""A peer gets its answers in order, within limits; whatever it sends, the server goes on for the others."""

import asyncio
import os
import random
from pathlib import Path

import pytest
import redis.asyncio as redis

from foreman.workers.wire import Limits
from tests.deadline import wait_until_async
from tests.workers.wire.framed import command
from tests.workers.wire.serving import Serving, serving


async def exchange(served: Serving, data: bytes) -> bytes:
    """What comes back until the server hangs up or is silent after PING."""
    reader, writer = await served.connect()
    writer.write(data)
    answer = b""
    try:
        async with asyncio.timeout(5):
            while not answer.endswith(b"+PONG\r\n") and (more := await reader.read(65536)):
                answer += more
    except ConnectionError:
        pass
    writer.close()
    return answer


async def test_answers_keep_the_order_of_their_commands(run: Path) -> None:
    async with serving(run) as served:
        reader, writer = await served.connect()
        writer.write(command(b"HOLD") + command(b"ECHO", b"a") + command(b"HOLD") + command(b"ECHO", b"b"))
        await wait_until_async(lambda: len(served.held) == 2)
        served.release()
        expected = b"+RELEASED\r\n$1\r\na\r\n+RELEASED\r\n$1\r\nb\r\n"
        assert await reader.readexactly(len(expected)) == expected
        writer.close()


async def test_one_command_may_come_byte_by_byte(run: Path) -> None:
    async with serving(run) as served:
        reader, writer = await served.connect()
        for byte in command(b"ECHO", b"\r\n*99999999\r\n$5\r\n") + command(b"PING"):
            writer.write(bytes([byte]))
            await writer.drain()
        expected = b"$17\r\n\r\n*99999999\r\n$5\r\n\r\n+PONG\r\n"
        assert await reader.readexactly(len(expected)) == expected
        writer.close()


@pytest.mark.parametrize(
    "hostile",
    [b"*1000000000\r\n", b"*2\r\n$4\r\nECHO\r\n*1000000000\r\n", b"hello\r\n", b"\x00" * 100, b"+OK\r\n"],
)
async def test_what_is_no_command_costs_the_peer_its_connection_and_nobody_else(run: Path, hostile: bytes) -> None:
    async with serving(run) as served:
        assert (await exchange(served, hostile)).startswith(b"-ERR")
        assert await exchange(served, command(b"PING")) == b"+PONG\r\n"


@pytest.mark.parametrize(
    "wrong", [b"*1\r\n:5\r\n", b"*1\r\n$-1\r\n", b"*1\r\n*1\r\n$1\r\na\r\n", command(b""), command(b"NO\xff"), command(b"GET")]
)
async def test_a_command_that_is_wrong_is_an_error_and_the_connection_goes_on(run: Path, wrong: bytes) -> None:
    async with serving(run) as served:
        answer = await exchange(served, wrong + command(b"PING"))
        assert answer.startswith(b"-ERR")
        assert answer.endswith(b"+PONG\r\n")


async def test_a_frame_over_the_limit_is_refused_while_it_comes(run: Path) -> None:
    async with serving(run, Limits(frame_bytes=200_000)) as served:
        answer = await exchange(served, command(b"PING")[:0] + b"*2\r\n$4\r\nECHO\r\n$900000\r\n" + b"x" * 900_000 + b"\r\n")
        assert answer.startswith((b"-TOOLARGE frame", b"-ERR Protocol error")) or answer == b""
        assert served.server.partial_bytes == 0


async def test_many_whole_commands_are_no_large_frame(run: Path) -> None:
    async with serving(run, Limits(frame_bytes=100_000)) as served:
        many = command(b"SET", b"k", b"v" * 999) * 3000
        reader, writer = await served.connect()
        writer.write(many)
        assert await reader.readexactly(3000 * 5) == b"+OK\r\n" * 3000
        writer.close()


async def test_no_more_connections_than_allowed(run: Path) -> None:
    async with serving(run, Limits(connections=2)) as served:
        first, second = await served.connect(), await served.connect()
        assert b"max number of clients" in await exchange(served, command(b"PING"))
        first[1].close()
        await wait_until_async(lambda: len(served.server.connections) == 1)
        assert await exchange(served, command(b"PING")) == b"+PONG\r\n"
        second[1].close()


async def test_pipelined_commands_beyond_the_limit_wait_and_are_all_answered(run: Path) -> None:
    async with serving(run, Limits(pipeline=10)) as served:
        reader, writer = await served.connect()
        writer.write(command(b"HOLD") * 25)
        for _ in range(3):
            await wait_until_async(lambda: len(served.held) in {10, 5})
            served.release()
        assert await reader.readexactly(25 * 11) == b"+RELEASED\r\n" * 25
        writer.close()


async def test_a_reader_that_reads_nothing_is_bounded_and_cut(run: Path) -> None:
    async with serving(run, Limits(slow_reader_s=0.2)) as served:
        _, writer = await served.connect()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(command(b"BIG", b"500000") * 1000)
        await wait_until_async(lambda: not served.server.connections)
        writer.close()
        assert await exchange(served, command(b"PING")) == b"+PONG\r\n"


async def test_a_slow_reader_that_reads_gets_everything(run: Path) -> None:
    async with serving(run) as served:
        reader, writer = await served.connect()
        writer.write(command(b"BIG", b"500000") * 40)
        assert len(await reader.readexactly(40 * (500_000 + 11))) == 40 * 500_011
        writer.close()


async def test_a_peer_that_goes_abandons_what_it_waited_for(run: Path) -> None:
    async with serving(run) as served:
        _, writer = await served.connect()
        writer.write(command(b"HOLD") * 3)
        await wait_until_async(lambda: len(served.held) == 3)
        writer.close()
        await wait_until_async(lambda: served.abandoned == 3)
        served.release()


async def test_quit_answers_what_came_before_it(run: Path) -> None:
    async with serving(run) as served:
        reader, writer = await served.connect()
        writer.write(command(b"HOLD") + command(b"QUIT") + command(b"PING"))
        await wait_until_async(lambda: len(served.held) == 1)
        served.release()
        assert await reader.read() == b"+RELEASED\r\n+OK\r\n"
        writer.close()


async def test_nobody_says_anything_before_auth(run: Path) -> None:
    params = {"listen": "127.0.0.1:0", "auth_file": "/unused"}
    async with serving(run, secret=b"sesame", params=params) as served:
        host, port = served.listening.endpoint.split(":")
        for data, starts in [
            (command(b"GET", b"k"), b"-NOAUTH"),
            (command(b"AUTH", b"wrong"), b"-WRONGPASS"),
            (command(b"HELLO", b"3"), b"-NOAUTH"),
            (command(b"AUTH", b"sesame"), b"+OK"),
            (command(b"HELLO", b"3", b"AUTH", b"default", b"sesame"), b"%"),
            (b"*2\r\n$4\r\nECHO\r\n$90000\r\n" + b"x" * 80_000, b"-TOOLARGE"),
        ]:
            reader, writer = await asyncio.open_connection(host, int(port))
            served.writers.append(writer)
            writer.write(data)
            assert (await reader.read(100)).startswith(starts)
            writer.close()


async def test_the_socket_is_the_owners_alone(run: Path) -> None:
    async with serving(run):
        assert os.stat(run / "resp.sock").st_mode & 0o777 == 0o600
    async with serving(run) as again:  # what a killed incarnation left is replaced
        assert await exchange(again, command(b"PING")) == b"+PONG\r\n"


@pytest.mark.parametrize("protocol", [2, 3])
async def test_redis_py_is_at_home(run: Path, protocol: int) -> None:
    async with serving(run) as served:
        client = redis.Redis(unix_socket_path=served.listening.unix_endpoint.removeprefix("unix:"), protocol=protocol, client_name="me")
        assert await client.ping()
        await client.set("k", b"v")
        assert await client.get("k") == b"v"
        assert await client.config_get("save") in ({"save": ""}, {b"save": b""})
        async with client.pipeline(transaction=False) as pipeline:
            for number in range(100):
                pipeline.execute_command("SET", f"k{number}", number)
                pipeline.execute_command("GET", f"k{number}")
            assert (await pipeline.execute())[1::2] == [b"%d" % number for number in range(100)]
        await client.aclose()


async def test_any_bytes_in_any_chunks_leave_the_server_serving(run: Path) -> None:
    dice = random.Random(7)
    pieces = [
        b"*",
        b"$",
        b"\r\n",
        b"5",
        b"99999999",
        b"PING",
        b"-1",
        b">3",
        b"%2",
        b"\x00",
        command(b"PING"),
        command(b"GET", b"k"),
        b":1",
        b"#t",
    ]
    async with serving(run) as served:
        for _ in range(300):
            reader, writer = await served.connect()
            for _ in range(dice.randrange(1, 5)):
                writer.write(b"".join(dice.choice(pieces) for _ in range(dice.randrange(1, 30))))
            writer.write_eof()
            await reader.read()
            writer.close()
        assert await exchange(served, command(b"PING")) == b"+PONG\r\n"
        await wait_until_async(lambda: served.server.partial_bytes == 0)

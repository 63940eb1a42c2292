"""A director's generation at the node's door: older ones are refused, whenever they arrive; people are never asked for one."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from foreman.api.client import RemoteForeman
from foreman.core.errors import StaleGeneration
from foreman.core.generations import HEADER, Generation
from foreman.testing.fake_foreman import FakeForeman

Director = Callable[..., RemoteForeman]


def generation(epoch: int, directory: str = "0123456789abcdef") -> Generation:
    return Generation(epoch, "0badcafe", directory)


@pytest.fixture
async def director(socket_path: Path) -> AsyncIterator[Director]:
    async with AsyncExitStack() as stack:

        def connect(epoch: int, directory: str = "0123456789abcdef") -> RemoteForeman:
            foreman = RemoteForeman.connect(f"unix:{socket_path}", generation=generation(epoch, directory))
            stack.push_async_callback(foreman.close)
            return foreman

        yield connect


async def test_older_directors_change_nothing_and_learn_nothing(director: Director, remote: RemoteForeman) -> None:
    await director(2).new_worker("log-2-0badcafe-0-00000000", "log")
    for deposed in (director(1), director(0)):
        with pytest.raises(StaleGeneration) as refused:
            await deposed.new_worker("log-1-0badcafe-0-00000000", "log")
        assert refused.value.newest_epoch == 2
        with pytest.raises(StaleGeneration):
            await deposed.remove_workers(["log-2-0badcafe-0-00000000"])
        with pytest.raises(StaleGeneration):
            await deposed.infos()
    await remote.new_worker("by-hand", "log")
    assert [worker.id for worker in await director(2).all()] == ["by-hand", "log-2-0badcafe-0-00000000"]


async def test_who_asks_is_heard_too(director: Director) -> None:
    await director(1).infos()
    await director(2).infos()
    with pytest.raises(StaleGeneration):
        await director(1).new_worker("log-1-0badcafe-0-00000000", "log")


async def test_what_is_no_generation_is_refused(socket_path: Path) -> None:
    status, problem = await sent(socket_path, {HEADER: "newest"}, b"{}", asyncio.sleep(0))
    assert (status, problem["code"]) == (422, "invalid_request")


async def test_a_command_that_ends_after_a_newer_director_came_is_refused(socket_path: Path, director: Director, fake: FakeForeman) -> None:
    """Its head was there before: what counts is when it is done."""
    body = json.dumps({"id": "log-1-0badcafe-0-00000000", "kind": "log"}).encode()
    await director(1).infos()
    status, problem = await sent(socket_path, {HEADER: str(generation(1))}, body, director(2).infos())
    assert (status, problem["code"]) == (409, "stale_generation")
    assert await fake.all() == []


async def sent(path: Path, headers: dict[str, str], body: bytes, between: Awaitable[object]) -> tuple[int, dict[str, object]]:
    """POST /v1/workers; ``between`` is awaited before the last byte goes."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    fields = {"host": "foreman", "content-type": "application/json", "content-length": str(len(body)), "connection": "close", **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    writer.write(f"POST /v1/workers HTTP/1.1\r\n{head}\r\n".encode() + body[:-1])
    await writer.drain()
    await between
    writer.write(body[-1:])
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    first, _, rest = answer.partition(b"\r\n")
    told: dict[str, object] = json.loads(rest.partition(b"\r\n\r\n")[2])
    return int(first.split()[1]), told

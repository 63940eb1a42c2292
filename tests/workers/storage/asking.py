"""Asking a worker as any Redis client would, and waiting until it has come so far."""

import asyncio
from collections.abc import Callable
from typing import Any

import redis.asyncio as redis


async def ask(client: "redis.Redis", *words: str | bytes | int) -> Any:
    return await client.execute_command(*words)  # type: ignore[no-untyped-call]


async def error_of(client: "redis.Redis", *words: str | int) -> str:
    """The error line that the command is answered with."""
    try:
        answer = await ask(client, *words)
    except redis.ResponseError as error:
        return str(error)
    raise AssertionError(f"{words} answered {answer!r}")


async def wait_for(client: "redis.Redis", version: int, timeout_s: float = 15.0) -> None:
    """Until ``version`` can be read."""
    await ask(client, "GET", "", "AT", version, "WAIT", int(timeout_s * 1000))


async def until(client: "redis.Redis", fact: str, wanted: Callable[[Any], bool], timeout_s: float = 15.0) -> None:
    """Until the fact of INFO is as wanted."""
    async with asyncio.timeout(timeout_s):
        while not wanted((await client.info())[fact]):
            await asyncio.sleep(0.005)


async def until_durable(client: "redis.Redis", version: int, timeout_s: float = 15.0) -> None:
    await until(client, "durable_version", lambda durable: bool(durable >= version), timeout_s)


async def everything(client: "redis.Redis", version: int | None = None) -> dict[bytes, bytes]:
    """All pairs, page by page."""
    pairs: dict[bytes, bytes] = {}
    begin = b""
    at = () if version is None else ("AT", version)
    while True:
        flat, more = await ask(client, "RANGE", begin, "", "END", "LAST", *at)
        pairs.update(zip(flat[::2], flat[1::2], strict=True))
        if not more:
            return pairs
        begin = flat[-2] + b"\0"

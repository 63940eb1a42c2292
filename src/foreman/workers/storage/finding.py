"""Where a log listens: asked of the foreman by id, or taken from where its socket lies when the foreman does not answer.

Owns one small HTTP request over the foreman's Unix socket; an endpoint needs no finding. Nothing is polled: the answer is asked for again
only when a connection has failed.
"""

import asyncio
import os
from typing import Any, Final

import msgspec

from foreman.core.errors import ForemanUnavailable

_ANSWER_IN_S: Final = 2.0
_MAX_ANSWER_BYTES: Final = 1 << 20


class Finder:
    """``address``: the foreman's, ``unix:/path``; ``run``: this worker's run directory, beside which the others' lie."""

    def __init__(self, address: str, run: str) -> None:
        self._address, self._run = address, run

    async def endpoint_of(self, log: str) -> str:
        """The endpoint of ``log``, an id or an endpoint itself."""
        if ":" in log:
            return log
        try:
            return await self._ask(log)
        except ForemanUnavailable:
            return f"unix:{os.path.join(os.path.dirname(self._run.rstrip('/')), log, 'resp.sock')}"

    async def _ask(self, log: str) -> str:
        if not self._address.startswith("unix:"):
            raise ForemanUnavailable(self._address, "not a Unix socket")
        try:
            async with asyncio.timeout(_ANSWER_IN_S):
                body = await _get(self._address.removeprefix("unix:"), f"/v1/workers/{log}")
            info: Any = msgspec.json.decode(body)
        except (OSError, TimeoutError, EOFError, ValueError) as error:
            raise ForemanUnavailable(self._address, str(error) or type(error).__name__) from error
        endpoint = info.get("local_endpoint") or info.get("endpoint") if isinstance(info, dict) else None
        if not isinstance(endpoint, str):
            raise ForemanUnavailable(self._address, f"it knows no endpoint of {log} yet")
        return endpoint


async def _get(path: str, target: str) -> bytes:
    """The body of a 200 answer. HTTP/1.0, so that it comes unchunked and ends with the connection."""
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        writer.write(f"GET {target} HTTP/1.0\r\nHost: foreman\r\nAccept: application/json\r\n\r\n".encode())
        answer = b""
        while data := await reader.read(65_536):
            answer += data
            if len(answer) > _MAX_ANSWER_BYTES:
                raise ValueError("the answer is too long")
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head.split(b" ", 2)[1:2]
    if status != [b"200"]:
        raise ValueError(f"it answered {status}")
    return body

"""Messages on a stream: four bytes of length (big-endian), then that many bytes of JSON, an object.

Owns the cutting of a stream into messages and its bounds; knows nothing of what the messages mean.
"""

import json
import struct
from collections.abc import Iterator
from typing import Any, Final

MAX_REQUEST_BYTES: Final = 1 << 20
MAX_REPLY_BYTES: Final = 64 << 20
"""``list`` of some thousand workers, each with its longest texts."""

_LENGTH: Final = struct.Struct(">I")


class FrameError(ValueError):
    """The stream cannot be understood from here on: close it."""


def encode_frame(message: dict[str, Any]) -> bytes:
    """One message as bytes on the stream."""
    body = json.dumps(message, separators=(",", ":")).encode()
    return _LENGTH.pack(len(body)) + body


class FrameReader:
    """Takes bytes as they come, gives whole messages."""

    def __init__(self, max_bytes: int) -> None:
        self._max = max_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def frames(self) -> Iterator[dict[str, Any]]:
        """Each message that is complete. Raises FrameError when one is too large, no JSON, or no object."""
        while len(self._buffer) >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(self._buffer)
            if size > self._max:
                raise FrameError(f"a frame of {size} bytes; at most {self._max} are taken")
            if len(self._buffer) < _LENGTH.size + size:
                return
            body = bytes(self._buffer[_LENGTH.size : _LENGTH.size + size])
            del self._buffer[: _LENGTH.size + size]
            yield _object(body)


def _object(body: bytes) -> dict[str, Any]:
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise FrameError(f"a frame that is not JSON: {str(error)[:200]}") from error
    if not isinstance(message, dict):
        raise FrameError("a frame that is not a JSON object")
    return message

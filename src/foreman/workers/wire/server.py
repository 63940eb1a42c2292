"""The table of commands and who is connected. A connection asks it for each command's answer; it asks nobody.

Owns admission (a bounded number of connections), authentication, and the translation of errors into error lines. A command that is
unknown or has too few or too many arguments never reaches its handler.
"""

import asyncio
import contextlib
import hmac
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from foreman.core.data_errors import DataPlaneError, InvalidCommand
from foreman.workers.wire import replies, standard
from foreman.workers.wire.connection import RespConnection
from foreman.workers.wire.limits import Limits
from foreman.workers.wire.pending import Pending

Handler = Callable[[RespConnection, list[bytes]], bytes | Pending]


class Command(NamedTuple):
    """``run`` gets the connection and all words of the command, its name first: ``least`` to ``most`` words after it."""

    run: Handler
    least: int = 0
    most: int = 1_000_000


_BEFORE_AUTH: Final = frozenset({b"AUTH", b"HELLO", b"QUIT"})


class RespServer:
    """``settings`` answer CONFIG GET; ``secret`` is what AUTH must give on listeners that ask for it."""

    def __init__(
        self,
        commands: Mapping[bytes, Command],
        *,
        limits: Limits | None = None,
        settings: Mapping[bytes, bytes] | None = None,
        secret: bytes | None = None,
    ) -> None:
        self.limits = limits if limits is not None else Limits()
        self.settings = dict(settings or {})
        self.connections: set[RespConnection] = set()
        self.partial_bytes = 0
        self._secret = secret
        own = {name: Command(*entry) for name, entry in standard.COMMANDS.items()}
        self.commands: dict[bytes, Command] = {**own, b"AUTH": Command(self._auth, 1, 2), b"HELLO": Command(self._hello, 0, 7), **commands}
        self._numbers = 0
        self._dirty: list[RespConnection] = []
        self._empty = asyncio.Event()

    def protocol(self, *, authenticated: bool = True) -> RespConnection:
        """A protocol for the next connection: a factory for ``loop.create_server``."""
        self._numbers += 1
        return RespConnection(self, self._numbers, authenticated=authenticated)

    def admit(self, connection: RespConnection) -> bool:
        if len(self.connections) >= self.limits.connections:
            return False
        self.connections.add(connection)
        return True

    def forget(self, connection: RespConnection) -> None:
        self.connections.discard(connection)
        if not self.connections:
            self._empty.set()

    async def wait_empty(self, timeout_s: float) -> bool:
        """Whether the last connection went within ``timeout_s`` seconds."""
        self._empty.clear()
        if self.connections:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), timeout_s)
        return not self.connections

    def dispatch(self, connection: RespConnection, frame: Any) -> bytes | Pending:
        """The answer to one parsed frame, or its place."""
        if frame.__class__ is not list:
            connection.refuse("ERR Protocol error: a command is an array of bulk strings")
            return b""
        for word in frame:
            if word.__class__ is not bytes:
                return replies.error_line("ERR Protocol error: a command is an array of bulk strings")
        if not frame:
            return b""
        command = self.commands.get(frame[0])
        if command is None or not connection.authenticated:
            found = self._look_up(connection, frame[0])
            if isinstance(found, bytes):
                return found
            command = found
        run, least, most = command
        if not least < len(frame) <= most + 1:
            name = frame[0].decode("ascii", "backslashreplace").lower()
            return replies.error_line(f"ERR wrong number of arguments for '{name}' command")
        try:
            return run(connection, frame)
        except DataPlaneError as problem:
            return replies.error(problem)

    def _look_up(self, connection: RespConnection, name: bytes) -> Command | bytes:
        """The command, whatever the case of its name; or why there is none for this peer."""
        command = self.commands.get(name.upper())
        if not connection.authenticated and name.upper() not in _BEFORE_AUTH:
            return replies.error_line("NOAUTH Authentication required.")
        if command is None:
            return replies.error_line(f"ERR unknown command '{name[:64].decode('ascii', 'backslashreplace')}'")
        return command

    # Answers that come later.

    def schedule(self, connection: RespConnection) -> None:
        """Flush this connection soon, with all others that get answers in the same turn of the loop: one write each."""
        if connection.schedule_once():
            if not self._dirty:
                asyncio.get_running_loop().call_soon(self._flush)
            self._dirty.append(connection)

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        for connection in dirty:
            connection.flush()

    # Who is there.

    def _auth(self, connection: RespConnection, words: list[bytes]) -> bytes:
        self._check_secret(connection, words[-1])
        return replies.OK

    def _check_secret(self, connection: RespConnection, given: bytes) -> None:
        if self._secret is None:
            raise InvalidCommand("AUTH called, but this worker has no password")
        if not hmac.compare_digest(given, self._secret):
            raise standard.WrongPassword
        connection.authenticated = True

    def _hello(self, connection: RespConnection, words: list[bytes]) -> bytes:
        wish = standard.parse_hello(words)
        if wish.password is not None:
            self._check_secret(connection, wish.password)
        if not connection.authenticated:
            return replies.error_line("NOAUTH HELLO must be called with the client already authenticated, or with AUTH")
        return standard.greet(connection, wish)

"""What every Redis client expects of a server before it says anything of its own: PING, HELLO, CLIENT, COMMAND, CONFIG GET, …

Enough for redis-cli, redis-benchmark and redis-py to feel at home; no data is behind any of it.
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

import foreman
from foreman.core.data_errors import DataPlaneError, InvalidCommand
from foreman.workers.wire import replies

if TYPE_CHECKING:
    from foreman.workers.wire.connection import RespConnection

_MAX_NAME_BYTES: Final = 128


class WrongPassword(DataPlaneError):
    code, http_status, word = "wrong_password", 401, "WRONGPASS"

    def __str__(self) -> str:
        return "invalid username-password pair"


class UnsupportedProtocol(DataPlaneError):
    code, http_status, word = "unsupported_protocol", 422, "NOPROTO"

    def __str__(self) -> str:
        return "unsupported protocol version"


@dataclass(frozen=True, slots=True)
class Hello:
    protocol: int | None
    password: bytes | None
    name: bytes | None


def parse_hello(words: list[bytes]) -> Hello:
    """``HELLO [2|3 [AUTH user password] [SETNAME name]]``."""
    protocol: int | None = None
    password = name = None
    rest = words[1:]
    if rest:
        if rest[0] not in {b"2", b"3"}:
            raise UnsupportedProtocol
        protocol, rest = int(rest[0]), rest[1:]
    while rest:
        match rest:
            case [option, _user, secret, *more] if option.upper() == b"AUTH":
                password, rest = secret, more
            case [option, given, *more] if option.upper() == b"SETNAME":
                name, rest = _client_name(given), more
            case _:
                raise InvalidCommand("syntax error in HELLO")
    return Hello(protocol, password, name)


def greet(connection: "RespConnection", wish: Hello) -> bytes:
    """Take over what the client wished for and tell who answers."""
    connection.protocol = wish.protocol or connection.protocol
    connection.name = connection.name if wish.name is None else wish.name
    facts = {
        "server": replies.bulk(b"foreman"),
        "version": replies.text(foreman.__version__),
        "proto": replies.integer(connection.protocol),
        "id": replies.integer(connection.number),
        "mode": replies.bulk(b"standalone"),
        "role": replies.bulk(b"master"),
        "modules": replies.EMPTY,
    }
    return replies.mapping(facts, connection.protocol)


def _client_name(given: bytes) -> bytes:
    if len(given) > _MAX_NAME_BYTES or any(not 33 <= byte <= 126 for byte in given):
        raise InvalidCommand("a client's name is up to 128 printable characters without spaces")
    return given


def _ping(_connection: "RespConnection", words: list[bytes]) -> bytes:
    return replies.bulk(words[1]) if len(words) == 2 else replies.PONG


def _echo(_connection: "RespConnection", words: list[bytes]) -> bytes:
    return replies.bulk(words[1])


def _quit(connection: "RespConnection", _words: list[bytes]) -> bytes:
    connection.finish_after(replies.OK)
    return b""


def _select(_connection: "RespConnection", words: list[bytes]) -> bytes:
    if words[1] != b"0":
        raise InvalidCommand("DB index is out of range: a worker has one database, 0")
    return replies.OK


def _reset(connection: "RespConnection", _words: list[bytes]) -> bytes:
    connection.protocol, connection.name = 2, b""
    return b"+RESET\r\n"


def _command(connection: "RespConnection", words: list[bytes]) -> bytes:
    """Clients use the details for key routing and help only; an empty answer tells them to do without."""
    match [word.upper() for word in words[1:2]]:
        case [b"COUNT"]:
            return replies.integer(connection.command_count)
        case [b"DOCS"]:
            return replies.mapping({}, connection.protocol)
        case _:
            return replies.EMPTY


def _client(connection: "RespConnection", words: list[bytes]) -> bytes:
    match [words[1].upper(), *words[2:]]:
        case [b"ID"]:
            return replies.integer(connection.number)
        case [b"GETNAME"]:
            return replies.bulk(connection.name)
        case [b"SETNAME", name]:
            connection.name = _client_name(name)
            return replies.OK
        case [b"SETINFO", _attribute, _value]:
            return replies.OK
        case [b"INFO"]:
            return replies.bulk(b"id=%d name=%b resp=%d" % (connection.number, connection.name, connection.protocol))
        case _:
            raise InvalidCommand("unknown subcommand or wrong number of arguments for 'client'")


def _config(connection: "RespConnection", words: list[bytes]) -> bytes:
    if words[1].upper() != b"GET" or len(words) < 3:
        raise InvalidCommand("only CONFIG GET is here; a worker's settings are its params")
    patterns = [word.decode("utf-8", "replace").lower() for word in words[2:]]
    names = [name for name in connection.settings if any(fnmatchcase(name.decode(), pattern) for pattern in patterns)]
    return replies.mapping({name.decode(): replies.bulk(connection.settings[name]) for name in names}, connection.protocol)


COMMANDS: Final = {
    b"PING": (_ping, 0, 1),
    b"ECHO": (_echo, 1, 1),
    b"QUIT": (_quit, 0, 0),
    b"SELECT": (_select, 1, 1),
    b"RESET": (_reset, 0, 0),
    b"COMMAND": (_command, 0, 1000),
    b"CLIENT": (_client, 1, 4),
    b"CONFIG": (_config, 1, 100),
}

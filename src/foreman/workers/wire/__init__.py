"""RESP, the Redis protocol, as the log and the storage worker serve it; and the form of a transaction on it.

Owns connections, framing, limits, authentication and what every Redis client expects of a server (PING, HELLO, COMMAND…). Knows no
command of a log or a storage worker: each brings a table of its own. A server in full:

    from foreman.workers.wire import Command, Limits, RespConnection, RespServer, Pending, replies

    def get(connection: RespConnection, arguments: list[bytes]) -> bytes | Pending:
        value = store.get(arguments[1])                      # arguments[0] is the command's own name
        return replies.bulk(value) if value is not None else replies.NULL
        # or:  pending = connection.later(); waiting.append(pending); return pending
        #      … later, on the same loop: pending.resolve(replies.integer(1)); replies keep the order of their commands
        # or:  raise VersionTooOld(oldest)                    # any DataPlaneError becomes its error line

    server = RespServer({b"GET": Command(get, least=1, most=3)}, limits=Limits(), settings={b"maxmemory": b"0"})
    listening = await listen(server, run=host.environment.run, params=host.environment.params)
    host.notify.endpoint(listening.said)                     # "unix:/…/resp.sock", or "host:port" and that
    …
    await listening.close(grace_s=1.0)

Handlers run on the loop and must not block it. Their arguments are always ``bytes``, between ``least`` and ``most`` of them after
the command's name (the wire has checked both).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from foreman.workers.wire import replies as replies
    from foreman.workers.wire.connection import RespConnection as RespConnection
    from foreman.workers.wire.limits import Limits as Limits
    from foreman.workers.wire.listening import Listening as Listening
    from foreman.workers.wire.listening import listen as listen
    from foreman.workers.wire.pending import Pending as Pending
    from foreman.workers.wire.pending import resolve_all as resolve_all
    from foreman.workers.wire.server import Command as Command
    from foreman.workers.wire.server import RespServer as RespServer
    from foreman.workers.wire.transactions import check_transaction as check_transaction
    from foreman.workers.wire.transactions import decode_transaction as decode_transaction
    from foreman.workers.wire.transactions import encode_transaction as encode_transaction

_HOME: Final = {
    "Command": "server",
    "Limits": "limits",
    "Listening": "listening",
    "Pending": "pending",
    "RespConnection": "connection",
    "RespServer": "server",
    "check_transaction": "transactions",
    "decode_transaction": "transactions",
    "encode_transaction": "transactions",
    "listen": "listening",
    "resolve_all": "pending",
}
"""Name → the module it is loaded from when first used: the Foreman checks params with a module beside them and needs no server for it."""

__all__ = sorted([*_HOME, "replies"])  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

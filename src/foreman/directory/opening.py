"""From ``[directory] url`` to the engine that serves it.

    sqlite:PATH                                              one machine; an absolute PATH may be shared by the nodes on it
    etcd://[USER[:PASSWORD]@]HOST:PORT[,HOST:PORT…][?…]      a cluster
        ca=PATH            TLS, and who may sign the servers' certificates
        cert=PATH&key=PATH this client's certificate
        password_file=PATH instead of a password that every `ps` shows

The etcd client is loaded when a URL asks for it, so that a node on SQLite does not pay for gRPC.
"""

from pathlib import Path
from typing import Final

from foreman.core.errors import InvalidConfiguration
from foreman.directory.port import Directory

_SCHEMES: Final = "sqlite:PATH or etcd://HOST:PORT,…"


def open_directory(url: str, base: Path | None = None) -> Directory:
    """The directory at ``url``; a relative PATH stands below ``base``, or else below the current directory.

    No I/O beyond the files that an etcd URL names. Raises InvalidConfiguration.
    """
    scheme, _, rest = url.partition(":")
    match scheme:
        case "sqlite":
            from foreman.directory.sqlite.engine import SqliteDirectory

            if not rest or rest == ":memory:" or "\0" in rest:
                raise InvalidConfiguration([f"[directory] url {url!r}: sqlite: is followed by the path of a file"])
            return SqliteDirectory((base or Path()).absolute() / rest)
        case "etcd":
            from foreman.directory.etcd.address import parse_etcd_url
            from foreman.directory.etcd.engine import EtcdDirectory

            return EtcdDirectory(parse_etcd_url(url))
        case _:
            raise InvalidConfiguration([f"[directory] url: {scheme[:20]!r} is no kind of directory; use {_SCHEMES}"])

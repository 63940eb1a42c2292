"""An ``etcd://`` URL, taken apart into what a connection needs. Reads the files it names; never shows the password."""

import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NoReturn

from foreman.core.errors import InvalidConfiguration

MOST_ENDPOINTS: Final = 32
_OPTIONS: Final = ("ca", "cert", "key", "password_file")


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM. ``certificate`` and ``key``: this client's own, or None."""

    authorities: bytes
    certificate: bytes | None = None
    key: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class EtcdAddress:
    """``endpoints``: host:port of each member."""

    endpoints: tuple[str, ...]
    user: str | None = None
    password: str = field(default="", repr=False)
    tls: Tls | None = None

    @property
    def shown(self) -> str:
        """For people: no password."""
        return f"etcd://{self.user + '@' if self.user else ''}{','.join(self.endpoints)}"


def parse_etcd_url(url: str) -> EtcdAddress:
    """Raises InvalidConfiguration, which never repeats the password."""
    endpoints, user, password, options = split_etcd_url(url)
    password = _password_of(options["password_file"]) if "password_file" in options else urllib.parse.unquote(password)
    return EtcdAddress(endpoints, urllib.parse.unquote(user) or None, password, _tls(options))


def split_etcd_url(url: str) -> tuple[tuple[str, ...], str, str, dict[str, str]]:
    """Endpoints, user and password (both as written), and options. Reads no file; raises as above."""
    place, _, query = url.removeprefix("etcd://").partition("?")
    credentials, at, hosts = place.rpartition("@")
    user, _, password = credentials.partition(":")
    if at and not user:
        _refuse("a user's name stands before the @")
    options = _options(query)
    return tuple(_endpoint(text) for text in _split(hosts)), user, password, options


def _split(hosts: str) -> list[str]:
    endpoints = hosts.rstrip("/").split(",")
    if len(endpoints) > MOST_ENDPOINTS:
        _refuse(f"{len(endpoints)} endpoints, at most {MOST_ENDPOINTS}")
    return endpoints


def _endpoint(text: str) -> str:
    host, colon, port = text.strip().rpartition(":")
    if not host or not colon or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        _refuse(f"{text[:80]!r} is no HOST:PORT")
    if any(sign in host for sign in "/?#@ ") or (":" in host and not host.startswith("[")):
        _refuse(f"{host[:80]!r} is no host (an IPv6 address stands in brackets)")
    return f"{host}:{int(port)}"


def _options(query: str) -> dict[str, str]:
    options = {}
    for name, value in urllib.parse.parse_qsl(query, keep_blank_values=True):
        if name not in _OPTIONS or not value:
            _refuse(f"unknown or empty option {name[:40]!r}, known are {', '.join(_OPTIONS)}")
        options[name] = value
    return options


def _tls(options: dict[str, str]) -> Tls | None:
    if ("cert" in options) != ("key" in options):
        _refuse("cert and key come together")
    if "ca" not in options:
        if "cert" in options:
            _refuse("cert and key need ca")
        return None
    if "cert" not in options:
        return Tls(_read(options["ca"]))
    return Tls(_read(options["ca"]), _read(options["cert"]), _read(options["key"]))


def _password_of(path: str) -> str:
    try:
        return _read(path).decode().rstrip("\r\n")
    except UnicodeDecodeError:
        _refuse(f"{path} is not UTF-8")


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        _refuse(f"{path}: {error.strerror}")


def _refuse(problem: str) -> NoReturn:
    raise InvalidConfiguration([f"[directory] url: {problem}"])

"""The params of a worker that concern how it is reached: ``listen``, ``tls``, ``auth_file``. Pure, standard library only.

    {"listen": "10.0.0.5:7001", "tls": {"certificate": PATH, "key": PATH, "client_ca": PATH}}     clients show a certificate
    {"listen": "127.0.0.1:7001", "auth_file": PATH}                                             clients say AUTH
    both                                                                                        clients do both

Without ``listen`` a worker is reached through its Unix socket alone. TCP with neither is refused: whoever reaches the port would own
the data.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

LISTEN_PARAMS: Final = frozenset({"listen", "tls", "auth_file"})
_TLS_FIELDS: Final = ("certificate", "key", "client_ca")
_ADDRESS: Final = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")


def check_listen_params(params: Mapping[str, Any]) -> list[str]:
    """One sentence for each thing that is wrong."""
    problems: list[str] = []
    if "listen" in params and not _is_address(params["listen"]):
        problems.append("param 'listen' must be \"host:port\", port 0 to 65535")
    if "tls" in params:
        problems += _check_tls(params["tls"])
    if "auth_file" in params and not _is_path(params["auth_file"]):
        problems.append("param 'auth_file' must be the absolute path of a file that holds the password")
    if "listen" in params and not params.keys() & {"tls", "auth_file"}:
        problems.append("param 'listen' needs 'tls' (client certificates) or 'auth_file': a TCP port open to anybody is refused")
    if "listen" not in params:
        problems += [f"param {name!r} is for 'listen', which is missing" for name in ("tls", "auth_file") if name in params]
    return problems


def check_security_params(security: object, param: str) -> list[str]:
    """As above for a client's side: an object with ``tls``, ``auth_file`` or both, under ``param``."""
    if not isinstance(security, Mapping):
        return [f"param {param!r} must be an object with tls, auth_file or both"]
    problems = [f"unknown field {name!r} in param {param!r}" for name in sorted(map(str, security.keys() - {"tls", "auth_file"}))]
    if "tls" in security:
        problems += [f"in param {param!r}: {problem}" for problem in _check_tls(security["tls"])]
    if "auth_file" in security and not _is_path(security["auth_file"]):
        problems.append(f"param {param!r}: 'auth_file' must be the absolute path of a file that holds the password")
    return problems


def split_address(listen: str) -> tuple[str, int]:
    """Host and port of a checked address."""
    host, _, port = listen.rpartition(":")
    return host.strip("[]"), int(port)


def _is_address(value: object) -> bool:
    found = _ADDRESS.fullmatch(value) if isinstance(value, str) else None
    return found is not None and int(found[2]) <= 65535


def _is_path(value: object) -> bool:
    return isinstance(value, str) and value.startswith("/") and "\0" not in value


def _check_tls(tls: object) -> list[str]:
    if not isinstance(tls, Mapping):
        return [f"param 'tls' must be an object with {', '.join(_TLS_FIELDS)}"]
    problems = [f"unknown field {name!r} in param 'tls'" for name in sorted(set(map(str, tls)) - set(_TLS_FIELDS))]
    return problems + [f"param 'tls' needs {name!r}, an absolute path" for name in _TLS_FIELDS if not _is_path(tls.get(name))]

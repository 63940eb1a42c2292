"""The params of a worker that concern how it is reached: ``listen``, ``tls``, ``auth_file``. Pure, standard library only.

    {"listen": "10.0.0.5:7001", "tls": {"certificate": PATH, "key": PATH, "client_ca": PATH}}     clients show a certificate
    {"listen": "127.0.0.1:7001", "auth_file": PATH}                                             clients say AUTH
    both                                                                                        clients do both

The port may be 0 (any that is free) or a range, ``10.0.0.5:7000-7099`` (the first of it that is free). Without ``listen`` a worker is
reached through its Unix socket alone. TCP with neither is refused: whoever reaches the port would own the data. A worker that has no
``listen`` of its own is given its node's, [data_plane] in the configuration.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

LISTEN_PARAMS: Final = frozenset({"listen", "tls", "auth_file"})
_TLS_FIELDS: Final = ("certificate", "key", "client_ca")
_ADDRESS: Final = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})(?:-([0-9]{1,5}))?")
_LAST_PORT: Final = 65_535


def check_listen_params(params: Mapping[str, Any]) -> list[str]:
    """One sentence for each thing that is wrong."""
    problems: list[str] = []
    if "listen" in params and not _is_address(params["listen"]):
        problems.append('param \'listen\' must be "host:port" or "host:first-last", ports 0 to 65535')
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


def split_listen(listen: str) -> tuple[str, range]:
    """Host (an IPv6 address without brackets) and ports of an address; ports 0 to 0: any. Raises ValueError for what is no address."""
    found = _ADDRESS.fullmatch(listen)
    if found is None:
        raise ValueError(f"{listen!r:.80} is not host:port")
    first, last = int(found[2]), int(found[3] or found[2])
    if not first <= last <= _LAST_PORT or (found[3] is not None and first == 0):
        raise ValueError(f"{listen!r:.80} has no ports from 1 to 65535")
    return found[1].strip("[]"), range(first, last + 1)


def _is_address(value: object) -> bool:
    try:
        return isinstance(value, str) and split_listen(value) is not None
    except ValueError:
        return False


def _is_path(value: object) -> bool:
    return isinstance(value, str) and value.startswith("/") and "\0" not in value


def _check_tls(tls: object) -> list[str]:
    if not isinstance(tls, Mapping):
        return [f"param 'tls' must be an object with {', '.join(_TLS_FIELDS)}"]
    problems = [f"unknown field {name!r} in param 'tls'" for name in sorted(set(map(str, tls)) - set(_TLS_FIELDS))]
    return problems + [f"param 'tls' needs {name!r}, an absolute path" for name in _TLS_FIELDS if not _is_path(tls.get(name))]

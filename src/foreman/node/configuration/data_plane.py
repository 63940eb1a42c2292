"""[data_plane]: what log and storage workers are given to be reached from other machines, and how this node shows itself to them. Pure.

A matter of the node, so it stands in no manifest: addresses and certificates change with the next start of a worker. Where [data_plane] tls
says nothing, the node's own certificate ([node] tls) is the workers' too: it names the same hosts.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foreman.node.configuration.forms import is_loopback
from foreman.node.configuration.problems import Problems
from foreman.node.configuration.sections import Configuration
from foreman.workers.wire.listen_params import split_listen


def link_params(configuration: Configuration) -> Mapping[str, Any]:
    """``tls`` and ``auth_file`` as params of workers and of their clients; empty: there is nothing to show."""
    tls, auth_file = _tls(configuration), configuration.data_plane.auth_file
    params: dict[str, Any] = {} if tls is None else {"tls": dict(zip(("certificate", "key", "client_ca"), map(str, tls), strict=True))}
    return params if auth_file is None else {**params, "auth_file": str(auth_file)}


def listen_params(configuration: Configuration) -> Mapping[str, Any]:
    """What is put beneath the params of a worker of a kind that listens; empty: it listens on its Unix socket alone."""
    listen = configuration.data_plane.listen
    return {} if listen is None else {"listen": listen, **link_params(configuration)}


def check_data_plane(configuration: Configuration, problems: Problems) -> None:
    """What is right alone and wrong together. A worker is never open to whoever comes by, nor its password to whoever listens in."""
    section = configuration.data_plane
    given = {"cert": section.tls_cert, "key": section.tls_key, "client_ca": section.tls_client_ca}
    missing = [name for name, path in given.items() if path is None]
    if 0 < len(missing) < len(given):
        there = next(name for name, path in given.items() if path is not None)
        place = configuration.origin(f"data_plane.tls.{there}")
        problems.add(place, f"data_plane.tls needs cert, key and client_ca; missing: {', '.join(missing)}")
    elif section.listen is not None and _tls(configuration) is None:
        _check_without_certificates(configuration, section.listen, problems)


def _check_without_certificates(configuration: Configuration, listen: str, problems: Problems) -> None:
    place = configuration.origin("data_plane.listen")
    if configuration.data_plane.auth_file is None:
        problems.add(
            place, f"workers that listen on {listen} need tls with client_ca (client certificates, here or under [node]) or an auth_file"
        )
    elif not is_loopback(split_listen(listen)[0]):
        problems.add(place, f"workers that listen on {listen} need tls: a password must not cross a network in the clear")


def _tls(configuration: Configuration) -> tuple[Path, Path, Path] | None:
    """Certificate, key, authority. The node's own only if it asks clients for theirs."""
    own, node = configuration.data_plane, configuration.node
    for cert, key, client_ca in ((own.tls_cert, own.tls_key, own.tls_client_ca), (node.tls_cert, node.tls_key, node.tls_client_ca)):
        if cert is not None and key is not None and client_ca is not None:
            return cert, key, client_ca
    return None

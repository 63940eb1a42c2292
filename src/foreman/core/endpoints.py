"""Where a worker says that it is reached, X_FOREMAN_ENDPOINT: one endpoint, or one for all and then one for its own machine. Pure.

    unix:/run/…/resp.sock                             on a Unix socket alone
    10.0.0.5:7001                                     over TCP alone
    10.0.0.5:7001 unix:/run/…/resp.sock               over TCP with what it asks for, and by a shorter way by its own user

The supervisor passes it on as it was said; it is parted where it is shown.
"""

from typing import Final, NamedTuple

LOCAL: Final = "unix:"


class Endpoints(NamedTuple):
    """``local``: for programs on the same machine, when that is another one."""

    endpoint: str | None
    local: str | None


def read_endpoints(said: str | None) -> Endpoints:
    """What a worker said, parted. A path may hold spaces, a host and a port do not."""
    if said is None or said.startswith(LOCAL):
        return Endpoints(said, None)
    endpoint, found, path = said.partition(f" {LOCAL}")
    return Endpoints(endpoint, LOCAL + path) if found else Endpoints(said, None)


def write_endpoints(endpoint: str, local: str) -> str:
    """The other way."""
    return endpoint if endpoint == local else f"{endpoint} {local}"

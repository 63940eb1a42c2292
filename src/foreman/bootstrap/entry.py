"""``Foreman``: the two ways in for a Python program. Both give the same methods, errors and types (core/interface.py)."""

import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from foreman.core.errors import InvalidRequest
from foreman.core.interface import ForemanInterface
from foreman.core.kinds import KindSpec

if TYPE_CHECKING:
    from foreman.workers.clients.cluster_client import ClusterClient


class Foreman:
    """``async with Foreman.open("data", cluster="demo") as foreman:`` or ``Foreman.connect("data")``."""

    def __new__(cls) -> Self:  # not NoReturn: mypy would then see no static methods
        raise TypeError("use Foreman.open(data) to be a node, or Foreman.connect(address) to reach one")

    @staticmethod
    def open(
        data: str | Path,
        *,
        cluster: str | None = None,
        config: str | Path | None = None,
        settings: Mapping[str, Any] | None = None,
        kinds: Sequence[KindSpec] = (),
        serve: bool = True,
    ) -> AbstractAsyncContextManager[ForemanInterface]:
        """This program is the node on ``data``, for as long as the block runs; its workers end with it, however it ends.

        ``cluster``: the one the directory belongs to, or for a new directory "foreman". ``config``: a foreman.toml; the environment
        is not read. ``settings``: dotted keys of the configuration ("supervision.max_restarts": 3), over those of the file.
        ``kinds``: kinds of this program's own. ``serve``: also answer on DATA/run/foreman.sock; storage workers find logs there.

        Entering raises DataDirectoryInUse, DataDirectoryInvalid, InvalidClusterName, InvalidConfiguration, ForemanUnavailable.
        """
        return _opened(Path(data), cluster, config, settings, tuple(kinds), serve=serve)

    @staticmethod
    def connect(
        target: str | Path, *, token: str | None = None, tls: ssl.SSLContext | None = None
    ) -> AbstractAsyncContextManager[ForemanInterface]:
        """A node that runs: its data directory, ``unix:PATH`` or ``https://HOST:PORT``. Entering raises ForemanUnavailable."""
        from foreman.api.client import RemoteForeman

        return RemoteForeman.connect(target, token=token, tls=tls)

    @staticmethod
    def connect_cluster(
        *targets: str | Path, token: str | None = None, security: Mapping[str, Any] | None = None, timeout: float = 60.0
    ) -> "ClusterClient":
        """The data of a whole cluster, found through any of its nodes: ``async with Foreman.connect_cluster("https://…") as cluster:``.

        ``targets``: as :meth:`connect`'s; more than one, so that one may be away. ``token``: of the nodes. ``security``: of nodes and
        workers: ``tls`` with the paths of a ``certificate``, its ``key`` and the ``client_ca`` of all; ``auth_file``. ``timeout``: of one
        call, in seconds. Raises InvalidRequest, OSError (a file of ``security`` cannot be read). Connects when entered.
        """
        from foreman.api.client import RemoteForeman
        from foreman.api.node_layouts import NodeLayouts
        from foreman.workers.clients.cluster_client import ClusterClient

        tls = _tls_of(security or {})
        layouts = NodeLayouts([str(target) for target in targets], lambda target: RemoteForeman.connect(target, token=token, tls=tls))
        return ClusterClient(layouts, timeout=timeout, security=security)


def _tls_of(security: Mapping[str, Any]) -> ssl.SSLContext | None:
    from foreman.workers.wire.tls import client_context

    if "tls" not in security:
        return None
    tls = security["tls"]
    if not isinstance(tls, Mapping) or not {"certificate", "key", "client_ca"} <= tls.keys():
        raise InvalidRequest(["tls in security is an object with certificate, key and client_ca"])
    return client_context(tls)


@asynccontextmanager
async def _opened(
    data: Path,
    cluster: str | None,
    config: str | Path | None,
    settings: Mapping[str, Any] | None,
    kinds: tuple[KindSpec, ...],
    *,
    serve: bool,
) -> AsyncIterator[ForemanInterface]:
    from foreman.bootstrap.assembly import Node, NodePlan
    from foreman.bootstrap.logs import configure_logs_unless_done
    from foreman.core.ids import parse_cluster_name
    from foreman.node.configuration import load

    configure_logs_unless_done()
    if cluster is not None:
        parse_cluster_name(cluster)
    flags = {**(settings or {}), "node.data": str(data.absolute()), "node.cluster": cluster}
    configuration = load(file=Path(config) if config is not None else None, flags=flags, folder=data.absolute() if config is None else None)
    node = await Node.start(NodePlan(configuration, orphan_grace_s=0.0, kinds=kinds, serve=serve))
    try:
        yield node.foreman
    finally:
        await node.stop()

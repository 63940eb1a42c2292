"""The node's part in its cluster: the directory, the gateway, and, with the capability ``coordination``, the control plane.

The control plane begins when somebody has wished for a cluster (`foreman cluster configure`) and not before: a node by itself loads
nothing of it, and writes nothing for it. A fault of it costs the cluster one term of a leader and the node nothing.
"""

import asyncio
import socket
from collections.abc import Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

import structlog

from foreman.api.listeners import read_token
from foreman.core.ids import node_name_of
from foreman.core.interface import ForemanInterface
from foreman.directory.following import follow
from foreman.directory.keys import ClusterKeys
from foreman.directory.opening import open_directory
from foreman.directory.port import Changes, Directory, KeyRange, KeyValue, Snapshot
from foreman.directory.records import LeaderRecord, NodeRecord
from foreman.node.configuration import Configuration
from foreman.node.configuration.data_plane import link_params
from foreman.node.data_directory import DataDirectory
from foreman.node.gateway import Gateway
from foreman.node.gateway_health import HealthFold, follow_health, read_health

if TYPE_CHECKING:
    from foreman.control.coordinator import Coordinator
    from foreman.control.ports import Connect
    from foreman.core.cluster import ClusterInterface

COORDINATION: Final = "coordination"
AFTER_A_FAULT_S: Final = 5.0

log = structlog.get_logger("foreman.coordinator")


def directory_of(configuration: Configuration) -> Directory:
    """The one the node is told of; a relative path stands below its data. Raises InvalidConfiguration."""
    return open_directory(configuration.directory.url, configuration.node.data)


class Membership:
    """``address``: where other nodes reach this one; ``name``: what people call it.

    ``configuration``: as it is now; each term of a leader asks for it.
    """

    def __init__(self, configuration: Callable[[], Configuration], data: DataDirectory, address: str) -> None:
        self._configuration, self._cluster = configuration, data.cluster
        node, directory = configuration().node, configuration().directory
        self._me = LeaderRecord(data.node_id, address)
        self._was_directed = data.layout.generation.exists()
        self._directory = open_directory(directory.url, data.path)
        self.name = node.name or node_name_of(socket.gethostname())
        record = NodeRecord(data.node_id, address, node.capabilities, node.fault_domain or "", name=self.name)
        self.gateway = Gateway(self._directory, data.cluster, record, lease_s=directory.lease_s)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, foreman: ForemanInterface) -> None:
        events, health = foreman.events(), HealthFold(self._me.node)
        await read_health(foreman, health)
        self.gateway.show_health(health.record)
        self._tasks.append(asyncio.create_task(follow_health(events, foreman, health, self.gateway.health_changed), name="health"))
        await self.gateway.start(())
        if COORDINATION in self._configuration().node.capabilities:
            self._tasks.append(asyncio.create_task(self._control(), name="control plane"))

    async def leave(self, *, for_good: bool) -> None:
        """Resign, then leave the cluster. Not ``for_good``: node and services stay registered for the next server."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.gateway.stop(leave=for_good)

    def cluster(self) -> "ClusterInterface":
        """The whole cluster, as the directory shows it. A node that nobody asks about it loads nothing of this."""
        from foreman.control.desk.directory_cluster import DirectoryCluster

        return DirectoryCluster(self._directory, self._cluster)

    async def close(self) -> None:
        await self._directory.close()

    async def _control(self) -> None:
        if not self._was_directed:  # else it belongs to a cluster; if the directory does not know it, somebody must say so
            await self._until_wished_for()
        while True:
            try:
                await self._coordinator().run()
            except Exception:  # a fault of the program, told in full: the node's own work must not end with it
                log.critical("control_plane_failed", again_in_s=AFTER_A_FAULT_S, exc_info=True)
                await asyncio.sleep(AFTER_A_FAULT_S)

    def _coordinator(self) -> "Coordinator":
        from foreman.control.coordinator import Coordinator, World
        from foreman.control.resp_data_plane import RespDataPlane
        from foreman.control.settings import ControlSettings

        configuration = self._configuration()
        settings = ControlSettings(lease_s=configuration.directory.lease_s)
        data = RespDataPlane(settings.command_timeout_s, link_params(configuration))
        return Coordinator(World(self._directory, self._cluster, self._me, _connector(configuration), data, settings))

    async def _until_wished_for(self) -> None:
        spec = KeyRange.of_key(ClusterKeys(self._cluster).spec)
        async with aclosing(follow(self._directory, spec, witness=ClusterKeys(self._cluster).identity)) as news:
            async for told in news:
                match told:
                    case Snapshot(entries=entries) if entries:
                        return
                    case Changes(events=events) if isinstance(events[-1], KeyValue):
                        return
                    case Snapshot() | Changes():
                        continue


def _connector(configuration: Configuration) -> "Connect":
    """To other nodes as this one: with its certificate and the cluster's token, if it has them. Raises InvalidConfiguration, OSError."""
    from foreman.api.client import RemoteForeman

    node = configuration.node
    token = None if node.token_file is None else read_token(node.token_file)
    tls = None if node.tls is None else node.tls.client_context()
    return lambda address, generation: RemoteForeman.connect(address, token=token, tls=tls, generation=generation)

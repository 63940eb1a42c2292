"""How a command reaches the cluster: through a node that runs, or through the directory that a configuration names.

An address means that node. A configuration file means the directory that it names, which also works while no node runs. With nothing but a
data directory it is the node there, and while that does not run, the directory that it would use.
"""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import typer

from foreman.cli import target
from foreman.cli.configuration import ClusterFlag, File, read
from foreman.core.cluster import ClusterInterface
from foreman.core.errors import ForemanUnavailable, InvalidRequest

if TYPE_CHECKING:
    from foreman.control.cluster_view import ClusterView
    from foreman.node.configuration import Configuration

_PLACES: Final = {"config": File, "cluster": ClusterFlag, **target.OPTIONS}


@dataclass(frozen=True, slots=True)
class Reached:
    """``here``: the id of the node that was asked, or whose data directory was named; None: there is none."""

    cluster: ClusterInterface
    here: str | None


async def view_of(reached: Reached) -> "ClusterView":
    """How the cluster is now."""
    from foreman.control.desk.plain import view_from

    return view_from(await reached.cluster.status())


def cluster_client(command: Callable[..., Coroutine[Any, Any, int | None]]) -> Callable[..., None]:
    """Turn ``async def command(reached, …)`` into a command that reaches the cluster first. What it returns is the exit code."""

    async def with_reached(said: dict[str, str | None], arguments: dict[str, Any]) -> int | None:
        config, cluster = said.pop("config"), said.pop("cluster")
        given = target.Target(**said)
        if config and given.address:
            raise typer.BadParameter("give --config or --address, not both")
        async with AsyncExitStack() as stack:
            return await command(await _reach(stack, config, cluster, target.chosen(given)), **arguments)

    return target.with_options(command, _PLACES, with_reached)


async def _reach(stack: AsyncExitStack, config: str | None, cluster: str | None, at: target.Target) -> Reached:
    """What was opened for it is closed with ``stack``."""
    if at.address is not None and config is None:
        return await stack.enter_async_context(_by_node(at))
    configuration = read(config, at.data, cluster, None, None)
    data = configuration.node.data
    if configuration.file is None and data.is_dir():
        with suppress(ForemanUnavailable):
            return await stack.enter_async_context(_by_node(target.Target(data=str(data))))
    return await stack.enter_async_context(_by_directory(configuration))


@asynccontextmanager
async def _by_node(at: target.Target) -> AsyncIterator[Reached]:
    node = target.connect(at)
    try:
        yield Reached(node.cluster, (await node.node()).node_id)
    finally:
        await node.close()


@asynccontextmanager
async def _by_directory(configuration: "Configuration") -> AsyncIterator[Reached]:
    from foreman.bootstrap.membership import directory_of
    from foreman.control.desk.directory_cluster import DirectoryCluster
    from foreman.node.data_directory import read_identity
    from foreman.node.layout import Layout

    data = configuration.node.data
    identity = read_identity(Layout(data)) if data.is_dir() else None
    if configuration.directory.url.startswith("sqlite:") and not data.is_dir():
        raise InvalidRequest([f"there is no node at {data}; name it with --data, or its file with --config"])
    name = configuration.node.cluster if identity is None else identity.cluster
    async with directory_of(configuration) as directory:
        yield Reached(DirectoryCluster(directory, name), None if identity is None else identity.node_id)

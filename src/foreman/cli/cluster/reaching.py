"""How a command reaches the cluster: through a node that runs, or through the directory that a configuration names.

An address means that node. A configuration file means the directory that it names, which also works while no node runs. With nothing but a
data directory it is the node there, and while that does not run, the directory that it would use.
"""

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
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
    own = inspect.signature(command, eval_str=True).parameters
    parameters = [parameter for name, parameter in own.items() if name != "reached"]

    @functools.wraps(command)
    def run(**arguments: Any) -> None:
        said = {name: arguments.pop(name) for name in _PLACES}
        code = asyncio.run(_reached(command, said, arguments))
        if code:
            raise typer.Exit(code)

    option = inspect.Parameter.KEYWORD_ONLY
    added = [inspect.Parameter(name, option, default=None, annotation=form) for name, form in _PLACES.items()]
    every = [parameter.replace(kind=option) for parameter in parameters] + added
    del run.__wrapped__  # Typer would read the signature of what is wrapped
    run.__signature__ = inspect.Signature(every)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in every}
    return run


async def _reached(
    command: Callable[..., Coroutine[Any, Any, int | None]], said: dict[str, str | None], arguments: dict[str, Any]
) -> int | None:
    config, cluster = said.pop("config"), said.pop("cluster")
    given = target.Target(**said)
    if config and given.address:
        raise typer.BadParameter("give --config or --address, not both")
    async with _reach(config, cluster, target.chosen(given)) as reached:
        return await command(reached, **arguments)


@asynccontextmanager
async def _reach(config: str | None, cluster: str | None, at: target.Target) -> AsyncIterator[Reached]:
    if at.address is not None and config is None:
        async with target.connect(at) as foreman:
            yield Reached(foreman.cluster, (await foreman.node()).node_id)
        return
    configuration = read(config, at.data, cluster, None, None)
    if configuration.file is None and configuration.node.data.is_dir():
        node = target.connect(target.Target(data=str(configuration.node.data)))
        try:
            info = await node.node()
        except ForemanUnavailable:
            await node.close()
        else:
            async with node:
                yield Reached(node.cluster, info.node_id)
            return
    async with _by_directory(configuration) as reached:
        yield reached


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

"""foreman cluster new, foreman cluster rm: ask the cluster, not one node, for a worker, and to remove it again."""

import secrets
from typing import Annotated

import typer

from foreman.cli.cluster.reaching import Reached, cluster_client
from foreman.cli.progress import doing
from foreman.cli.shown import AsJson, print_json
from foreman.cli.workers import Params, Within, params_of
from foreman.core.errors import InvalidRequest, InvalidWorkerId
from foreman.core.ids import parse_worker_id


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("new")(cluster_client(new))
    app.command("rm")(cluster_client(rm))


async def new(
    reached: Reached,
    kind: Annotated[str, typer.Argument(help="A kind that is a capability of some node.", show_default=False)],
    id: Annotated[str | None, typer.Option("--id", help="Its id; one is made up when not given. Say it to be able to try again.")] = None,
    param: Params = None,
    timeout: Within = 60.0,
    json: AsJson = False,  # noqa: FBT002 (an option on the command line)
) -> None:
    """Ask for a worker somewhere: the director places it, apart from others of its kind, and its node makes it and keeps it.

    The same id, kind and parameters again is the same worker on the same node.

    Examples:  foreman cluster new redis --id redis_1  ·  foreman cluster new redis -p port=6400
    """
    name = _made_up(kind) if id is None else id
    async with doing(f"asking the cluster for {name}"):
        placed = await reached.cluster.new_worker(name, kind, params_of(param or []), timeout=timeout)
    if json:
        print_json(placed)
    else:
        node = f"{placed.node_name} ({placed.node})" if placed.node_name else placed.node
        print(f"{placed.id} is healthy on node {node}, as {placed.name}")


def _made_up(kind: str) -> str:
    try:
        return parse_worker_id(f"{kind}-{secrets.token_hex(4)}")
    except InvalidWorkerId:
        raise InvalidRequest([f"no id can be made of the kind {kind[:80]!r}; give one with --id"]) from None


async def rm(
    reached: Reached,
    id: Annotated[str, typer.Argument(help="The id of a worker that the cluster was asked for.", show_default=False)],
    timeout: Within = 60.0,
) -> None:
    """Remove a worker that the cluster was asked for, with its data, wherever it is.

    Example:  foreman cluster rm redis_1
    """
    async with doing(f"removing {id}"):
        await reached.cluster.remove_worker(id, timeout=timeout)
    print(f"{id} is removed")

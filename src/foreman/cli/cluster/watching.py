"""foreman cluster events: how the cluster is, in sentences, and everything that changes."""

import time
from contextlib import aclosing
from typing import Annotated

import typer

from foreman.cli.cluster.reaching import Reached, cluster_client, view_of
from foreman.cli.shown import AsJson, moment, one_line, write
from foreman.core.cluster import ClusterEvent


def add_to(app: typer.Typer) -> None:
    """Add this command."""
    app.command("events")(cluster_client(events))


async def events(
    reached: Reached,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with everything that changes, until interrupted.")] = False,  # noqa: FBT002
    json: AsJson = False,  # noqa: FBT002
) -> None:
    """Say how the cluster is now, a line each; with --follow, then every change of it, in order, also through an outage of the directory.

    Examples:  foreman cluster events --follow  ·  foreman cluster events -f --json
    """
    if follow:
        async with aclosing(reached.cluster.events()) as told:
            async for event in told:
                _print(event, json=json)
        return
    from foreman.control.desk.changes import state

    view, now = await view_of(reached), time.time()
    for change in state(view):
        _print(ClusterEvent(*change, view.revision, now), json=json)


def _print(event: ClusterEvent, *, json: bool) -> None:
    if json:
        import msgspec

        write(msgspec.json.encode(event).decode() + "\n")
    else:
        write(f"{moment(event.at)}  {one_line(event.sentence)}\n")

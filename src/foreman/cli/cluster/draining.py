"""foreman node drain, foreman node undrain: take a node out of the cluster's layout, so that it can be ended, and back."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated

import typer

from foreman.cli.cluster.reaching import Reached, cluster_client, view_of
from foreman.cli.progress import doing
from foreman.cli.shown import AsJson, one_line, print_json, write
from foreman.cli.workers import Within
from foreman.core.errors import ForemanTimeout, InvalidRequest

if TYPE_CHECKING:
    from foreman.control.cluster_view import ClusterView

Node = Annotated[str | None, typer.Argument(help="The node's name or id; this node when not given.", show_default=False)]


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("drain")(cluster_client(drain))
    app.command("undrain")(cluster_client(undrain))


async def drain(
    reached: Reached,
    node: Node = None,
    wait: Annotated[bool, typer.Option("--wait", help="Return when nothing of the layout is on it any more.")] = False,  # noqa: FBT002 (an option on the command line)
    timeout: Within = 600.0,
    json: AsJson = False,  # noqa: FBT002
) -> None:
    """Have the director move everything of the cluster's layout to other nodes, with its data. Again is the same.

    Workers that no director made stay; they are named. Then the node can be ended with `foreman down`.

    Examples:  foreman node drain --wait  ·  foreman node drain north
    """
    from foreman.control.desk.draining import left_on, staying_on
    from foreman.control.naming import name_of

    id, shown = await _meant(node, reached)
    await reached.cluster.drain(id)
    if wait:
        async with doing(f"draining node {shown}"):
            view = await _until_empty(reached, id, shown, timeout, (lambda _: None) if json else _tell)
    else:
        view = await view_of(reached)
    left, staying = left_on(id, view), staying_on(id, view)
    if json:
        print_json({"node": id, "name": name_of(id, view), "draining": True, "left": left, "staying": staying})
        return
    again = id if id in shown else shown
    if left:
        print(f"node {shown} is to be drained; {_many(len(left))} still on it (`foreman node drain {again} --wait`)")
    else:
        print(f"nothing of the layout is on node {shown}; end it with `foreman down`, or take it back with `foreman node undrain {again}`")
    if staying:
        print(f"{one_line(', '.join(staying))} stay there: no director made them")


async def undrain(reached: Reached, node: Node = None, json: AsJson = False) -> None:  # noqa: FBT002
    """Take a drained node back: the director may place workers on it again. Again is the same.

    Examples:  foreman node undrain  ·  foreman node undrain north
    """
    from foreman.control.naming import name_of

    id, shown = await _meant(node, reached)
    await reached.cluster.undrain(id)
    if json:
        print_json({"node": id, "name": name_of(id, await view_of(reached)), "draining": False})
    else:
        print(f"node {shown} is taken back")


async def _meant(node: str | None, reached: Reached) -> tuple[str, str]:
    """The node's id, and how it is shown. Raises NodeNotFound, AmbiguousNode, InvalidRequest."""
    from foreman.control.naming import node_meant, shown_nodes

    if node is None and reached.here is None:
        raise InvalidRequest(["there is no node here that could be meant; name one (see `foreman cluster status`)"])
    view = await view_of(reached)
    id = node_meant(str(reached.here) if node is None else node, view)
    return id, shown_nodes(view).get(id, id)


async def _until_empty(reached: Reached, node: str, shown: str, timeout: float, tell: Callable[[str], None]) -> "ClusterView":
    """The view in which nothing of the layout is on the node, or can come to it any more. Raises ForemanTimeout."""
    from foreman.control.desk.draining import hindrances, is_drained, left_on
    from foreman.control.naming import shown_nodes, with_names

    told, left = "", dict[str, str]()
    try:
        async with asyncio.timeout(timeout), aclosing(_views(reached)) as views:
            async for view in views:
                if is_drained(node, view):
                    return view
                left = left_on(node, view)
                now = with_names(_progress(left, hindrances(node, view)), shown_nodes(view))
                if now != told:
                    tell(now)
                    told = now
    except TimeoutError as late:
        if isinstance(late, ForemanTimeout):
            raise
        raise ForemanTimeout(f"the draining of node {shown}", timeout, left) from None
    raise AssertionError("a cluster is followed without end")


async def _views(reached: Reached) -> "AsyncGenerator[ClusterView, None]":
    """How it is, and again after each change; the lines of the state that come first are one."""
    begun = False
    async with aclosing(reached.cluster.events()) as events:
        async for event in events:
            if not begun or event.what != "state":
                yield await view_of(reached)
            begun = True


def _progress(left: Mapping[str, str], hindrances: list[str]) -> str:
    there = "; ".join(f"{id} {why}" for id, why in sorted(left.items())) or "nothing, but a recovery is under way"
    return f"still on it: {there}" + (f" ({'; '.join(hindrances)})" if hindrances else "")


def _tell(sentence: str) -> None:
    write(one_line(sentence) + "\n")


def _many(count: int) -> str:
    return "1 worker of the layout is" if count == 1 else f"{count} workers of the layout are"

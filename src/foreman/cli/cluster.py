"""Commands about the whole cluster: cluster configure, status, why. They read and write the directory that the node is configured for.

So they work from any machine that reaches the directory, also while no node does; the node itself is not asked.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from foreman.cli.configuration import ClusterFlag, DataFlag, File, read
from foreman.cli.shown import AsJson, moment, print_json, print_table
from foreman.core.errors import InvalidRequest

if TYPE_CHECKING:
    from foreman.control.cluster_view import ClusterView
    from foreman.directory.keys import ClusterKeys
    from foreman.directory.port import Directory
    from foreman.directory.records import ClusterSpec, Layout, Placement

_Answer = TypeVar("_Answer")
NOBODY_WISHED: Final = "nobody has said what the cluster should be: foreman cluster configure --logs N --storage-replicas M"

Logs = Annotated[int | None, typer.Option("--logs", min=1, help="How many logs; each has every transaction.", metavar="N")]
Replicas = Annotated[int | None, typer.Option("--storage-replicas", min=1, help="Storage workers in each team.", metavar="M")]
Splits = Annotated[
    list[str] | None, typer.Option("--split", help="A key at which the key space is cut into teams; may be repeated.", metavar="KEY")
]
ReplaceAfter = Annotated[
    float | None, typer.Option("--replace-after", min=0, help="Seconds after which a storage worker that is away is given up.", metavar="S")
]


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    cluster = typer.Typer(help="Say what the cluster should be, and see what it is.", no_args_is_help=True)
    cluster.command("configure")(configure)
    cluster.command("status")(status)
    cluster.command("why")(why)
    app.add_typer(cluster, name="cluster", rich_help_panel="The cluster")


def configure(
    *,
    logs: Logs = None,
    storage_replicas: Replicas = None,
    split: Splits = None,
    replace_after: ReplaceAfter = None,
    config: File = None,
    data: DataFlag = None,
    cluster: ClusterFlag = None,
) -> None:
    """Say what the cluster should be; its director makes it so. What is not said stays as it was.

    Examples:  foreman cluster configure --logs 3 --storage-replicas 2  ·  foreman cluster configure --split g --split p
    """
    said = {"logs": logs, "storage_replicas": storage_replicas, "splits": _keys(split), "replace_after_s": replace_after}
    changes = {name: value for name, value in said.items() if value is not None}

    async def ask(directory: "Directory", keys: "ClusterKeys") -> "ClusterSpec":
        return await _configure(directory, keys, changes)

    wanted = asyncio.run(_with_directory(config, data, cluster, ask))
    print(f"the cluster is to have {_wish(wanted)}; see `foreman cluster status`")


def status(config: File = None, data: DataFlag = None, cluster: ClusterFlag = None, json: AsJson = False) -> None:  # noqa: FBT002
    """Show who leads, what the director does and what it waits for, the layout and the nodes.

    Exit code: 0 the cluster serves · 1 it does not, or nobody can say.

    Examples:  foreman cluster status  ·  foreman cluster status --json
    """
    view = asyncio.run(_with_directory(config, data, cluster, _view))
    if json:
        print_json(_plain(view))
    else:
        print_table(("WHAT", "IS"), _status_rows(view))
    if view.status is None or view.status.state != "watching":
        raise typer.Exit(1)


def why(config: File = None, data: DataFlag = None, cluster: ClusterFlag = None, json: AsJson = False) -> None:  # noqa: FBT002
    """Tell what the directors did and why, oldest first.

    Example:  foreman cluster why
    """
    lines = asyncio.run(_with_directory(config, data, cluster, _view)).story.lines
    if json:
        print_json([_fields(line) for line in lines])
        return
    rows = [(moment(line.when), str(line.epoch), line.what, line.reason) for line in lines]
    print_table(("WHEN", "EPOCH", "WHAT", "WHY"), rows, empty="no director has done anything yet")


async def _with_directory(
    file: str | None, data: str | None, cluster: str | None, ask: "Callable[[Directory, ClusterKeys], Awaitable[_Answer]]"
) -> _Answer:
    """``ask(directory, keys)`` on the directory that the configuration names; the cluster is the data directory's if it has one."""
    from foreman.bootstrap.membership import directory_of
    from foreman.directory.keys import ClusterKeys
    from foreman.node.data_directory import read_identity
    from foreman.node.layout import Layout

    configuration = read(file, data, cluster, None, None)
    identity = read_identity(Layout(configuration.node.data)) if configuration.node.data.is_dir() else None
    if identity is None and configuration.directory.url.startswith("sqlite:") and not configuration.node.data.is_dir():
        raise InvalidRequest([f"there is no node at {configuration.node.data}; name it with --data, or its file with --config"])
    name = configuration.node.cluster if identity is None else identity.cluster
    async with directory_of(configuration) as directory:
        return await ask(directory, ClusterKeys(name))


async def _view(directory: "Directory", keys: "ClusterKeys") -> "ClusterView":
    from foreman.control.cluster_view import view_of

    return view_of(keys, await directory.read(keys.everything))


async def _configure(directory: "Directory", keys: "ClusterKeys", changes: dict[str, Any]) -> "ClusterSpec":
    """By compare and set, so that two people at once do not undo one another."""
    from foreman.directory.port import Absent, Put, Unchanged
    from foreman.directory.records import ClusterSpec, decode, encode

    while True:
        there = await directory.get(keys.spec)
        try:
            if there is not None:
                spec = replace(decode(ClusterSpec, there.key, there.value), **changes)
            elif {"logs", "storage_replicas"} <= changes.keys():
                spec = ClusterSpec(**changes)
            else:
                raise InvalidRequest(["the first time --logs and --storage-replicas are both needed"])
        except ValueError as error:
            raise InvalidRequest([str(error)]) from error
        unchanged = Absent(keys.spec) if there is None else Unchanged(keys.spec, there.mod_revision)
        if (await directory.transact([unchanged], [Put(keys.spec, encode(spec))])).succeeded:
            return spec


def _keys(texts: Sequence[str] | None) -> tuple[bytes, ...] | None:
    """None: nothing was said. One empty text: no splits at all."""
    return tuple(sorted({os.fsencode(text) for text in texts} - {b""})) if texts else None


def _wish(spec: "ClusterSpec") -> str:
    cuts = f", cut at {', '.join(map(_shown, spec.splits))}" if spec.splits else ""
    return f"{spec.logs} logs and {len(spec.splits) + 1} storage teams of {spec.storage_replicas}{cuts}"


def _shown(key: bytes) -> str:
    return key.decode("utf-8", "backslashreplace")


def _where(workers: "Sequence[Placement]", view: "ClusterView") -> str:
    return ", ".join(f"{worker.id} on {worker.node}" + ("" if worker in view.services else " (away)") for worker in workers)


def _status_rows(view: "ClusterView") -> list[tuple[str, str]]:
    told = view.status
    rows = [("wish", NOBODY_WISHED if view.spec is None else _wish(view.spec))]
    rows.append(("leader", "nobody" if view.leader is None else f"{view.leader.node} at {view.leader.address}"))
    if told is not None:
        phase = f" ({told.phase})" if told.phase else ""
        rows.append(("director", f"epoch {told.epoch}, {told.state}{phase} since {moment(told.since)}"))
        rows += [("why", told.why)] if told.why else []
        rows += [("missing", each) for each in told.missing]
    rows += _layout_rows(view.layout, view) if view.layout is not None else [("layout", "none yet")]
    for id, node in sorted(view.nodes.items()):
        services = sum(place.node == id for place in view.services)
        drained = ", is being drained" if id in view.draining else ""
        rows.append(("node", f"{id} at {node.address}, {services} services, {', '.join(node.capabilities)}{drained}"))
    return rows + [("unreadable", each) for each in view.unreadable]


def _layout_rows(layout: "Layout", view: "ClusterView") -> list[tuple[str, str]]:
    rows = [("layout", f"epoch {layout.epoch}, versions after {layout.durable_version}"), ("logs", _where(layout.logs, view))]
    for team in layout.teams:
        through = "on" if team.end is None else f"to {_shown(team.end)}"
        joining = _where([joiner.worker for joiner in team.joining], view)
        whole = _where(team.members, view) + (f"; joining: {joining}" if joining else "")
        rows.append(("team", f"from {_shown(team.begin) or 'the first key'} {through}: {whole}"))
    return rows


def _plain(view: "ClusterView") -> dict[str, Any]:
    """For programs: what stands in the directory; keys in base64."""
    single = {name: getattr(view, name) for name in ("spec", "leader", "status", "layout")}
    return {
        **{name: None if record is None else _fields(record) for name, record in single.items()},
        "epoch": view.epoch,
        "nodes": [_fields(node) for _, node in sorted(view.nodes.items())],
        "services": [_fields(view.services[place]) for place in sorted(view.services, key=lambda place: (place.node, place.id))],
        "draining": sorted(view.draining),
        "unreadable": list(view.unreadable),
    }


def _fields(record: Any) -> Any:
    import msgspec

    return msgspec.to_builtins(record)

"""foreman cluster status, foreman cluster why: how the whole cluster is, and how it came to be so."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foreman.cli.cluster.reaching import Reached, cluster_client, view_of
from foreman.cli.shown import AsJson, moment, print_json, print_table
from foreman.core.errors import InvalidRequest

if TYPE_CHECKING:
    from foreman.directory.records import ClusterStoryLine


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("status")(cluster_client(status))
    app.command("why")(cluster_client(why))


async def status(reached: Reached, json: AsJson = False) -> int:  # noqa: FBT002 (an option on the command line)
    """Show who leads, what the director does and waits for, the layout, the nodes with their health, and every ailing worker.

    Exit code: 0 the cluster serves · 1 it does not, or nobody can say.

    Examples:  foreman cluster status  ·  foreman cluster status --json
    """
    from foreman.control.desk.plain import view_from
    from foreman.control.desk.words import status_lines

    plain = await reached.cluster.status()
    view = view_from(plain)
    told = view.status
    if json:
        print_json(plain)
    else:
        since = "" if told is None else f" since {moment(told.since)}"
        print_table(("WHAT", "IS"), [(what, how + since if what == "director" else how) for what, how in status_lines(view)])
    return 0 if told is not None and told.state == "watching" else 1


async def why(
    reached: Reached,
    name: Annotated[
        str | None, typer.Argument(help="A node (its name or id) or a worker; the whole cluster when not given.", show_default=False)
    ] = None,
    json: AsJson = False,  # noqa: FBT002
) -> None:
    """Tell what the directors did and why, oldest first; of one node or worker, also all that is known of it.

    Examples:  foreman cluster why  ·  foreman cluster why redis_1
    """
    from foreman.control.desk.words import about, told_of

    view = await view_of(reached)
    lines: Sequence[ClusterStoryLine] = view.story.lines
    if name is not None:
        facts, found = about(name, view)
        if not facts and not found:
            raise InvalidRequest([f"the cluster knows no node and no worker {name[:80]!r} (see `foreman cluster status`)"])
        if json:
            print_json({"about": name, "facts": facts, "story": [_fields(line) for line in found]})
            return
        print_table(("WHAT", "IS"), facts, empty=f"{name} is gone; this is what is told of it")
        lines = found
    elif json:
        print_json([_fields(line) for line in lines])
        return
    rows = [(moment(line.when), str(line.epoch), line.what, line.reason) for line in told_of(lines, view)]
    print_table(("WHEN", "EPOCH", "WHAT", "WHY"), rows, empty="no director has done anything" + (" about it" if name else " yet"))


def _fields(record: Any) -> Any:
    import msgspec

    return msgspec.to_builtins(record)

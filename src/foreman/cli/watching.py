"""Commands for looking: services, health, wait, why, output, events."""

import sys
from typing import Annotated

import typer

from foreman.cli.progress import doing
from foreman.cli.shown import AsJson, event_row, moment, one_line, print_json, print_table, write
from foreman.cli.target import Foreman, client
from foreman.cli.workers import Id, Within


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (services, health, wait, why, output, events):
        app.command(command.__name__, rich_help_panel="Looking")(client(command))


async def services(foreman: Foreman, json: AsJson = False) -> None:  # noqa: FBT002 (an option on the command line)
    """List the healthy workers as the cluster sees them.

    Example:  foreman services --json
    """
    found = await foreman.get_all_running_services()
    if json:
        print_json(found)
    else:
        print_table(("ID", "KIND", "NAME"), found, empty="no services: no worker is healthy")


async def health(foreman: Foreman, json: AsJson = False) -> int:  # noqa: FBT002
    """Say how the node is: exit 0 when every worker is ok, else 1.

    Examples:  foreman health  ·  foreman health && deploy
    """
    together = await foreman.health()
    infos = await foreman.infos()
    if json:
        print_json({"status": together.status, "reason": together.reason, "workers": {info.id: info.health for info in infos}})
    else:
        print(together)
    bad = [info for info in infos if not info.health.is_ok and info.health.status.value != "stopped"]
    if not together.is_ok:
        told = "; ".join(f"{info.id}: {info.health}" for info in bad)
        print(f"foreman: not healthy: {one_line(told) or together} (see `foreman why ID`)", file=sys.stderr)
    return 0 if together.is_ok else 1


async def wait(foreman: Foreman, timeout: Within = 30.0) -> None:
    """Wait until every worker is healthy; fails early when waiting cannot help.

    Example:  foreman wait --timeout 60
    """
    async with doing("waiting until every worker is healthy"):
        await foreman.wait_for_healthy(timeout=timeout)
    print("every worker is healthy")


async def why(foreman: Foreman, id: Id, json: AsJson = False) -> None:  # noqa: FBT002
    """Tell a worker's story: what happened, what was decided, and for what reason.

    Example:  foreman why log_1
    """
    story = await foreman.why(id)
    if json:
        print_json(story)
    else:
        print_table(
            ("WHEN", "EVENT", "DECISION", "REASON"), [(moment(line.when), line.event, line.decision, line.reason) for line in story]
        )


async def output(
    foreman: Foreman,
    id: Id,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what it writes from now on.")] = False,  # noqa: FBT002
) -> None:
    """Print what a worker wrote to its stdout and stderr.

    Examples:  foreman output log_1  ·  foreman output log_1 -f
    """
    async for chunk in foreman.output(id, follow=follow):
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()


async def events(
    foreman: Foreman,
    after: Annotated[int | None, typer.Option("--after", min=0, help="Begin after the event with this number.")] = None,
    json: AsJson = False,  # noqa: FBT002
) -> None:
    """Print what changes on the node as it happens, until interrupted.

    Examples:  foreman events  ·  foreman events --after 0 --json
    """
    from foreman.api.wire import encode, event_name

    async for event in foreman.events(after=after):
        if json:
            write('{"event":"%s",%s\n' % (event_name(event), encode(event).decode()[1:]))  # noqa: UP031 (braces are data here)
        else:
            write("  ".join(one_line(cell) for cell in event_row(event) if cell) + "\n")

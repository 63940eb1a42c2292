"""Commands about the node itself: up, down, doctor."""

import asyncio
import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import typer

from foreman.cli import target
from foreman.cli.configuration import ClusterFlag, DataFlag, File, ListenFlag, TokenFlag, read
from foreman.cli.progress import doing
from foreman.cli.shown import AsJson, one_line, print_json, print_table
from foreman.cli.target import Foreman, client
from foreman.cli.workers import Within
from foreman.core.errors import ForemanTimeout, ForemanUnavailable
from foreman.core.views import NodeInfo

if TYPE_CHECKING:
    from foreman.node.configuration import Configuration

_PANEL: Final = "The node itself"
_PAUSE_S: Final = 0.05


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("up", rich_help_panel=_PANEL)(up)
    app.command("down", rich_help_panel=_PANEL)(client(down))
    app.command("doctor", rich_help_panel=_PANEL)(doctor)


def up(
    data: DataFlag = None,
    cluster: ClusterFlag = None,
    config: File = None,
    listen: ListenFlag = None,
    token_file: TokenFlag = None,
) -> None:
    """Run a node in the foreground until TERM or Ctrl-C, then end it gracefully. HUP reads the configuration again.

    Examples:  foreman up  ·  foreman up --data /srv/foreman --cluster demo  ·  foreman up --config foreman.toml
    """
    import uvloop

    from foreman.bootstrap import run_node
    from foreman.bootstrap.logs import configure_logs

    def configured() -> "Configuration":
        return read(config, data, cluster, listen, token_file)

    configuration = configured()
    configure_logs()
    code = uvloop.run(run_node(configuration, on_listening=_announce, read_again=configured))
    if code:
        raise typer.Exit(code)


def _announce(node: NodeInfo, addresses: Sequence[str]) -> None:
    """On stdout, so that a script can wait for it; logs go to stderr."""
    print(f"foreman {node.version} · node {node.name or node.node_id} · cluster {node.cluster} · data {one_line(node.data)}")
    for address in addresses:
        print(f"listening on {address}")
    print(f"in another terminal: foreman --data {shlex.quote(node.data)} new log_1 --kind log", flush=True)


async def down(foreman: Foreman, timeout: Within = 60.0) -> None:
    """End the node: its workers stop in reverse order of start, then the node itself.

    Example:  foreman down --data /srv/foreman
    """
    async with doing("stopping the node and its workers"):
        await foreman.shutdown()
        await _gone(foreman, timeout)
    print("the node has ended")


async def _gone(foreman: Foreman, timeout: float) -> None:
    """Until nobody answers any more: that nobody is there is the one thing that no event can tell."""
    try:
        async with asyncio.timeout(timeout):
            while True:
                await foreman.node()
                await asyncio.sleep(_PAUSE_S)
    except ForemanUnavailable:
        return
    except TimeoutError as late:
        if isinstance(late, ForemanTimeout):
            raise
        raise ForemanTimeout("the end of the node", timeout) from late


def doctor(data: DataFlag = None, json: AsJson = False) -> None:  # noqa: FBT002 (an option on the command line)
    """Say what is wrong with a data directory and what would be done about it, changing nothing. Works without a running node.

    Exit 0 when nothing is wrong, else 1.

    Example:  foreman doctor --data /srv/foreman
    """
    from foreman.node.doctor import Severity
    from foreman.node.doctor import doctor as examine
    from foreman.workers.kind import known_kinds

    configuration = read(None, data or target.Target.of_environment().data, None, None, None)
    kinds, _ = known_kinds(configuration.kinds)
    findings = examine(configuration.node.data, kinds, configuration.disk.min_free_bytes)
    if json:
        print_json(findings)
    else:
        rows = [(finding.severity.value, finding.path, finding.what, finding.would) for finding in findings]
        print_table(("", "WHERE", "WHAT", "TO DO"), rows, empty="all is in order")
    wrong = sum(finding.severity is Severity.WRONG for finding in findings)
    if wrong:
        many = "1 thing is" if wrong == 1 else f"{wrong} things are"
        print(f"foreman: {many} wrong in {configuration.node.data}; what to do stands beside each", file=sys.stderr)
        raise typer.Exit(1)

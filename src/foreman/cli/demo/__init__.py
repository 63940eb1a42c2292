"""``foreman demo``: the main job on real files in one command, while everything is killed on the way.

Owns the command and its exit code. ``tree`` reads files into transactions, ``node`` is a real ``foreman up`` that can be killed,
``story`` pushes and kills, ``verifying`` reads every byte back, ``telling`` shows it. With ``--cluster``: ``machines`` are three nodes and
an etcd, ``cluster`` tells the story, ``pushing`` writes and ``misfortunes`` happen meanwhile.
"""

import asyncio
import shutil
import signal
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Final

import typer

NODE_MB: Final = 100
CLUSTER_MB: Final = 30
_PANEL: Final = "The node itself"


def add_to(app: typer.Typer) -> None:
    """Add this command."""
    app.command("demo", rich_help_panel=_PANEL)(demo)


def demo(
    input: Annotated[
        Path | None, typer.Option("--input", help="The directory tree to push (default: this Python's standard library).", metavar="DIR")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", help="Where the node lives; must not exist yet (default: a temporary directory, deleted afterwards).", metavar="DIR"
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", help="Push at most this many MB of files (default: 100, with --cluster 30).", min=1, metavar="MB"),
    ] = None,
    cluster: Annotated[bool, typer.Option("--cluster", help="Three nodes and etcd on this machine instead of one node.")] = False,  # noqa: FBT002 (an option on the command line)
) -> None:
    """Real files through two logs into two storage workers, with SIGKILL for a log, a storage worker, the server and the supervisor.

    Every file is read, cut into key-value pairs and pushed to log_1 and log_2 as durable transactions; storage_1 and storage_2 follow
    the logs. At the end every key is read back from both and compared by SHA-256. Exit 1 if one byte differs.

    With --cluster: etcd and three nodes with mutual TLS; a wish for 3 logs and 2 storage teams of 2 becomes a layout; files are pushed by
    a client that follows it, while a log is killed, the leader's machine is pulled out and comes back, a storage worker is killed, and
    etcd is stopped for a while. Every key is read back from every member of the teams.

    Examples:  foreman demo  ·  foreman demo --input ~/photos --limit 500  ·  foreman demo --data /srv/demo  ·  foreman demo --cluster
    """
    from foreman.cli.demo.tree import Expected, find_files, standard_library

    source = standard_library() if input is None else input
    if not source.is_dir():
        raise typer.BadParameter(f"{source} is not a directory", param_hint="--input")
    if data is not None and data.exists():
        raise typer.BadParameter(f"{data} exists already; the demo makes its own node", param_hint="--data")
    files = find_files(source, (limit or (CLUSTER_MB if cluster else NODE_MB)) * 1_000_000)
    if not files:
        raise typer.BadParameter(f"there is no readable file under {source}", param_hint="--input")
    scratch = Path(tempfile.mkdtemp(prefix="foreman-demo-"))
    folder = scratch / "data" if data is None else data
    try:
        if cluster:
            from foreman.cli.demo.cluster import tell as tell_cluster

            identical = asyncio.run(_ended_by_term(tell_cluster(source, files, folder, expected=Expected())))
        else:
            from foreman.cli.demo.story import tell

            identical = asyncio.run(_ended_by_term(tell(source, files, folder)))
    except asyncio.CancelledError:
        raise typer.Exit(128 + signal.SIGTERM) from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if not identical:
        raise typer.Exit(1)


async def _ended_by_term(story: Coroutine[None, None, bool]) -> bool:
    """TERM ends it as Ctrl-C does: what was started ends, too."""
    telling = asyncio.ensure_future(story)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, telling.cancel)
    return await telling

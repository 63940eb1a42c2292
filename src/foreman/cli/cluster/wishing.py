"""foreman cluster configure: say what the cluster should be."""

import os
from collections.abc import Sequence
from typing import Annotated

import typer

from foreman.cli.cluster.reaching import Reached, cluster_client, view_of

Logs = Annotated[int | None, typer.Option("--logs", min=1, help="How many logs; each has every transaction.", metavar="N")]
Replicas = Annotated[int | None, typer.Option("--storage-replicas", min=1, help="Storage workers in each team.", metavar="M")]
Splits = Annotated[
    list[str] | None, typer.Option("--split", help="A key at which the key space is cut into teams; may be repeated.", metavar="KEY")
]
ReplaceAfter = Annotated[
    float | None, typer.Option("--replace-after", min=0, help="Seconds after which a storage worker that is away is given up.", metavar="S")
]


def add_to(app: typer.Typer) -> None:
    """Add this command."""
    app.command("configure")(cluster_client(configure))


async def configure(
    reached: Reached, logs: Logs = None, storage_replicas: Replicas = None, split: Splits = None, replace_after: ReplaceAfter = None
) -> None:
    """Say what the cluster should be; its director makes it so. What is not said stays as it was.

    Examples:  foreman cluster configure --logs 3 --storage-replicas 2  ·  foreman cluster configure --split g --split p
    """
    from foreman.control.desk.words import NOBODY_WISHED, wish

    await reached.cluster.configure(logs=logs, storage_replicas=storage_replicas, splits=_keys(split), replace_after_s=replace_after)
    spec = (await view_of(reached)).spec
    print(f"the cluster is to have {NOBODY_WISHED if spec is None else wish(spec)}; see `foreman cluster status`")


def _keys(texts: Sequence[str] | None) -> list[bytes] | None:
    """None: nothing was said. One empty text: no splits at all."""
    return sorted({os.fsencode(text) for text in texts} - {b""}) if texts else None

"""Completion in the shell: of commands and options by Typer, of worker ids by asking the node, if it answers at once."""

import asyncio
import os
from typing import Final

import typer

from foreman.cli.target import Target, connect
from foreman.core.errors import ForemanError

VARIABLE: Final = "_FOREMAN_COMPLETE"
PATIENCE_S: Final = 1.0


def prepare() -> None:
    """When a shell asks for completions, load Typer's forms of answering; at any other time cost nothing."""
    if VARIABLE in os.environ:
        from typer._completion_classes import completion_init

        completion_init()


def worker_ids(context: typer.Context, incomplete: str) -> list[str]:
    """The ids of the node's workers that begin so; none when the node does not answer. Completion must never disturb."""
    before = context.parent.params if context.parent is not None else {}
    said = [Target(params.get("data"), params.get("address")) for params in (context.params, before)]
    try:
        ids = asyncio.run(_ids(said[0].over(said[1]).over(Target.of_environment())))
    except (ForemanError, TimeoutError):
        return []
    return [id for id in ids if id.startswith(incomplete)]


async def _ids(target: Target) -> list[str]:
    async with asyncio.timeout(PATIENCE_S), connect(target) as foreman:
        return [ref.id for ref in await foreman.all()]

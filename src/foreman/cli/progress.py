"""Tells a person that something is going on, once it takes longer than a second; programs see nothing of it."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

SILENT_FOR_S: Final = 1.0


@asynccontextmanager
async def doing(what: str) -> AsyncIterator[None]:
    """A spinner with ``what`` on a terminal's stderr while the block runs."""
    if not sys.stderr.isatty():
        yield
        return
    spinner = asyncio.get_running_loop().create_task(_spin(what))
    try:
        yield
    finally:
        spinner.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await spinner


async def _spin(what: str) -> None:
    await asyncio.sleep(SILENT_FOR_S)
    from rich.console import Console

    with Console(stderr=True).status(f"{what} …"):
        await asyncio.Event().wait()

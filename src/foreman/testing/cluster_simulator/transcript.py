"""The story of a run: when, who, what. What the program logs is caught here while a run lasts, with whoever logged it."""

import asyncio
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import structlog

from foreman.testing.cluster_simulator.virtual_time import WHO

Line = tuple[float, str, str]
_SAID_BY_WHO = frozenset({"node", "directory", "epoch", "log_level"})


class Transcript:
    def __init__(self) -> None:
        self.lines: list[Line] = []

    def say(self, who: str, what: str) -> None:
        self.lines.append((asyncio.get_running_loop().time(), who, what))

    @contextmanager
    def listening(self) -> Iterator[None]:
        """To everything that is logged; nobody else hears it. In place, because loggers keep the list that they were made with."""
        processors = structlog.get_config()["processors"]
        before = list(processors)
        processors[:] = [self._hear]
        try:
            yield
        finally:
            processors[:] = before

    def _hear(self, _logger: object, _method: str, said: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        epoch, what = said.get("epoch"), said.pop("event")
        facts = ", ".join(f"{value}" if name == "reason" else f"{name} {value}" for name, value in said.items() if name not in _SAID_BY_WHO)
        self.say(WHO.get(), f"{'' if epoch is None else f'[{epoch}] '}{what}{f': {facts}' if facts else ''}")
        raise structlog.DropEvent


def shown(lines: "list[Line] | tuple[Line, ...]") -> str:
    """For people."""
    return "\n".join(f"{at:9.3f}  {who:<9}  {what}" for at, who, what in lines)

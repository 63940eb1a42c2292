"""The newest director that this node has heard, kept on disk: older ones are refused, whatever they ask for.

Stands at the door, before the machine: what was let in before a newer director came is an ordinary command, which the newer one sees
(it asks for the node's workers, and from then on nothing older gets in) and undoes. Written before the newer one's first command is
answered, so a node that was restarted refuses the same ones. People's commands are not looked at.

A director of another directory is refused while this node has workers that directors made: the directory they belong to was emptied or
replaced, epochs do not compare, and its director would take them for what nobody needs. Owns DATA/generation.json.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from foreman.core.canonical_json import JsonProblem, read_json, write_json
from foreman.core.errors import DataDirectoryInvalid, ForeignGeneration, InvalidRequest, StaleGeneration
from foreman.core.generations import Generation, is_directed, parse_generation
from foreman.kernel.files import atomic_write, printable, read_bounded
from foreman.node.layout import Layout, disk_error

FORMAT: Final = 1
_MAX_BYTES: Final = 4_096

log = structlog.get_logger("foreman.node")


class Generations:
    """``workers``: the ids of this node's workers, as they are now. ``layout`` None: nothing is kept (tests of the API)."""

    def __init__(self, layout: Layout | None, workers: Callable[[], Sequence[str]]) -> None:
        self._layout, self._workers = layout, workers
        self._newest: Generation | None = None
        self._known = layout is None
        self._one_at_a_time = asyncio.Lock()
        self._steps: set[asyncio.Task[None]] = set()

    async def admit(self, generation: Generation, *, asks: bool) -> None:
        """Return when this director may be listened to, with nothing awaited after the last look; else raise why not.

        ``asks``: it only wants to know something, which a director of another directory may. Raises StaleGeneration, ForeignGeneration,
        DataDirectoryInvalid (what is on disk cannot be read, so nobody knows), DiskFault, InsufficientSpace.
        """
        while not self._known or generation != self._newest:
            if self._known and self._newest is not None and generation.directory != self._newest.directory:
                left = [id for id in self._workers() if is_directed(id)]
                if left and asks:
                    return
                if left:
                    raise ForeignGeneration(generation.directory, self._newest.directory, sorted(left))
            elif self._known and self._newest is not None and generation.is_older_than(self._newest):
                raise StaleGeneration(generation.epoch, self._newest.epoch)
            await self._step(generation)

    async def _step(self, generation: Generation) -> None:
        """One that is begun is ended, also when its caller goes away: two writes side by side could end in the older one."""
        step = asyncio.create_task(self._look_or_write(generation, self._newest))
        self._steps.add(step)
        step.add_done_callback(self._steps.discard)
        await asyncio.shield(step)

    async def _look_or_write(self, generation: Generation, over: Generation | None) -> None:
        async with self._one_at_a_time:
            if not self._known:
                assert self._layout is not None
                self._newest, self._known = await asyncio.to_thread(read_generation, self._layout), True
            elif self._newest == over:  # else another came first, and the caller looks again
                if self._layout is not None:
                    await asyncio.to_thread(write_generation, self._layout, generation)
                self._newest = generation
                log.info("a director is heard", epoch=generation.epoch, directory=generation.directory)


def read_generation(layout: Layout) -> Generation | None:
    """What generation.json says; None when no director was heard yet. Raises DataDirectoryInvalid, DiskFault."""
    try:
        value = read_json(read_bounded(str(layout.generation), _MAX_BYTES))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise disk_error(error, layout.generation) from error
    if isinstance(value, JsonProblem):
        raise _damaged(layout, value.sentence)
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise _damaged(layout, "it has another form")
    try:
        return parse_generation(str(value.get("generation")))
    except InvalidRequest:
        raise _damaged(layout, "it names no generation") from None


def write_generation(layout: Layout, generation: Generation) -> None:
    """Durably, or not at all. Raises DiskFault, InsufficientSpace."""
    facts = {"format": FORMAT, "generation": str(generation)}
    try:
        atomic_write(str(layout.generation), write_json(facts), temporary_in=str(layout.staging))
    except OSError as error:
        raise disk_error(error, layout.generation) from error


def _damaged(layout: Layout, why: str) -> DataDirectoryInvalid:
    advice = "its generation.json is damaged, so that no director can be told from an older one; move it away to listen to any"
    return DataDirectoryInvalid(printable(str(layout.root)), f"{advice} ({why})")

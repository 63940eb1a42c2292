"""Fill an empty storage worker from one that serves, while both logs and that one go on.

Storage workers only ever follow logs. So a *seed* is made for it, a log of its own on its own node, and given:

1. all pairs of the peer, page by page, as transactions 1, 2, … Pages are read at different versions, none older than ``begin``, the
   peer's version before the first: together they are no state that ever was.
2. a transaction at ``begin``, empty.
3. everything the cluster's logs have after ``begin``, through ``end``, the peer's version after the last page, at its own version.

Mutations say what a key becomes, not how it changes; so after 3 the worker is exactly what it would be had it followed the logs from the
first transaction. Until it has made that durable it is trusted by nobody (its ``layout_epoch`` stays 0); then it is unlocked for the
cluster's logs, which keep what follows ``begin`` for it from before the first page.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from foreman.control.attempt import Attempt
from foreman.control.ports import Transaction
from foreman.control.recovery.recovery import Tools
from foreman.core.data_errors import VersionTooOld
from foreman.core.errors import ForemanError
from foreman.core.mutations import Set, Version

PULL_LIMIT = 1000


class CannotFill(ForemanError):
    """Not now; ``reason`` says why."""

    code, http_status = "cannot_fill", 503

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


@dataclass(frozen=True, slots=True)
class Filling:
    """``empty``, ``peer``, ``seed``: endpoints. ``name``: the empty worker's id, under which it follows logs. ``logs``: id → endpoint."""

    name: str
    empty: str
    peer: str
    seed_id: str
    seed: str
    logs: dict[str, str]


async def refill(tools: Tools, attempt: Attempt, filling: Filling) -> Version:
    """Returns the version that the worker has durably then. Raises ForemanError; the worker is of no use then, the peer unharmed."""
    begin = (await tools.data.storage_state(filling.peer)).latest
    await pin(tools, filling.name, begin, list(filling.logs.values()))
    tools.fence.check()
    await tools.data.lock_log(filling.seed, attempt)
    await tools.data.recover_log(filling.seed, None, 0, 0)
    previous = await _copy_pages(tools, attempt, filling, begin)
    await _push(tools, attempt, filling, (begin, []), previous)
    end = (await tools.data.storage_state(filling.peer)).latest
    reached = await _copy_log(tools, attempt, filling, begin, end)
    tools.fence.check()
    await tools.data.unlock_storage(filling.empty, attempt, 0, {filling.seed_id: filling.seed}, trusted=False)
    while (await tools.data.storage_state(filling.empty)).durable < reached:  # noqa: ASYNC110 - a worker can only be asked
        await asyncio.sleep(tools.settings.look_s)
    return reached


async def pin(tools: Tools, name: str, version: Version, logs: Sequence[str]) -> None:
    """Let every log keep what is after ``version`` for ``name``. Raises VersionTooOld when none of them has it any more."""
    failures: list[ForemanError] = []
    for log in logs:
        try:
            await tools.data.pull(log, version, (name, version), limit=1)
        except ForemanError as error:
            failures.append(error)
    if failures and len(failures) == len(logs):
        raise next((error for error in failures if isinstance(error, VersionTooOld)), failures[0])


async def _copy_pages(tools: Tools, attempt: Attempt, filling: Filling, begin: Version) -> Version:
    """The version of the last page's transaction; 0 when there is no pair at all."""
    version, key, more = 0, b"", True
    while more:
        pairs, more = await tools.data.read_page(filling.peer, key)
        if not pairs:
            break
        if version + 1 >= begin:
            raise CannotFill(f"{begin} versions are too few for this many pages; it is tried again when there are more")
        await _push(tools, attempt, filling, (version + 1, [Set(key, value) for key, value in pairs]), version)
        version += 1
        key = pairs[-1][0] + b"\0"
    return version


async def _copy_log(tools: Tools, attempt: Attempt, filling: Filling, begin: Version, end: Version) -> Version:
    """Everything after ``begin``, through ``end`` at least; from whichever log has it."""
    reached, sources = begin, list(filling.logs.values())
    while reached < end:
        found = await tools.data.pull(sources[0], reached, (filling.name, begin), limit=PULL_LIMIT)
        if not found:
            sources = sources[1:] + sources[:1]  # the peer had it from another
            await asyncio.sleep(tools.settings.look_s)
        for transaction in found:
            await _push(tools, attempt, filling, transaction, reached)
            reached = transaction[0]
    return reached


async def _push(tools: Tools, attempt: Attempt, filling: Filling, transaction: Transaction, previous: Version) -> None:
    tools.fence.check()
    version, mutations = transaction
    await tools.data.push(filling.seed, attempt.epoch, version, previous, mutations)

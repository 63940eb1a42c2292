"""Lock the services of the old layout, so that nobody writes on and everybody says what it has.

Every worker that the old layout names is asked at once. Which of them is missing matters later, to the phases that plan; here nobody is
waited for beyond ``lock_timeout_s``. A worker that does not remember what the layout made of it has lost its data, or has data that
differs: it is left unlocked and counted as missing.

Stalls: never. Superseded: a worker is held by a newer recovery. Follows: initialising when there is no old layout; watching when the
old layout is this attempt's own (published before a retry); else log planning.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from foreman.control.named import by_node, storage_of
from foreman.control.recovery.outcome import Next, Outcome, Superseded
from foreman.control.recovery.recovery import Recovery
from foreman.core.data_errors import NewerLockExists
from foreman.core.errors import ForemanError
from foreman.core.views import WorkerInfo
from foreman.directory.records import Layout, Placement
from foreman.kernel.together import together


class LostItsData(ForemanError, code="lost_its_data", status=500):
    """A worker that does not remember the layout that names it."""

    def __str__(self) -> str:
        return "it has lost its data"


async def lock_old_services(recovery: Recovery) -> Outcome:
    """The phase."""
    old = recovery.old
    if old is None:
        return Next("initialising")
    if old.epoch == recovery.attempt.epoch:
        recovery.layout = old
        return Next("watching")
    storage = sorted(storage_of(old))
    await find_endpoints(recovery, [*old.logs, *storage])
    locks = [_lock(recovery, worker, _lock_log) for worker in old.logs] + [_lock(recovery, worker, _lock_storage) for worker in storage]
    newer = [epoch for epoch in await together(locks) if epoch is not None]
    if newer:
        return Superseded(max(newer), "a worker is held by a newer recovery")
    return Next("log planning")


async def find_endpoints(recovery: Recovery, workers: Iterable[Placement]) -> None:
    """Ask the foremen where their workers listen; those that cannot be asked or found are noted as missing.

    What else they have is noted as well: from this answer on they take nothing from older directors (cleaning_up.py).
    """
    await together(_find_on(recovery, node, there) for node, there in sorted(by_node(workers).items()))


async def _find_on(recovery: Recovery, node: str, workers: list[Placement]) -> None:
    record = recovery.view.nodes.get(node)
    infos: dict[str, WorkerInfo] = {}
    recovery.told.pop(node, None)
    why = f"node {node} is not there"
    if record is not None:
        try:
            infos = await recovery.tools.foremen.infos(record, recovery.tools.settings.lock_timeout_s)
            why = f"node {node} has no such worker"
            if node not in recovery.unsure:
                recovery.told[node] = frozenset(infos)
        except ForemanError as error:
            why = f"node {node} does not answer: {error}"
    for worker in workers:
        info = infos.get(worker.id)
        if info is not None and info.endpoint is not None and info.pid is not None:
            recovery.endpoints[worker] = info.endpoint
            recovery.not_found.pop(worker, None)
        else:
            recovery.not_found[worker] = why if info is None else f"it is {info.state} on node {node}: {info.health}"


Lock = Callable[[Recovery, Layout, Placement, str], Awaitable[None]]


async def _lock(recovery: Recovery, worker: Placement, lock: Lock) -> int | None:
    """Lock one; the epoch of a newer recovery when one holds it."""
    endpoint, old = recovery.endpoints.get(worker), recovery.old
    if endpoint is None or old is None:
        return None
    try:
        async with asyncio.timeout(recovery.tools.settings.lock_timeout_s):
            await lock(recovery, old, worker, endpoint)
    except NewerLockExists as newer:
        return newer.generation
    except LostItsData as error:
        recovery.lost.add(worker)
        recovery.not_found[worker] = str(error)
    except TimeoutError:
        recovery.not_found[worker] = "it does not answer"
    except ForemanError as error:
        recovery.not_found[worker] = str(error)
    return None


async def _lock_log(recovery: Recovery, old: Layout, worker: Placement, endpoint: str) -> None:
    recovery.tools.fence.check()
    state = await recovery.tools.data.log_state(endpoint)
    if state.generation < old.epoch:
        raise LostItsData
    recovery.tools.fence.check()
    locked = await recovery.tools.data.lock_log(endpoint, recovery.attempt)
    if not locked.recovered or locked.last < max(state.last, old.last_version) or locked.oldest < old.durable_version:
        raise LostItsData  # in between; to take its word would be to forget what it acknowledged
    recovery.old_logs[worker] = locked


async def _lock_storage(recovery: Recovery, old: Layout, worker: Placement, endpoint: str) -> None:
    """A member was unlocked for the old layout, or for a later one that was never published; one that joins need not have been."""
    recovery.tools.fence.check()
    state = await recovery.tools.data.storage_state(endpoint)
    joiner = recovery.joiners.get(worker)
    if state.layout_epoch < old.epoch and (joiner is None or state.durable > joiner.through):
        raise LostItsData
    recovery.tools.fence.check()
    locked = await recovery.tools.data.lock_storage(endpoint, recovery.attempt)
    if locked.layout_epoch < state.layout_epoch:
        raise LostItsData  # in between
    if state.layout_epoch < old.epoch and (joiner is None or locked.durable > joiner.through):
        raise LostItsData  # it went on in between, after logs that nobody had locked
    recovery.old_storage[worker] = locked

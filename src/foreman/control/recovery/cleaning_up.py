"""Remove what no layout names: the workers of former attempts and layouts, where this layout and the one before have any.

Only after the new layout stands, as the directory itself proves; only workers that a director made, in an epoch that is over or in this
one (attempt.py says why those are spent for good). Whether they are gone the foreman proves, by their exit and the way of their
directory; what a node did not do in a moment, and what is on other nodes, is done beside the watch, which must not wait for it
(keeping_clean.py).

Stalls: never. Follows: nothing; the recovery is complete.
"""

import asyncio
from contextlib import suppress
from typing import Final

from foreman.control.attempt import is_spent, origin_of
from foreman.control.recovery.outcome import Completed, Outcome
from foreman.control.recovery.recovery import Recovery, Tools, names_of
from foreman.control.together import together
from foreman.core.errors import ForemanError, WorkerNotFound
from foreman.directory.errors import DirectoryError
from foreman.directory.records import Layout, NodeRecord, decode

WITHIN_S: Final = 1.0


async def clean_up(recovery: Recovery) -> Outcome:
    """The phase."""
    layout, old, swept = recovery.layout, recovery.old, recovery.tools.foremen.swept
    assert layout is not None
    named = names_of(layout) | (names_of(old) if old is not None else frozenset())
    nodes = [recovery.view.nodes[id] for id in sorted({worker.node for worker in named}) if id in recovery.view.nodes]
    swept -= {(node.id, node.incarnation) for node in nodes}
    with suppress(TimeoutError):
        async with asyncio.timeout(WITHIN_S):
            await remove_spent(recovery.tools, layout, nodes)
    return Completed()


async def remove_spent(tools: Tools, layout: Layout, nodes: list[NodeRecord]) -> dict[str, ForemanError | None]:
    """The nodes where something is left; and why, when the node refused or did not answer. The others are noted as swept."""
    if not await _stands(tools, layout):
        return {node.id: None for node in nodes}
    named: dict[str, set[str]] = {}
    for worker in names_of(layout):
        named.setdefault(worker.node, set()).add(worker.id)
    done = await together(_remove_on(tools, layout.epoch, node, frozenset(named.get(node.id, ()))) for node in nodes)
    tools.foremen.swept |= {(node.id, node.incarnation) for node, left in zip(nodes, done, strict=True) if left is True}
    return {node.id: None if left is False else left for node, left in zip(nodes, done, strict=True) if left is not True}


async def _stands(tools: Tools, layout: Layout) -> bool:
    try:
        there = await tools.directory.get(tools.keys.layout)
        return there is not None and decode(Layout, there.key, there.value) == layout
    except DirectoryError:
        return False


async def _remove_on(tools: Tools, epoch: int, node: NodeRecord, named: frozenset[str]) -> bool | ForemanError:
    """Whether nothing is left there but what the layout of ``epoch`` names; or why it could not be done.

    Workers of a later epoch than this are no director's of this directory. The node is asked to remove none of them, so that it
    says whether it listens.
    """
    try:
        infos = await tools.foremen.infos(node)
        spent = [id for id in infos if is_spent(id, epoch, named)]
        later = [id for id in infos if (origin := origin_of(id)) is not None and origin.epoch > epoch and id not in named]
        if not spent and not later:
            return True
        results = await tools.foremen.remove_workers(node, spent, tools.settings.recruit_timeout_s)
    except ForemanError as why:
        return why
    for id, error in results.items():
        if error is None:
            tools.tell(f"{id} was removed from node {node.id}", "no layout names it")
    return all(error is None or isinstance(error, WorkerNotFound) for error in results.values())
